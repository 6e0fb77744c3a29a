#include "cp/state_keeper.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/atomic_file.h"
#include "base/log.h"

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kGatherAtMost = 1s;
constexpr auto kAtLeast = 60s;
constexpr int kRest = 20;  ///< times as long as writing took, nothing is written

Moment present() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::steady_clock::now(),
          std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

}  // namespace

void StateKeeper::restore() {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file_, error)) return;
  std::ifstream in(file_, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto saved = decode_state(text);
  if (!in || !saved) {
    base::log::warn("state file \"{}\": {}; servers begin as in a first start", file_.string(),
                    saved ? "it cannot be read" : saved.error().message);
    return;
  }
  controller_.restore(*saved, present());
}

asio::awaitable<void> StateKeeper::run() {
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    co_await save();
    const auto rest = kRest * (std::chrono::steady_clock::now() - start);
    pause_.expires_after(std::min<std::chrono::steady_clock::duration>(rest, kGatherAtMost));
    co_await pause_.async_wait(kAsTuple);
    wake_.expires_after(kAtLeast);
    while (controller_.revision() == saved_revision_) {
      const auto [woken] = co_await wake_.async_wait(kAsTuple);
      if (!woken) break;  // expired
    }
  }
}

SavedState StateKeeper::take() {
  saved_revision_ = controller_.revision();
  return controller_.save(present());
}

asio::awaitable<void> StateKeeper::save() {
  auto write = [file = file_, state = take()] {
    return base::write_file_atomically(file, encode_state(state));
  };
  const base::Result<void> written = co_await side_.run(std::move(write));
  tell(written);
}

void StateKeeper::save_at_end() {
  tell(base::write_file_atomically(file_, encode_state(take())));
}

void StateKeeper::tell(const base::Result<void>& written) {
  if (!written && !failed_) base::log::error("the servers' state is not kept: {}", written.error().message);
  failed_ = !written.has_value();
}

}  // namespace sluice::cp
