// Which server, which worker, and what a change of configuration does to flows (facts: nat cases 8 and 13).
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Balance : public testing::Test {};
TYPED_TEST_SUITE(Balance, Families);

/// The server that a client's SYN goes to; kServers when it goes nowhere.
template <Family F>
unsigned pick(Balancer& b, unsigned client, std::uint16_t port = 40'000, unsigned worker = 0) {
  const Outcome o = b.send(from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(port, kPort, SYN).seq(1),
                           {.worker = worker, .port = 0, .segment = 0});
  return o.forwarded() ? number_of_server<F>(o.seen().dst) : Balancer::kServers;
}

template <Family F>
config::ForwardingService balanced(config::Balance balance, const std::vector<std::uint32_t>& weights) {
  auto service = web<F>(0);
  service.balance = balance;
  for (unsigned n = 0; n < weights.size(); ++n) service.servers.push_back(server<F>(n, weights[n]));
  return service;
}

TYPED_TEST(Balance, RoundRobinTakesTurns) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({balanced<F>(config::Balance::roundrobin, {1, 1, 1})});
  for (unsigned n = 0; n < 12; ++n) EXPECT_EQ(pick<F>(b, n), n % 3);
}

TYPED_TEST(Balance, RoundRobinByWeight) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({balanced<F>(config::Balance::roundrobin, {3, 1, 0})});
  std::map<unsigned, unsigned> got;
  for (unsigned n = 0; n < 400; ++n) ++got[pick<F>(b, n)];
  EXPECT_EQ(got, (std::map<unsigned, unsigned>{{0, 300}, {1, 100}}));
}

TYPED_TEST(Balance, FirstTakesTheFirst) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({balanced<F>(config::Balance::first, {0, 1, 1})});
  for (unsigned n = 0; n < 10; ++n) EXPECT_EQ(pick<F>(b, n), 1U);
}

TYPED_TEST(Balance, LeastConnPrefersTheIdle) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({balanced<F>(config::Balance::leastconn, {1, 1, 2})});
  std::map<unsigned, unsigned> got;
  for (unsigned n = 0; n < 400; ++n) ++got[pick<F>(b, n)];
  EXPECT_EQ(got, (std::map<unsigned, unsigned>{{0, 100}, {1, 100}, {2, 200}}));
  // All connections of server 1 end: it takes the next ones.
  b.advance(6'000);
  ASSERT_EQ(b.flows(), 0U);
  for (unsigned n = 0; n < 40; ++n) (void)pick<F>(b, n);
  EXPECT_EQ(b.flows(), 40U);
}

TYPED_TEST(Balance, RandomOfTwoKeepsTheLoadEven) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({balanced<F>(config::Balance::random, {1, 1, 2, 0})});
  std::map<unsigned, unsigned> got;
  for (unsigned n = 0; n < 800; ++n) ++got[pick<F>(b, n)];
  EXPECT_NEAR(got[0], 200, 40);
  EXPECT_NEAR(got[1], 200, 40);
  EXPECT_NEAR(got[2], 400, 60);
  EXPECT_EQ(got[3], 0U);
}

TYPED_TEST(Balance, HashIsStableAcrossWorkersAndProcesses) {
  constexpr Family F = TypeParam::kFamily;
  std::map<unsigned, unsigned> first;
  for (const unsigned workers : {1U, 3U}) {
    for (const auto balance : {config::Balance::source, config::Balance::hash}) {
      Balancer::Options options;
      options.workers = workers;
      Balancer b(options);
      b.configure({balanced<F>(balance, {1, 1, 1, 1})});
      for (unsigned n = 0; n < 200; ++n) {
        const unsigned got = pick<F>(b, n, 40'000, n % workers);
        const auto [known, fresh] = first.try_emplace(n, got);
        EXPECT_EQ(got, known->second) << n;
        EXPECT_EQ(pick<F>(b, n, 40'001, (n + 1) % workers), got) << "by source: whichever port";
      }
    }
  }
  std::map<unsigned, unsigned> shares;
  for (const auto& [client, server] : first) ++shares[server];
  for (unsigned s = 0; s < 4; ++s) EXPECT_NEAR(shares[s], 50, 25) << s;
}

TYPED_TEST(Balance, HashOnPortsSpreadsOneClient) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto key : {config::HashKey::source_port, config::HashKey::five_tuple}) {
    Balancer b;
    auto service = balanced<F>(config::Balance::hash, {1, 1, 1});
    service.hash_key = key;
    b.configure({service});
    std::map<unsigned, unsigned> got;
    for (unsigned n = 0; n < 300; ++n) ++got[pick<F>(b, 0, static_cast<std::uint16_t>(1'000 + n))];
    for (unsigned s = 0; s < 3; ++s) EXPECT_NEAR(got[s], 100, 40);
  }
}

TYPED_TEST(Balance, HashMovesFewWhenAServerGoes) {
  constexpr Family F = TypeParam::kFamily;
  Balancer before, after;
  before.configure({balanced<F>(config::Balance::source, {1, 1, 1, 1})});
  after.configure({balanced<F>(config::Balance::source, {1, 1, 0, 1})});
  unsigned moved = 0;
  for (unsigned n = 0; n < 400; ++n) {
    const unsigned was = pick<F>(before, n), is = pick<F>(after, n);
    EXPECT_NE(is, 2U);
    if (was != 2 && was != is) ++moved;
  }
  EXPECT_LT(moved, 20U);
}

TYPED_TEST(Balance, NoUsableServerRefusesAtOnce) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto udp = dns<F>(1);
  udp.servers[0].weight = 0;
  b.configure({web<F>(0), udp});
  const Outcome tcp = b.send(from_client<F>(Net<F>::client(), Net<F>::vip()).tcp(7, kPort, SYN).seq(99));
  ASSERT_TRUE(tcp.reflected());
  EXPECT_EQ(tcp.reason, DropReason::no_server);
  EXPECT_EQ(tcp.seen().flags, RST | ACK);
  EXPECT_EQ(tcp.seen().ack, 100U);
  const auto query = from_client<F>(Net<F>::client(), Net<F>::vip()).udp(7, kPort).payload("?");
  const Outcome o = b.send(query);
  ASSERT_TRUE(o.reflected());
  EXPECT_EQ(o.reason, DropReason::no_server);
  EXPECT_EQ(o.seen().icmp_type, F == Family::v4 ? 3 : 1);
  EXPECT_EQ(o.seen().icmp_code, F == Family::v4 ? 3 : 4);
  EXPECT_EQ(o.seen().payload, query.ip_bytes());
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Balance, WhatIsNoServicesIsTheKernels) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>()});
  const auto vip = from_client<F>(Net<F>::client(), Net<F>::vip());
  EXPECT_EQ(b.send(PacketBuilder(vip).tcp(1, 22, SYN)).verdict, Verdict::punt);
  EXPECT_EQ(b.send(PacketBuilder(vip).udp(1, kPort)).verdict, Verdict::punt) << "the service is TCP";
  EXPECT_EQ(b.send(from_client<F>(Net<F>::client(), Net<F>::vip(5)).tcp(1, kPort, SYN)).verdict,
            Verdict::punt);
  const Outcome other =
      b.send(with_ip<F>(eth(Balancer::kGatewayMac, Balancer::server_mac(3)), Net<F>::client(), Net<F>::vip())
                 .tcp(1, kPort, SYN));
  EXPECT_EQ(other.verdict, Verdict::punt);
  EXPECT_EQ(other.reason, DropReason::other_host);
}

// RFC 9568 §7.3: the virtual router's MAC address, while we have its address.
TYPED_TEST(Balance, AVirtualMacIsItsPortsOwn) {
  constexpr Family F = TypeParam::kFamily;
  constexpr base::Mac kVirtual{{0, 0, 0x5e, 0, 1, 61}};
  Balancer b;
  b.configure({web<F>()});
  const Bytes syn = with_ip<F>(eth(Balancer::kGatewayMac, kVirtual), Net<F>::client(), Net<F>::vip())
                        .tcp(1, kPort, SYN)
                        .bytes();
  b.set_virtual_macs({{1, kVirtual}});
  EXPECT_EQ(b.send(syn).reason, DropReason::other_host) << "that of another port";
  b.set_virtual_macs({{0, kVirtual}});
  const Outcome out = b.send(syn);
  ASSERT_TRUE(out.forwarded()) << out;
  EXPECT_EQ(out.seen().src_mac, Balancer::port_mac(1)) << "what leaves is from the port itself";
  b.set_virtual_macs({});
  EXPECT_EQ(b.send(syn).reason, DropReason::other_host);
}

// Case 8.

TYPED_TEST(Balance, AnyNumberOfWorkersGivesTheSameResults) {
  constexpr Family F = TypeParam::kFamily;
  for (unsigned workers = 1; workers <= 4; ++workers) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    Balancer::Options options;
    options.workers = workers;
    Balancer b(options);
    b.configure({balanced<F>(config::Balance::source, {1, 1, 1})});
    for (unsigned n = 0; n < 40; ++n) {
      Connection<F> c(b, n, static_cast<std::uint16_t>(1'000 + n));
      // Packets arrive at whichever worker, replies at another.
      c.at_worker(n % workers, (n + 1) % workers).open();
      EXPECT_EQ(c.local().port % workers, b.send(c.client_packet(ACK)).worker) << "the port tells the owner";
      EXPECT_TRUE(c.client(ACK, 100).forwarded());
      EXPECT_TRUE(c.server(ACK, 100).forwarded());
      EXPECT_TRUE(c.at_worker((n + 2) % workers, (n + 3) % workers).client(ACK, 100).forwarded());
      c.close();
    }
    EXPECT_EQ(b.flows(), 40U);
    if (workers == 1) {
      EXPECT_EQ(b.handed_over(), 0U);
    } else {
      EXPECT_GT(b.handed_over(), 0U);
      for (unsigned w = 0; w < workers; ++w) EXPECT_GT(b.worker(w).flows<F>().size(), 0U) << "worker " << w;
    }
  }
}

TYPED_TEST(Balance, ErrorsFindTheOwnerByWhatTheyQuote) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 4;
  Balancer b(options);
  b.configure({dns<F>(1)});
  for (unsigned n = 0; n < 20; ++n) {
    const Outcome asked =
        b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).udp(5'000, kPort).payload(40));
    ASSERT_TRUE(asked.forwarded());
    const Bytes quote(asked.out.begin() + 14, asked.out.end());
    for (unsigned worker = 0; worker < 4; ++worker) {
      PacketBuilder error = from_server<F>(0, Net<F>::vip());
      if constexpr (F == Family::v4) {
        error.icmp(3, 3);
      } else {
        error.icmp6(1, 4);
      }
      const Outcome o = b.send(error.raw(quote), {.worker = worker, .port = 1, .segment = 0});
      ASSERT_TRUE(o.forwarded()) << o;
      EXPECT_EQ(o.seen().dst, base::IpAddress(Net<F>::client(n)));
      EXPECT_EQ(o.worker, asked.worker);
      EXPECT_EQ(o.handed_over, worker != asked.worker);
    }
  }
}

TYPED_TEST(Balance, WorkersHaveTheirOwnSlicesOfThePorts) {  // case 7
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 3;
  Balancer b(options);
  auto service = dns<F>(1);
  service.source_ports = {20'000, 20'029};
  b.configure({service});
  unsigned forwarded = 0, refused = 0;
  for (unsigned n = 0; n < 300; ++n) {
    const Outcome o = b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).udp(5'000, kPort));
    if (o.forwarded()) {
      ++forwarded;
      EXPECT_EQ(o.seen().sport % 3U, o.worker);
    } else {
      ++refused;
      EXPECT_TRUE(o.dropped(DropReason::no_source_port)) << o;
    }
  }
  EXPECT_EQ(forwarded, 30U) << "every port of every slice";
  EXPECT_EQ(refused, 270U);
}

// Case 13.

TYPED_TEST(Balance, RemovedServerKeepsItsFlowsAndGetsNoNewOnes) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(2)});
  Connection<F> zero(b, 0, 40'000), one(b, 1, 40'000);
  zero.open();
  one.open();
  ASSERT_EQ(zero.server_number(), 0U);
  const std::uint16_t slot = b.server_slot("web", "s0");
  auto service = web<F>(2);
  service.servers.erase(service.servers.begin());
  b.configure({service});
  EXPECT_EQ(b.server_slot("web", "s0"), slot) << "drains";
  for (unsigned n = 0; n < 5; ++n) EXPECT_EQ(pick<F>(b, 10 + n), 1U);
  EXPECT_TRUE(zero.client(ACK, 100).forwarded());
  EXPECT_TRUE(zero.server(ACK, 100).forwarded());
  b.settle();
  EXPECT_EQ(b.server_slot("web", "s0"), slot);
  EXPECT_TRUE(zero.client(ACK).forwarded());
  zero.close();
  b.advance(11'000);
  b.settle();
  EXPECT_EQ(b.server_slot("web", "s0"), dp::kNoIndex) << "free after its last flow";
  EXPECT_TRUE(one.client(ACK, 1).forwarded());
}

TYPED_TEST(Balance, RemovedServerWithAFlowThatNobodyHasCountedYet) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  b.settle();  // no flows so far
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.configure({web<F>(0)});
  EXPECT_TRUE(c.client(ACK, 100).forwarded());
  EXPECT_TRUE(c.server(ACK, 100).forwarded());
  b.advance(3'700'000);
  EXPECT_EQ(b.flows(), 0U);
}

TYPED_TEST(Balance, SlotIsReusedOnlyAfterTheLastFlow) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint16_t slot = b.server_slot("web", "s0");
  auto service = web<F>(0);
  service.servers = {server<F>(7)};
  b.configure({service});
  EXPECT_NE(b.server_slot("web", "s7"), slot);
  b.settle();
  service.servers.push_back(server<F>(8));
  b.configure({service});
  EXPECT_NE(b.server_slot("web", "s8"), slot);
  c.close();
  b.advance(11'000);
  b.settle();
  service.servers.push_back(server<F>(9));
  b.configure({service});
  EXPECT_EQ(b.server_slot("web", "s9"), slot);
}

TYPED_TEST(Balance, WhatStaysKeepsItsSlot) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(3), dns<F>(3)});
  std::vector<std::uint16_t> slots;
  for (const char* name : {"s0", "s1", "s2"}) slots.push_back(b.server_slot("web", name));
  auto service = web<F>(3);
  std::swap(service.servers[0], service.servers[2]);
  service.servers[1].weight = 77;
  service.balance = config::Balance::leastconn;
  b.configure({service});
  std::size_t i = 0;
  for (const char* name : {"s0", "s1", "s2"}) EXPECT_EQ(b.server_slot("web", name), slots[i++]);
}

TYPED_TEST(Balance, TablesThatDoNotChangeAreShared) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto hashed = balanced<F>(config::Balance::source, {1, 1, 1});
  auto other = dns<F>(3);
  b.configure({hashed, other});
  const auto* before = b.snapshot().services.get();
  const auto kept = b.snapshot().services;
  const auto choices = kept->services[0].choices;
  other.servers[0].weight = 50;
  b.configure({hashed, other});
  ASSERT_NE(b.snapshot().services.get(), before);
  EXPECT_EQ(b.snapshot().services->services[0].choices, choices) << "the Maglev table is not built anew";
  hashed.servers[0].weight = 2;
  b.configure({hashed, other});
  EXPECT_NE(b.snapshot().services->services[0].choices, choices);
}

TYPED_TEST(Balance, ServiceThatIsRemovedDrains) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(2)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  b.configure({});
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_EQ(pick<F>(b, 1), Balancer::kServers);
  c.close();
  b.advance(11'000);
  b.settle();
  EXPECT_EQ(b.send(from_client<F>(Net<F>::client(1), Net<F>::vip()).tcp(1, kPort, SYN)).verdict,
            Verdict::punt);
}

TYPED_TEST(Balance, ServerThatComesBackWhileItDrains) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  const std::uint16_t slot = b.server_slot("web", "s0");
  b.configure({web<F>(0)});
  b.configure({web<F>(1)});
  EXPECT_EQ(b.server_slot("web", "s0"), slot);
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_EQ(pick<F>(b, 1), 0U);
}

TYPED_TEST(Balance, ServerWithANewEndpointIsAnother) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  auto service = web<F>(1);
  service.servers[0].endpoint.address = Net<F>::server(5);
  b.configure({service});
  EXPECT_TRUE(c.client(ACK, 10).forwarded()) << "to the old one";
  EXPECT_EQ(pick<F>(b, 1), 5U);
}

TYPED_TEST(Balance, ChangeOfTheSourcePortsLeavesFlowsAlone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  auto service = web<F>(1);
  service.source_ports = {50'000, 50'999};
  b.configure({service});
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded()) << "the reply to a port of the old range";
  Connection<F> fresh(b, 1, 40'000);
  fresh.open();
  EXPECT_TRUE(service.source_ports.contains(fresh.local().port));
}

TYPED_TEST(Balance, ChangeOfTheLocalAddressLeavesFlowsAlone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(1);
  service.local_addresses = {Net<F>::vip(8)};
  b.configure({service});
  Connection<F> c(b, 0, 40'000);
  c.open();
  service.local_addresses = {Net<F>::vip(9)};
  b.configure({service});
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded()) << "the reply to the old address";
  Connection<F> fresh(b, 1, 40'000);
  fresh.open();
  EXPECT_EQ(fresh.local().address, base::IpAddress(Net<F>::vip(9)));
}

TYPED_TEST(Balance, NewServiceOnTheAddressOfADrainingOneMayHaveOtherPorts) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  auto service = web<F>(1);
  service.name = "another";
  service.source_ports = {50'000, 50'999};
  b.configure({service});
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  Connection<F> fresh(b, 1, 40'000);
  fresh.open();
  EXPECT_TRUE(fresh.server(ACK, 10).forwarded());
}

TYPED_TEST(Balance, ConfigurationsThatCannotBeAreRefusedWhole) {
  constexpr Family F = TypeParam::kFamily;
  constexpr Family G = F == Family::v4 ? Family::v6 : Family::v4;
  Balancer b;
  b.configure({web<F>(1)});
  const auto before = b.snapshot().services;
  auto local = web<F>(1), twice = web<F>(1), mixed = web<F>(1), none = web<F>(1), other = dns<F>(1);
  local.local_addresses = {Net<G>::vip()};
  twice.name = "other";
  mixed.servers.push_back(server<G>(1));
  none.local_addresses.clear();
  other.source_ports = {1'024, 2'000};
  const std::vector<std::vector<config::ForwardingService>> wrong{
      {local}, {web<F>(1), twice}, {mixed}, {none}, {web<F>(1), other}};
  for (const auto& services : wrong) {
    const auto done = b.try_configure(services);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("service \""), std::string::npos) << done.error().message;
    EXPECT_EQ(b.snapshot().services, before);
  }
  EXPECT_EQ(pick<F>(b, 0), 0U);
}

}  // namespace
}  // namespace sluice::test
