// Mode dnat: servers see the clients' own addresses, unless they could not answer by way of sluice (facts:
// nat case 9; HAProxy facts, section 4).
#include <set>

#include <gtest/gtest.h>

#include "dp/flow/flow_life.h"
#include "test/packet/icmp_errors.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Dnat : public testing::Test {};
TYPED_TEST_SUITE(Dnat, Families);

template <Family F>
config::ForwardingService seen_by(config::ForwardingService service) {
  service.mode = config::Mode::dnat;
  return service;
}

Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

/// The address alone.
template <Family F>
base::Prefix host(const base::Address<F>& address) {
  return {address, F == Family::v4 ? 32 : 128};
}

/// Ports of the balancer have no twin: there is no kernel that could route.
void without_twins(Balancer& b) {
  for (unsigned id = 0; id < b.workers(); ++id) {
    for (dp::PortView& port : b.worker(id).ports) port.has_twin = false;
  }
}
void with_twins(Balancer& b) {
  for (unsigned id = 0; id < b.workers(); ++id) {
    for (dp::PortView& port : b.worker(id).ports) port.has_twin = true;
  }
}

/// A SYN of `client`, who is on the servers' link.
template <Family F>
PacketBuilder from_link(const base::Address<F>& client, base::Mac mac, std::uint16_t port) {
  return with_ip<F>(eth(mac, Balancer::port_mac(1)), client, Net<F>::vip()).tcp(port, kPort, SYN).seq(1'000);
}

TYPED_TEST(Dnat, ServerSeesTheClient) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>())});
  Connection<F> c(b, 0, 40'000);
  c.open();
  EXPECT_EQ(c.local(), (base::Endpoint{Net<F>::client(), 40'000}));
  EXPECT_EQ(b.leased_ports(), 0U) << "nothing is taken of what full NAT has";
  EXPECT_TRUE(c.client(ACK | PSH, 1'000).forwarded());
  EXPECT_TRUE(c.server(ACK | PSH, 1'400).forwarded());
  c.close();
  b.advance(dp::kTimeWaitMs + 10'000);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Dnat, Datagrams) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(dns<F>(1))});
  const auto query = from_client<F>(Net<F>::client(3), Net<F>::vip()).udp(5'000, kPort).payload(60);
  const Outcome o = b.send(query);
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().from(), (base::Endpoint{Net<F>::client(3), 5'000}));
  EXPECT_EQ(o.seen().to(), (base::Endpoint{Net<F>::server(), kServerPort}));
  const auto answer = from_server<F>(0, Net<F>::client(3)).udp(kServerPort, 5'000).payload(80);
  const Outcome r = b.send(answer, {0, 1, 0});
  ASSERT_TRUE(r.forwarded()) << r;
  EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(r.seen().to(), (base::Endpoint{Net<F>::client(3), 5'000}));
}

TYPED_TEST(Dnat, AnyWorkerMayHearOfAnyFlow) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kWorkers = 4;
  Balancer b(with_workers(kWorkers));
  b.configure({seen_by<F>(web<F>(5))});
  std::set<unsigned> owners;
  for (unsigned n = 0; n < 64; ++n) {
    Connection<F> c(b, n, static_cast<std::uint16_t>(40'000 + n * 7));
    c.at_worker(n % kWorkers, (n / kWorkers) % kWorkers).open();
    EXPECT_EQ(c.local(), (base::Endpoint{c.address(), c.port()}));
    owners.insert(c.server(ACK, 10).worker);
    EXPECT_EQ(c.client(ACK, 10).worker, c.server(ACK, 10).worker);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(owners.size(), kWorkers) << "all of them have some";
  EXPECT_EQ(b.flows_without_lease(), 64U);
}

// Who would not be answered by way of sluice.

TYPED_TEST(Dnat, ClientOnTheServersNetworkGetsFullNat) {
  constexpr Family F = TypeParam::kFamily;
  constexpr base::Mac kMac{{2, 0, 0, 0, 7, 7}};
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  const Outcome o = b.send(from_link<F>(Net<F>::stranger(), kMac, 40'000), {0, 1, 0});
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "else the server would answer it directly";
  EXPECT_EQ(b.leased_ports(), 1U);
  EXPECT_EQ(b.flows_without_lease(), 0U);
}

TYPED_TEST(Dnat, ServerThatIsTheClientGetsFullNat) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  const Outcome o = b.send(from_link<F>(Net<F>::server(), Balancer::server_mac(0), 40'000), {0, 1, 0});
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "it would drop what comes from itself";
  EXPECT_EQ(o.seen().dst, base::IpAddress(Net<F>::server()));
  const auto answer = from_server<F>(0, Net<F>::vip()).tcp(kServerPort, o.seen().sport, SYN | ACK);
  const Outcome r = b.send(PacketBuilder(answer).seq(9).ack(1'001), {0, 1, 0});
  ASSERT_TRUE(r.forwarded()) << r;
  EXPECT_EQ(r.seen().from(), (base::Endpoint{Net<F>::vip(), kPort}));
  EXPECT_EQ(r.seen().to(), (base::Endpoint{Net<F>::server(), 40'000}));
}

TYPED_TEST(Dnat, ServersOfARoutedNetworkGetFullNatAmongThemselves) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  for (unsigned n = 0; n < 2; ++n)
    b.add_route(host<F>(Net<F>::server(n)), dp::RouteKind::via, Balancer::kGateway);
  b.configure({seen_by<F>(web<F>(2))});
  std::set<base::IpAddress> sources;
  for (std::uint16_t port = 40'000; port < 40'002; ++port) {
    const auto syn = from_client<F>(Net<F>::server(1), Net<F>::vip()).tcp(port, kPort, SYN);
    const Outcome o = b.send(PacketBuilder(syn).seq(1'000));
    ASSERT_TRUE(o.forwarded()) << o;
    sources.insert(o.seen().src);
  }
  EXPECT_EQ(sources, std::set<base::IpAddress>{Net<F>::vip()}) << "to itself and to the other";
}

TYPED_TEST(Dnat, ClientOnTheLinkOfTheServersRouterGetsFullNat) {
  constexpr Family F = TypeParam::kFamily;
  constexpr base::Mac kMac{{2, 0, 0, 0, 7, 7}};
  Balancer b;
  // Server 0 is behind server 9, which is its router.
  b.add_route(host<F>(Net<F>::server(0)), dp::RouteKind::via, Balancer::kFirstServer + 9);
  b.configure({seen_by<F>(web<F>(1))});
  const Outcome near = b.send(from_link<F>(Net<F>::stranger(), kMac, 40'000), {0, 1, 0});
  ASSERT_TRUE(near.forwarded()) << near;
  EXPECT_EQ(near.seen().src, base::IpAddress(Net<F>::vip())) << "the router would reach it directly";
  const Outcome far = b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1));
  ASSERT_TRUE(far.forwarded()) << far;
  EXPECT_EQ(far.seen().src, base::IpAddress(Net<F>::client()));
}

TYPED_TEST(Dnat, WhoClaimsToBeTheHostGetsFullNat) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  const auto own = Net<F>::client(77);
  b.add_route(host<F>(own), dp::RouteKind::local);
  b.configure({seen_by<F>(web<F>(1))});
  const Outcome o = b.send(from_client<F>(own, Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1));
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "answers to the host's checks stay the host's";
}

TYPED_TEST(Dnat, LinkLocalClientGetsFullNat) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  base::Address<F> client{};
  if constexpr (F == Family::v4) {
    client = v4("169.254.7.7");
  } else {
    client = v6("fe80::7");
  }
  const Outcome o = b.send(from_client<F>(client, Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1));
  ASSERT_TRUE(o.forwarded()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip()));
}

TYPED_TEST(Dnat, BothModesOnOneServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  auto other = web<F>(1);
  other.name = "other";
  other.vip.port = 81;
  b.configure({seen_by<F>(web<F>(1)), other});
  for (unsigned n = 0; n < 6; ++n) {
    Connection<F> seen(b, n, 40'000), hidden(b, n, 40'000);
    seen.at_worker(n % 3, (n + 1) % 3).open();
    hidden.at_worker(n % 3, (n + 2) % 3).to(Net<F>::vip(), 81).open();
    EXPECT_EQ(seen.local(), (base::Endpoint{Net<F>::client(n), 40'000}));
    EXPECT_EQ(hidden.local().address, base::IpAddress(Net<F>::vip()));
  }
}

TYPED_TEST(Dnat, RemovedServerKeepsItsConnections) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.configure({});
  b.settle();
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  c.close();
  b.advance(dp::kTimeWaitMs + 10'000);
  b.settle();
  EXPECT_TRUE(b.snapshot().services->dnat_servers.empty());
}

TYPED_TEST(Dnat, ReplyWhoseTtlEndsHereIsAnsweredFromTheVip) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const Outcome o = b.send(c.server_packet(ACK, 10).ttl(1), {0, 1, 0});
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip()));
}

TYPED_TEST(Dnat, RepliesOfTwoServicesOnOneServerAreToldApart) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto other = seen_by<F>(web<F>(1));
  other.name = "other";
  other.vip.port = 81;
  b.configure({seen_by<F>(web<F>(1)), other});
  Connection<F> first(b, 0, 40'000), second(b, 0, 40'000);
  first.open();
  second.to(Net<F>::vip(), 81).open();
  EXPECT_EQ(first.local(), (base::Endpoint{Net<F>::client(), 40'000}));
  EXPECT_EQ(second.local().address, base::IpAddress(Net<F>::vip())) << "the client's port is in use";
  EXPECT_TRUE(first.server(ACK, 100).forwarded());
  EXPECT_TRUE(second.server(ACK, 100).forwarded());
}

// Packets of servers that belong to no flow.

TYPED_TEST(Dnat, WhatServersSendOfTheirOwnAccordIsTheKernelsToRoute) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  with_twins(b);
  b.configure({seen_by<F>(web<F>(1)), seen_by<F>(dns<F>(1))});
  const PacketBuilder to_anyone = from_server<F>(0, Net<F>::client(9));
  for (const PacketBuilder& packet :
       {PacketBuilder(to_anyone).tcp(kServerPort, 1'234, ACK).seq(5).ack(6).payload(10),
        PacketBuilder(to_anyone).tcp(kServerPort, 1'234, SYN | ACK).seq(5).ack(6),
        PacketBuilder(to_anyone).tcp(kServerPort, 1'234, RST).seq(5),
        PacketBuilder(to_anyone).tcp(9'999, 1'234, SYN).seq(5), PacketBuilder(to_anyone).udp(kServerPort, 53),
        PacketBuilder(to_anyone).udp(68, 67)}) {
    const Outcome o = b.send(packet, {0, 1, 0});
    EXPECT_EQ(o.verdict, Verdict::punt) << o;
  }
}

TYPED_TEST(Dnat, WithoutAKernelSuchAConnectionIsReset) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  without_twins(b);
  b.configure({seen_by<F>(web<F>(1)), seen_by<F>(dns<F>(1))});
  const PacketBuilder to_anyone = from_server<F>(0, Net<F>::client(9));
  const Outcome o =
      b.send(PacketBuilder(to_anyone).tcp(kServerPort, 1'234, ACK).seq(5).ack(6).payload(10), {0, 1, 0});
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().flags, RST);
  EXPECT_EQ(o.seen().seq, 6U);
  EXPECT_EQ(o.seen().from(), (base::Endpoint{Net<F>::client(9), 1'234}));
  EXPECT_TRUE(b.send(PacketBuilder(to_anyone).tcp(kServerPort, 1'234, RST).seq(5), {0, 1, 0})
                  .dropped(DropReason::stray_reset));
  EXPECT_TRUE(b.send(PacketBuilder(to_anyone).udp(kServerPort, 53), {0, 1, 0}).dropped(DropReason::no_flow));
}

TYPED_TEST(Dnat, ServersOfFullNatAreNotLookedAt) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  without_twins(b);
  b.configure({web<F>(1)});
  const auto packet = from_server<F>(0, Net<F>::client(9)).tcp(kServerPort, 1'234, ACK).seq(5).ack(6);
  EXPECT_EQ(b.send(packet, {0, 1, 0}).verdict, Verdict::punt);
}

// A reload that changes the mode.

TYPED_TEST(Dnat, ModeCanChangeUnderLiveConnections) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kWorkers = 4;
  Balancer b(with_workers(kWorkers));
  std::vector<Connection<F>> open;
  const auto begin = [&](unsigned n, config::Mode mode) {
    auto service = web<F>(3);
    service.mode = mode;
    b.configure({service});
    for (unsigned i = 0; i < n; ++i) {
      const auto client = static_cast<unsigned>(open.size());
      open.emplace_back(b, client, static_cast<std::uint16_t>(40'000 + client));
      open.back().at_worker(client % kWorkers, (client + 1) % kWorkers).open();
      const bool kept = open.back().local().address == base::IpAddress(open.back().address());
      EXPECT_EQ(kept, mode == config::Mode::dnat);
    }
    for (Connection<F>& c : open) {
      EXPECT_TRUE(c.client(ACK, 10).forwarded());
      EXPECT_TRUE(c.server(ACK, 10).forwarded());
    }
  };
  begin(8, config::Mode::fullnat);
  begin(8, config::Mode::dnat);
  begin(8, config::Mode::fullnat);
  for (Connection<F>& c : open) c.close();
  b.advance(dp::kTimeWaitMs + 10'000);
  b.settle();
  EXPECT_EQ(b.flows(), 0U);
  EXPECT_TRUE(b.snapshot().services->dnat_servers.empty()) << "none is left that anybody needs";
}

// Errors, fragments, resets, retries, cookies.

TYPED_TEST(Dnat, ErrorsFindTheirWayBothWays) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  b.configure({seen_by<F>(dns<F>(1))});
  const Bytes query = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(5'000, kPort).payload(60).bytes();
  const Outcome sent = b.send(query);
  ASSERT_TRUE(sent.forwarded());
  const Bytes reply = from_server<F>(0, Net<F>::client()).udp(kServerPort, 5'000).payload(70).bytes();
  const Outcome answered = b.send(reply, {0, 1, 0});
  ASSERT_TRUE(answered.forwarded());
  for (unsigned worker = 0; worker < b.workers(); ++worker) {
    // The server, in the client's name: to the client.
    const Outcome to_client =
        b.send(error_about<F>(Net<F>::server(), Net<F>::client(), Balancer::server_mac(0), 1,
                              kPortUnreachable, sent.out, kIp<F> + 8),
               {worker, 1, 0});
    ASSERT_TRUE(to_client.forwarded()) << to_client;
    EXPECT_EQ(to_client.seen().src, base::IpAddress(Net<F>::vip()));
    EXPECT_EQ(to_client.seen().dst, base::IpAddress(Net<F>::client()));
    EXPECT_EQ(quoted(to_client.seen()).from(), (base::Endpoint{Net<F>::client(), 5'000}));
    EXPECT_EQ(quoted(to_client.seen()).to(), (base::Endpoint{Net<F>::vip(), kPort}));
    // The client, about the reply: to the server.
    const Outcome to_server = b.send(error_about<F>(Net<F>::client(), Net<F>::vip(), Balancer::kGatewayMac, 0,
                                                    kPortUnreachable, answered.out, kIp<F> + 8),
                                     {worker, 0, 0});
    ASSERT_TRUE(to_server.forwarded()) << to_server;
    EXPECT_EQ(to_server.seen().src, base::IpAddress(Net<F>::client()));
    EXPECT_EQ(to_server.seen().dst, base::IpAddress(Net<F>::server()));
    EXPECT_EQ(quoted(to_server.seen()).from(), (base::Endpoint{Net<F>::server(), kServerPort}));
    EXPECT_EQ(quoted(to_server.seen()).to(), (base::Endpoint{Net<F>::client(), 5'000}));
  }
  // About a packet that nobody has sent here.
  const Bytes other = from_client<F>(Net<F>::client(7), Net<F>::server()).udp(5'000, kServerPort).bytes();
  with_twins(b);
  EXPECT_EQ(b.send(error_about<F>(Net<F>::server(), Net<F>::client(7), Balancer::server_mac(0), 1,
                                  kPortUnreachable, other, kIp<F> + 8),
                   {0, 1, 0})
                .verdict,
            Verdict::punt);
}

TYPED_TEST(Dnat, OwnErrorsAboutRepliesComeFromTheVip) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.set_mtu(Balancer::kGateway, 1'300);
  PacketBuilder large = c.server_packet(ACK, 1'400);
  if constexpr (F == Family::v4) large.df();
  const Outcome o = b.send(large, {0, 1, 0});
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.seen().src, base::IpAddress(Net<F>::vip())) << "not from the client, who knows nothing of it";
  EXPECT_EQ(o.seen().dst, base::IpAddress(Net<F>::server()));
}

TYPED_TEST(Dnat, FragmentsBothWaysAtAnyWorker) {
  constexpr Family F = TypeParam::kFamily;
  constexpr unsigned kWorkers = 3;
  Balancer b(with_workers(kWorkers));
  b.configure({seen_by<F>(dns<F>(1))});
  const auto pass = [&](const PacketBuilder& datagram, std::uint16_t port, std::uint16_t id) {
    std::vector<Bytes> out;
    unsigned worker = 0;
    auto pieces = fragments(datagram.bytes(), 1'500, id);
    std::swap(pieces.front(), pieces.back());
    const auto take = [&out](const Outcome& o) {
      if (o.forwarded()) out.push_back(o.out);
    };
    for (const Bytes& piece : pieces) {
      take(b.send(piece, {worker++ % kWorkers, port, 0}));
      for (const Outcome& o : b.take_kept()) take(o);
    }
    EXPECT_EQ(out.size(), pieces.size());
    const auto whole = whole_of(out);
    EXPECT_TRUE(whole && valid(*whole));
    return whole ? see(*whole) : Seen{};
  };
  for (unsigned n = 0; n < 8; ++n) {
    const auto client = Net<F>::client(n);
    const Seen query = pass(from_client<F>(client, Net<F>::vip()).udp(5'000, kPort).payload(4'000), 0,
                            static_cast<std::uint16_t>(n));
    EXPECT_EQ(query.from(), (base::Endpoint{client, 5'000}));
    EXPECT_EQ(query.to(), (base::Endpoint{Net<F>::server(), kServerPort}));
    const Seen reply = pass(from_server<F>(0, client).udp(kServerPort, 5'000).payload(5'000), 1,
                            static_cast<std::uint16_t>(n));
    EXPECT_EQ(reply.from(), (base::Endpoint{Net<F>::vip(), kPort}));
    EXPECT_EQ(reply.to(), (base::Endpoint{client, 5'000}));
  }
}

TYPED_TEST(Dnat, IdleConnectionIsResetInTheClientsName) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = seen_by<F>(web<F>(1));
  service.timeouts.client = service.timeouts.server = std::chrono::seconds(10);
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.advance(15'000);
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 2U);
  std::set<std::pair<std::string, std::string>> ends;
  for (const Outcome& o : own) {
    EXPECT_TRUE((o.seen().flags.bits & RST.bits) != 0);
    ends.insert({o.seen().from().to_string(), o.seen().to().to_string()});
  }
  const base::Endpoint client{Net<F>::client(), 40'000}, vip{Net<F>::vip(), kPort},
      server{Net<F>::server(), kServerPort};
  EXPECT_EQ(ends, (std::set<std::pair<std::string, std::string>>{{vip.to_string(), client.to_string()},
                                                                 {client.to_string(), server.to_string()}}));
}

TYPED_TEST(Dnat, RefusedConnectionGoesToAnotherServer) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = seen_by<F>(web<F>(2));
  service.retries = 1;
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  EXPECT_TRUE(c.client(SYN).forwarded());
  const unsigned first = c.server_number();
  const auto refusal =
      from_server<F>(first, Net<F>::client()).tcp(kServerPort, 40'000, RST | ACK).ack(c.next_);
  EXPECT_TRUE(b.send(refusal, {0, 1, 0}).dropped(DropReason::retried));
  b.advance(1'500, 100);
  const auto again = b.take_stored();
  ASSERT_EQ(again.size(), 1U);
  ASSERT_TRUE(again.front().forwarded());
  EXPECT_EQ(again.front().seen().from(), (base::Endpoint{Net<F>::client(), 40'000}));
  c.reached(again.front().seen(), Connection<F>::kClientIsn);
  EXPECT_NE(c.server_number(), first);
  c.finish_handshake();
}

TYPED_TEST(Dnat, CookieBeginsAConnectionInTheClientsName) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = seen_by<F>(web<F>(1));
  service.syn_cookies = config::SynCookies::always;
  b.configure({service});
  const auto client = from_client<F>(Net<F>::client(), Net<F>::vip());
  const Outcome cookie = b.send(PacketBuilder(client).tcp(40'000, kPort, SYN).seq(1'000).mss(1'400));
  ASSERT_TRUE(cookie.reflected()) << cookie;
  const Outcome syn =
      b.send(PacketBuilder(client).tcp(40'000, kPort, ACK).seq(1'001).ack(cookie.seen().seq + 1).window(500));
  ASSERT_TRUE(syn.forwarded()) << syn;
  EXPECT_EQ(syn.seen().flags, SYN);
  EXPECT_EQ(syn.seen().from(), (base::Endpoint{Net<F>::client(), 40'000}));
  const auto server = from_server<F>(0, Net<F>::client()).tcp(kServerPort, 40'000, SYN | ACK);
  EXPECT_TRUE(b.send(PacketBuilder(server).seq(77).ack(1'001).mss(1'460), {0, 1, 0}).forwarded());
  const auto own = b.take_own();
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own.front().seen().from(), (base::Endpoint{Net<F>::client(), 40'000})) << "the ACK to the server";
}

TYPED_TEST(Dnat, ClientUsesItsPortAnew) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({seen_by<F>(web<F>(1))});
  for (std::uint32_t isn : {1'000U, 9'000U, 4'000'000'000U}) {
    Connection<F> c(b, 0, 40'000, isn);
    c.open();
    EXPECT_EQ(c.local(), (base::Endpoint{Net<F>::client(), 40'000}));
    EXPECT_EQ(c.shift(), 0U) << "the client's own numbers keep clear of its server's TIME_WAIT";
    c.close();
  }
}

}  // namespace
}  // namespace sluice::test
