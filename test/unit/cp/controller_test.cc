#include "cp/controller.h"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

base::Endpoint endpoint(std::string_view text) {
  return *base::Endpoint::parse(text);
}

/// One service "web" with servers a and b (checked, weight 100) and c (unchecked, weight 50).
class ControllerTest : public testing::Test {
 protected:
  static config::Config web() {
    config::Service service;
    service.name = "web";
    service.vip = endpoint("192.0.2.1:80");
    service.local_addresses = {service.vip.address};
    for (const char* name : {"a", "b", "c"}) {
      config::Server server;
      server.name = name;
      server.endpoint = endpoint("10.0.0.1:8080");
      server.endpoint.port = static_cast<std::uint16_t>(8080 + service.servers.size());
      server.check.type = config::CheckType::tcp;
      service.servers.push_back(server);
    }
    service.servers[2].check.type = config::CheckType::none;
    service.servers[2].weight = 50;
    config::Config config;
    config.services.push_back(service);
    return config;
  }

  [[nodiscard]] const ServerState& server(std::size_t index) const { return controller_.servers(0)[index]; }
  void pass(std::size_t index) {
    controller_.record_check(server(index).id(), {CheckStatus::l4_ok, "", 0ms, 0}, now_);
  }
  void fail(std::size_t index) {
    controller_.record_check(server(index).id(), {CheckStatus::l4_refused, "", 0ms, 0}, now_);
  }
  /// The data plane takes what is wanted.
  void apply() {
    running_ = controller_.desired();
    controller_.acknowledge(running_.generation);
  }
  [[nodiscard]] std::uint32_t weight(std::size_t server) const {
    return controller_.desired().services[0].servers[server].weight;
  }

  TimePoint now_{};
  Controller controller_{web(), now_};
  config::ForwardingState running_;
};

TEST_F(ControllerTest, StartsWithEveryServerUpAndGenerationOne) {
  EXPECT_EQ(controller_.desired().generation, 1U);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(weight(0), 1600U);
  EXPECT_EQ(weight(2), 800U);
  EXPECT_EQ(controller_.usable(0).active, 3U);
  EXPECT_EQ(controller_.servers().size(), 3U);
}

TEST_F(ControllerTest, ServerThatGoesDownGetsWeightZeroInTheNextGeneration) {
  apply();
  fail(0);
  EXPECT_EQ(weight(0), 0U);
  EXPECT_EQ(controller_.desired().generation, 2U);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.usable(0).active, 2U);
}

TEST_F(ControllerTest, ResultThatChangesNothingMakesNoGeneration) {
  apply();
  pass(0);
  pass(1);
  EXPECT_TRUE(controller_.in_step());
}

TEST_F(ControllerTest, ServerComesBackWithItsWeight) {
  fail(0);
  pass(0);
  EXPECT_EQ(weight(0), 0U);
  pass(0);
  EXPECT_EQ(weight(0), 1600U);
}

TEST_F(ControllerTest, FreshDataPlaneIsGivenTheState) {
  controller_.reconcile({}, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 1U);
}

TEST_F(ControllerTest, RestartedDataPlaneIsGivenTheStateAgain) {
  controller_.reconcile({}, now_);
  fail(0);
  apply();
  controller_.forget_acknowledged();
  controller_.reconcile({}, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 2U);
}

TEST_F(ControllerTest, RestartAdoptsWhatRunsAlready) {
  running_ = controller_.desired();
  running_.generation = 17;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 17U);
}

TEST_F(ControllerTest, RestartContinuesAboveAForeignGeneration) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers.pop_back();
  controller_.reconcile(running_, now_);
  EXPECT_FALSE(controller_.in_step());
  EXPECT_EQ(controller_.desired().generation, 18U);
  apply();
  fail(0);
  EXPECT_EQ(controller_.desired().generation, 19U);
}

TEST_F(ControllerTest, RestartInheritsWhichServersAreDown) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(controller_.in_step()) << "b was down and stays down: nothing to change";
  EXPECT_FALSE(server(1).is_up());
  pass(1);
  pass(1);
  EXPECT_EQ(weight(1), 1600U);
}

TEST_F(ControllerTest, OwnCheckResultOutweighsWhatIsInherited) {
  pass(1);
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_EQ(controller_.desired().generation, 18U);
}

TEST_F(ControllerTest, UncheckedOrMovedServerInheritsNothing) {
  running_ = controller_.desired();
  running_.generation = 17;
  running_.services[0].servers[2].weight = 0;
  running_.services[0].servers[1].weight = 0;
  running_.services[0].servers[1].endpoint = endpoint("10.0.0.9:1");
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_TRUE(server(2).is_up());
}

TEST_F(ControllerTest, OnlyTheFirstContactInherits) {
  controller_.reconcile({}, now_);
  running_ = controller_.desired();
  running_.services[0].servers[1].weight = 0;
  controller_.reconcile(running_, now_);
  EXPECT_TRUE(server(1).is_up());
  EXPECT_FALSE(controller_.in_step());
}

}  // namespace
}  // namespace sluice::cp
