// Captures from strangers: read (capture_driver.h), then replayed. What is replayed tells of each frame, in
// order, and of nothing that cannot be.
#include <cstdint>
#include <cstdlib>
#include <span>

#include <gtest/gtest.h>

#include "config/parse.h"
#include "test/fuzz/capture_driver.h"
#include "tools/replay/replay.h"

namespace sluice::test {
namespace {

/// With timeouts that are short, since time passes in steps as long as there are flows.
const config::Config& configuration() {
  static const config::Parsed parsed = config::parse_config(R"({
    "ports": [{"name": "wan", "device": "af_packet:eth0"}, {"name": "lan", "device": "af_packet:eth1"}],
    "defaults": {"timeouts": {"client": "30s", "server": "30s"}},
    "dataplane": {"flows_per_worker": 64, "half_open_per_worker": 16, "syn_backlog": 8},
    "services": [
      {"name": "web", "vip": "192.0.2.10", "port": 80,
       "servers": [{"name": "s1", "address": "10.20.0.11"}, {"name": "s2", "address": "10.20.0.12"}]},
      {"name": "dns", "vip": "2001:db8:1::10", "port": 53, "protocol": "udp",
       "servers": [{"name": "s1", "address": "2001:db8:2::11"}]}]})");
  if (!parsed.valid()) std::abort();
  return parsed.config;
}

void replay_capture(std::span<const std::byte> capture) {
  const auto network = replay::Network::explore(configuration(), capture, {});
  if (!network) return;
  std::uint64_t frames = 0;
  const auto told = [&](const replay::Event& event) {
    if (event.kind == replay::Event::Kind::frame) {
      EXPECT_EQ(event.number, ++frames);
    }
    if (event.absent != replay::Network::Absent::none) return;
    EXPECT_LE(event.out.size(), event.out_length);
    if (event.kind != replay::Event::Kind::own) {
      EXPECT_NE(event.verdict, dp::Verdict::pending);
      EXPECT_NE(event.verdict, dp::Verdict::hand_over);
    }
  };
  const unsigned workers = 1 + static_cast<unsigned>(capture.size() % 3);
  auto replay = replay::Replay::create(configuration(), *network, {.workers = workers}, told);
  ASSERT_TRUE(replay) << replay.error().message;
  auto reader = replay::CaptureReader::open(capture);
  while (reader) {
    const auto frame = reader->next();
    if (!frame || !*frame) break;
    (*replay)->run(**frame);
  }
  EXPECT_LE((*replay)->flows(), (*replay)->flows_begun());
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto read = sluice::test::read_capture(bytes);
  if (read.frames != 0) sluice::test::replay_capture(bytes);
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
