#include "cp/dp_link.h"

#include <future>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include "config/parse.h"
#include "cp/io_loop.h"
#include "test/unit/cp/control_plane_process.h"

/// The link to a data plane of ours, within this process.
namespace sluice::cp {
namespace {

namespace asio = boost::asio;

class DpLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-link-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
    auto config = config::load_text(kConfig, "config.json");
    ASSERT_TRUE(config);
    dp_.emplace((dir_ / "dp.sock").string(), config::ForwardingState{});
    controller_.emplace(*std::move(config), std::chrono::steady_clock::now());
    link_.emplace(io_.get_executor(), dir_ / "dp.sock", *controller_, duties_, views_);
    asio::co_spawn(io_, link_->run(), asio::detached);
    ASSERT_TRUE(runs_until([&] { return dp_->applied() == 1; }));
  }
  void TearDown() override {
    duties_.end();
    views_.end();
    io_.abandon();
    fs::remove_all(dir_);
  }
  bool runs_until(const std::function<bool()>& condition) {
    return eventually([&] {
      io_.run_for(1ms);
      return condition();
    });
  }

  fs::path dir_;
  IoLoop io_;
  SideThread duties_, views_;
  std::optional<FakeDataPlane> dp_;
  std::optional<Controller> controller_;
  std::optional<DpLink> link_;
};

TEST_F(DpLinkTest, WhatIsButLookedAtHoldsUpNoDuty) {
  std::promise<void> looked;
  asio::co_spawn(
      io_,
      [this, look = looked.get_future().share()]() -> asio::awaitable<void> {
        static_cast<void>(co_await views_.run([look] {
          look.wait();
          return 0;
        }));
      },
      asio::detached);
  bool viewed = false, failures = false, numbers = false;
  asio::co_spawn(
      io_,
      [&]() -> asio::awaitable<void> {
        viewed = (co_await link_->report(DpLink::For::view, 20s)).has_value();
      },
      asio::detached);
  asio::co_spawn(
      io_,
      [&]() -> asio::awaitable<void> {
        failures = (co_await link_->failures(20s)).has_value();
        numbers = (co_await link_->report(DpLink::For::duty, 20s)).has_value();
      },
      asio::detached);
  const config::ServerRequest drain{"web", "a", config::ServerAction::drain, 0, false};
  EXPECT_TRUE(controller_->command(drain, std::chrono::steady_clock::now()));
  link_->wake();
  EXPECT_TRUE(runs_until([&] { return dp_->state().services[0].servers[0].weight == 0; }));
  EXPECT_TRUE(runs_until([&] { return failures && numbers; }));
  EXPECT_FALSE(viewed);
  looked.set_value();
  EXPECT_TRUE(runs_until([&] { return viewed; }));
}

}  // namespace
}  // namespace sluice::cp
