#include "tools/replay/replay.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/parse.h"
#include "test/packet_builder.h"
#include "test/packet_check.h"
#include "test/unit/replay/capture_bytes.h"
#include "tools/replay/packet_line.h"

/// Captures in, what becomes of each frame out.
///
///     client 10.9.0.1 ── router ──[ lan ] sluice, VIP 10.1.0.1:80 ── s1 10.1.0.100:8080, s2 .101
namespace sluice::replay::test {
namespace {

using dp::DropReason;
using dp::Verdict;
using sluice::test::ACK;
using sluice::test::eth;
using sluice::test::FIN;
using sluice::test::PacketBuilder;
using sluice::test::RST;
using sluice::test::SYN;
using sluice::test::v4;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr base::Mac kRouter{{2, 0, 0, 0, 1, 1}}, kPort{{2, 0, 0, 0, 0, 9}}, kServer{{2, 0, 0, 0, 2, 0}};

constexpr const char* kOneArmed = R"({
  "ports": [{ "name": "lan", "device": "af_xdp:ens6" }],
  "services": [{ "name": "web", "vip": "10.1.0.1", "port": 80, "timeouts": { "connect": "2s", "client": "30s", "server": "30s" },
                 "retries": 0, "servers": [{ "name": "s1", "address": "10.1.0.100", "port": 8080 }] }]
})";

PacketBuilder client(std::uint16_t port, sluice::test::Flags flags, std::uint32_t seq = 1000) {
  return eth(kRouter, kPort).ip4(v4("10.9.0.1"), v4("10.1.0.1")).tcp(port, 80, flags).seq(seq);
}
PacketBuilder server(std::uint16_t local, sluice::test::Flags flags, std::uint32_t seq, std::uint32_t ack) {
  return eth(kServer, kPort).ip4(v4("10.1.0.100"), v4("10.1.0.1")).tcp(8080, local, flags).seq(seq).ack(ack);
}

/// An Event with the bytes of its own.
struct Told {
  Event event;
  sluice::test::Bytes out;
  [[nodiscard]] PacketLine line() const { return packet_line(out); }
};

/// Frames with their times, replayed.
class ReplayTest : public testing::Test {
 public:
  ReplayTest& at(double seconds) {
    seconds_ = seconds;
    return *this;
  }
  void add(const PacketBuilder& packet) { add(packet.bytes()); }
  void add(const sluice::test::Bytes& frame) {
    const auto us = static_cast<std::uint32_t>((seconds_ - static_cast<std::uint32_t>(seconds_)) * 1e6 + 0.5);
    capture_.record(1'700'000'000U + static_cast<std::uint32_t>(seconds_), us,
                    {reinterpret_cast<const char*>(frame.data()), frame.size()});
  }
  /// Runs what was added; fails the test when that does not go.
  std::vector<Told> run(Replay::Options options = {}, Network::Options around = {},
                        const char* config = kOneArmed) {
    const auto parsed = config::parse_config(config);
    EXPECT_TRUE(parsed.valid()) << config::format(parsed.diagnostics.front(), "config");
    std::vector<Told> told;
    const auto network = Network::explore(parsed.config, capture_.bytes(), around);
    if (!network) {
      ADD_FAILURE() << network.error().message;
      return told;
    }
    auto replay = Replay::create(parsed.config, *network, options, [&told](const Event& event) {
      Told& each = told.emplace_back(Told{event, {event.out.begin(), event.out.end()}});
      each.event.out = each.event.in = {};
    });
    EXPECT_TRUE(replay.has_value());
    auto reader = CaptureReader::open(capture_.bytes());
    while (auto frame = reader->next()) {
      if (!*frame) break;
      (*replay)->run(**frame);
    }
    flows_ = (*replay)->flows();
    begun_ = (*replay)->flows_begun();
    return told;
  }
  /// Runs the first frame alone, to learn the source port that sluice takes for it.
  std::uint16_t source_port(Replay::Options options = {}) {
    const auto told = run(options);
    const auto source = base::Endpoint::parse(told.front().line().source);
    EXPECT_TRUE(source.has_value());
    return source->port;
  }

  CaptureBytes capture_ = CaptureBytes().file_header(0xa1b2c3d4);
  double seconds_ = 0;
  std::uint64_t flows_ = 0, begun_ = 0;
};

TEST_F(ReplayTest, AConnectionGoesThroughAsThroughSluice) {
  at(0).add(client(40'000, SYN));
  const std::uint16_t local = source_port();
  at(0.01).add(server(local, SYN | ACK, 7000, 1001));
  at(0.02).add(client(40'000, ACK, 1001).ack(7001));
  at(0.03).add(client(40'000, FIN | ACK, 1001).ack(7001));
  at(0.04).add(server(local, FIN | ACK, 7001, 1002));
  at(0.05).add(client(40'000, ACK, 1002).ack(7002));
  const auto told = run();
  ASSERT_EQ(told.size(), 6U);
  std::vector<std::string> states;
  for (const Told& each : told) {
    states.push_back(each.event.state);
    EXPECT_EQ(each.event.verdict, Verdict::forward);
    EXPECT_EQ(each.event.service, "web");
    EXPECT_EQ(each.event.server, "s1");
    EXPECT_EQ(each.event.flow, 1U);
    EXPECT_TRUE(sluice::test::check(each.out).empty()) << sluice::test::describe(each.out);
  }
  EXPECT_THAT(states,
              ElementsAre("syn_sent", "syn_received", "established", "fin_client", "closing", "time_wait"));
  EXPECT_EQ(told[0].line().destination, "10.1.0.100:8080");
  EXPECT_EQ(told[1].line().source, "10.1.0.1:80");
  EXPECT_EQ(told[1].line().destination, "10.9.0.1:40000");
  EXPECT_EQ(told[1].event.direction, dp::Direction::to_client);
  EXPECT_EQ(begun_, 1U);
}

TEST_F(ReplayTest, NextHopsAreThoseThatFramesComeFrom) {
  at(0).add(client(40'000, SYN));
  const std::uint16_t local = source_port();
  at(0.01).add(server(local, SYN | ACK, 7000, 1001));
  const auto told = run();
  const std::string to_server = sluice::test::describe(told[0].out),
                    to_client = sluice::test::describe(told[1].out);
  EXPECT_TRUE(to_server.starts_with(kPort.to_string() + " > " + kServer.to_string())) << to_server;
  EXPECT_TRUE(to_client.starts_with(kPort.to_string() + " > " + kRouter.to_string())) << to_client;
}

TEST_F(ReplayTest, TheNeighboursFileComesFirst) {
  Network::Options around;
  around.neighbours = *parse_neighbours(
      "10.1.0.100 failed lan\n"
      "10.9.255.1 02:00:00:00:09:09 lan vlan 7\n"
      "10.9.0.0/16 via 10.9.255.1\n",
      "n.txt");
  at(0).add(client(40'000, SYN));
  auto told = run({}, around);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].event.verdict, Verdict::forward);
  EXPECT_EQ(told[0].event.reason, DropReason::neighbour_failed);

  around.neighbours.neighbours[0].state = NamedNeighbour::State::incomplete;
  told = run({}, around);
  EXPECT_EQ(told[0].event.verdict, Verdict::park);

  around.neighbours.neighbours.erase(around.neighbours.neighbours.begin());
  const std::uint16_t local = source_port();
  at(0.01).add(server(local, SYN | ACK, 7000, 1001));
  told = run({}, around);
  const std::string to_client = sluice::test::describe(told[1].out);
  EXPECT_TRUE(to_client.starts_with(kPort.to_string() + " > 02:00:00:00:09:09 vlan 7 ")) << to_client;
}

TEST_F(ReplayTest, WhatIsNotSluicesIsTheKernels) {
  at(0).add(eth(kRouter, kPort).ip4(v4("10.9.0.1"), v4("10.1.0.1")).icmp(8, 0));
  add(client(40'000, ACK).ack(5));  // of a connection that nobody knows
  add(eth(kRouter, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}).type(0x0806));
  const auto told = run();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0].event.verdict, Verdict::punt);
  EXPECT_EQ(told[1].event.verdict, Verdict::reflect);
  EXPECT_EQ(told[1].event.reason, DropReason::reset_sent);
  EXPECT_EQ(told[1].line().flags, "RST");
  EXPECT_EQ(told[2].event.verdict, Verdict::punt);
  EXPECT_EQ(flows_, 0U);
}

TEST_F(ReplayTest, TimeIsTheCaptures) {
  at(0).add(client(40'000, SYN));
  const std::uint16_t local = source_port();
  at(0.01).add(server(local, SYN | ACK, 7000, 1001));
  at(0.02).add(client(40'000, ACK, 1001).ack(7001));
  at(29).add(client(40'000, ACK, 1001).ack(7001));
  at(70).add(client(40'001, SYN));
  const auto told = run();
  std::vector<double> own;
  for (const Told& each : told) {
    if (each.event.kind != Event::Kind::own) continue;
    own.push_back(static_cast<double>(each.event.time_ns - 1'700'000'000'000'000'000U) / 1e9);
    EXPECT_EQ(each.line().flags, "RST|ACK");
    EXPECT_TRUE(sluice::test::check(each.out).empty());
  }
  // 30 s after the last segment, not sooner and not at the next frame.
  ASSERT_EQ(own.size(), 2U);
  EXPECT_NEAR(own[0], 59, 0.5);
  EXPECT_EQ(flows_, 1U);
}

TEST_F(ReplayTest, WhoWaitsForAPlaceIsToldByTheFrameThatHeSent) {
  constexpr const char* kFull = R"({
    "ports": [{ "name": "lan", "device": "af_xdp:ens6" }],
    "services": [{ "name": "web", "vip": "10.1.0.1", "port": 80, "timeouts": { "queue": "3s" },
                   "servers": [{ "name": "s1", "address": "10.1.0.100", "port": 8080, "maxconn": 1 }] }]
  })";
  at(0).add(client(40'000, SYN));
  at(0.5).add(client(40'001, SYN));
  at(1).add(client(40'000, RST, 1001));
  at(2).add(client(40'002, SYN));
  at(10).add(client(40'002, ACK, 9).ack(9));
  const auto told = run({}, {}, kFull);
  std::vector<std::string> story;
  for (const Told& each : told) {
    const char* kind = each.event.kind == Event::Kind::frame    ? ""
                       : each.event.kind == Event::Kind::stored ? "stored "
                                                                : "own ";
    const char* verdict = each.event.verdict == Verdict::forward   ? "forward"
                          : each.event.verdict == Verdict::hold    ? "hold"
                          : each.event.verdict == Verdict::reflect ? "answer"
                                                                   : "other";
    story.push_back(std::to_string(each.event.number) + " " + kind + verdict);
  }
  EXPECT_THAT(story, ElementsAre("1 forward", "2 hold", "3 forward", "2 stored forward", "4 hold",
                                 "4 stored answer", testing::_, testing::_))
      << testing::PrintToString(story);
}

TEST_F(ReplayTest, LimitsByClientGoByTheCapturesTime) {
  constexpr const char* kLimited = R"({
    "ports": [{ "name": "lan", "device": "af_xdp:ens6" }],
    "services": [{ "name": "web", "vip": "10.1.0.1", "port": 80, "clients": { "rate": 1, "deny": ["10.9.0.7"] },
                   "servers": [{ "name": "s1", "address": "10.1.0.100", "port": 8080 }] }]
  })";
  at(0).add(client(40'000, SYN));
  at(0.5).add(client(40'001, SYN));
  at(1.5).add(client(40'002, SYN));
  at(2).add(eth(kRouter, kPort).ip4(v4("10.9.0.7"), v4("10.1.0.1")).tcp(40'003, 80, SYN).seq(1000));
  std::vector<DropReason> reasons;
  for (const Told& each : run({}, {}, kLimited)) {
    EXPECT_EQ(each.event.verdict,
              each.event.reason == DropReason::none ? Verdict::forward : Verdict::reflect);
    reasons.push_back(each.event.reason);
  }
  EXPECT_THAT(reasons, ElementsAre(DropReason::none, DropReason::client_rate, DropReason::none,
                                   DropReason::client_denied));
}

TEST_F(ReplayTest, TheSameSeedDoesTheSame) {
  for (std::uint16_t n = 0; n < 200; ++n)
    at(n * 0.001).add(client(static_cast<std::uint16_t>(40'000 + n), SYN));
  const auto outs = [this](std::uint64_t seed) {
    std::vector<std::pair<unsigned, sluice::test::Bytes>> all;
    for (const Told& each : run({.workers = 3, .seed = seed})) all.emplace_back(each.event.worker, each.out);
    return all;
  };
  const auto first = outs(1);
  EXPECT_EQ(first, outs(1));
  EXPECT_NE(first, outs(2));
}

TEST_F(ReplayTest, WorkersHandOverWhatIsAnothers) {
  for (std::uint16_t n = 0; n < 200; ++n)
    at(n * 0.001).add(client(static_cast<std::uint16_t>(40'000 + n), SYN));
  unsigned handed_over = 0;
  std::vector<unsigned> by_worker(4);
  for (const Told& each : run({.workers = 4})) {
    EXPECT_EQ(each.event.verdict, Verdict::forward);
    ++by_worker[each.event.worker];
    handed_over += each.event.handed_over ? 1 : 0;
  }
  for (const unsigned n : by_worker) EXPECT_GT(n, 20U);
  EXPECT_GT(handed_over, 100U);
}

TEST_F(ReplayTest, FramesThatAPortSentAreNotRunAgain) {
  at(0).add(client(40'000, SYN));
  const auto told = run();
  add(told[0].out);
  const auto again = run();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[1].event.absent, Network::Absent::sent);
}

TEST_F(ReplayTest, OfFramesThatWereCutShortTheHeadersAreTold) {
  at(0).add(client(40'000, SYN));
  const std::uint16_t local = source_port();
  at(0.01).add(server(local, SYN | ACK, 7000, 1001));
  const sluice::test::Bytes data = client(40'000, ACK, 1001).ack(7001).payload(500).bytes();
  capture_.record(1'700'000'000, 20'000, {reinterpret_cast<const char*>(data.data()), 96},
                  static_cast<std::uint32_t>(data.size()));
  const auto told = run({.workers = 3});
  const Told& cut = told.back();
  EXPECT_EQ(cut.event.verdict, Verdict::forward);
  EXPECT_EQ(cut.event.flow, 1U);
  EXPECT_EQ(cut.out.size(), 96U);
  EXPECT_EQ(cut.event.out_length, data.size());
  const PacketLine line = packet_line(cut.out, cut.event.out_length);
  EXPECT_EQ(line.destination, "10.1.0.100:8080");
  EXPECT_EQ(line.flags, "ACK");
}

TEST_F(ReplayTest, SourcesWithoutMacAddressAreNotThePortsOwn) {
  at(0).add(eth({}, kPort).ip4(v4("10.9.0.1"), v4("10.1.0.1")).tcp(40'000, 80, SYN));
  EXPECT_EQ(run().front().event.verdict, Verdict::forward);
}

TEST_F(ReplayTest, MoreMacAddressesThanAPortCanHaveAreRefused) {
  for (unsigned n = 0; n < 300; ++n) {
    const base::Mac to{{2, 0, 0, 1, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}};
    add(eth(kRouter, to).ip4(v4("10.9.0.1"), v4("10.1.0.1")).tcp(40'000, 80, SYN));
  }
  const auto network = Network::explore(config::parse_config(kOneArmed).config, capture_.bytes(), {});
  ASSERT_FALSE(network.has_value());
  EXPECT_EQ(
      network.error().message,
      "frames for served addresses go to more than 256 MAC addresses: say by --port-of MAC=NAME which of "
      "them are sluice's");
}

TEST_F(ReplayTest, APortOfSeveralIsToldByItsMacAddress) {
  constexpr const char* kTwoArmed = R"({
    "ports": [{ "name": "front", "device": "af_packet:eth0" }, { "name": "back", "device": "af_packet:eth1" }],
    "services": [{ "name": "web", "vip": "10.1.0.1", "port": 80,
                   "servers": [{ "name": "s1", "address": "10.2.0.100", "port": 8080 }] }]
  })";
  at(0).add(client(40'000, SYN));
  const auto config = config::parse_config(kTwoArmed);
  ASSERT_TRUE(config.valid());
  const auto unknown = Network::explore(config.config, capture_.bytes(), {});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message,
            "interface \"\" of the capture is none of the ports front, back: say --port-of MAC=NAME");
  const auto misnamed =
      Network::explore(config.config, capture_.bytes(), {.port_of = {{kPort, "fronz"}}, .neighbours = {}});
  ASSERT_FALSE(misnamed.has_value());
  EXPECT_EQ(misnamed.error().message,
            "port \"fronz\": the configuration has none of that name (did you mean \"front\"?)");

  add(eth(kRouter, kServer).ip4(v4("10.9.0.1"), v4("10.1.0.1")).tcp(40'001, 80, SYN));
  const auto told = run({}, {.port_of = {{kPort, "front"}}, .neighbours = {}}, kTwoArmed);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].event.verdict, Verdict::forward);
  EXPECT_EQ(told[0].event.port, 0);
  EXPECT_EQ(told[0].event.out_port, 1) << "servers that never sent anything are behind the last port";
  EXPECT_EQ(told[1].event.absent, Network::Absent::no_port);
}

TEST_F(ReplayTest, InterfacesOfACaptureAreThePortsOfTheirName) {
  constexpr const char* kTwoArmed = R"({
    "ports": [{ "name": "front", "device": "af_packet:eth0" }, { "name": "back", "device": "af_packet:eth1" }],
    "services": [{ "name": "web", "vip": "10.1.0.1", "port": 80,
                   "servers": [{ "name": "s1", "address": "10.2.0.100", "port": 8080 }] }]
  })";
  const auto config = config::parse_config(kTwoArmed);
  const auto frame = client(40'000, SYN).bytes();
  const std::string_view text(reinterpret_cast<const char*>(frame.data()), frame.size());
  CaptureBytes capture;
  capture.section().interface("eth1").interface("front").enhanced(1, 1'000'000, text);
  const auto network = Network::explore(config.config, capture.bytes(), {});
  ASSERT_TRUE(network.has_value()) << network.error().message;
  auto reader = CaptureReader::open(capture.bytes());
  const auto read = reader->next();
  const auto arrival = network->arrival(**read);
  EXPECT_EQ(arrival.absent, Network::Absent::none);
  EXPECT_EQ(arrival.port, 0);
  EXPECT_EQ(network->ports()[0].mac, kPort);
}

}  // namespace
}  // namespace sluice::replay::test
