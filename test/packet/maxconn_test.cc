// How many connections a server, a service and the instance take, over all workers.
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Maxconn : public testing::Test {};
TYPED_TEST_SUITE(Maxconn, Families);

Balancer::Options with_workers(unsigned workers) {
  Balancer::Options options;
  options.workers = workers;
  return options;
}

template <Family F>
config::ForwardingService limited(std::vector<std::uint32_t> maxconns) {
  auto service = web<F>(static_cast<unsigned>(maxconns.size()));
  for (std::size_t n = 0; n < maxconns.size(); ++n) service.servers[n].maxconn = maxconns[n];
  return service;
}

std::uint32_t open_at(Balancer& b, const std::string& server, const std::string& service = "web") {
  return b.load().servers[b.server_slot(service, server)].open.taken();
}

/// SYNs of `count` clients, at all workers in turn; how many reached which server.
template <Family F>
std::map<unsigned, unsigned> knock(Balancer& b, unsigned count, unsigned first = 0) {
  std::map<unsigned, unsigned> reached;
  for (unsigned n = first; n < first + count; ++n) {
    const Outcome o = b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).tcp(40'000, kPort, SYN).seq(1),
                             {.worker = n % b.workers(), .port = 0, .segment = 0});
    if (o.forwarded()) ++reached[number_of_server<F>(o.seen().dst)];
  }
  return reached;
}

TYPED_TEST(Maxconn, IsNeverExceededWhicheverWorker) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto balance : {config::Balance::roundrobin, config::Balance::leastconn, config::Balance::random,
                             config::Balance::first, config::Balance::source, config::Balance::hash}) {
    Balancer b(with_workers(4));
    auto service = limited<F>({10, 7, 3});
    service.balance = balance;
    b.configure({service});
    const auto reached = knock<F>(b, 100);
    for (const auto& [server, count] : reached) EXPECT_LE(count, std::vector<unsigned>({10, 7, 3})[server]);
    if (balance != config::Balance::source && balance != config::Balance::hash) {
      EXPECT_EQ(reached, (std::map<unsigned, unsigned>{{0, 10}, {1, 7}, {2, 3}}));
    }
    EXPECT_EQ(b.flows(), b.load().open.taken());
  }
}

TYPED_TEST(Maxconn, PassesOverTheFullAndKeepsTheOthersInOrder) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({0, 2, 0})});
  std::string order;
  for (unsigned n = 0; n < 12; ++n)
    order += static_cast<char>('0' + static_cast<int>(knock<F>(b, 1, n).begin()->first));
  EXPECT_EQ(order, "012012020202");
}

TYPED_TEST(Maxconn, FirstFillsOneAfterTheOther) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({2, 3, 0});
  service.balance = config::Balance::first;
  b.configure({service});
  std::string order;
  for (unsigned n = 0; n < 8; ++n)
    order += static_cast<char>('0' + static_cast<int>(knock<F>(b, 1, n).begin()->first));
  EXPECT_EQ(order, "00111222");
}

TYPED_TEST(Maxconn, HoldsForUdpWhichIsRefused) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto balance : {config::Balance::roundrobin, config::Balance::source}) {
    Balancer b;
    auto service = dns<F>(2);
    for (auto& s : service.servers) s.maxconn = 3;
    service.balance = balance;
    service.timeouts.udp = config::Milliseconds(60'000);
    b.configure({service});
    unsigned forwarded = 0;
    for (unsigned n = 0; n < 20; ++n) {
      const Outcome o = b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).udp(9, kPort));
      if (o.forwarded()) {
        ++forwarded;
        continue;
      }
      EXPECT_EQ(o.reason, DropReason::servers_full);
      EXPECT_TRUE(o.reflected());
    }
    EXPECT_EQ(forwarded, 6U) << "affinity yields where a server is full";
    b.advance(61'000);
    EXPECT_TRUE(b.send(from_client<F>(Net<F>::client(50), Net<F>::vip()).udp(9, kPort)).forwarded());
  }
}

TYPED_TEST(Maxconn, OfServiceAndInstance) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(3));
  auto service = web<F>(2);
  service.maxconn = 9;
  auto other = dns<F>(1);
  b.configure({service, other});
  const auto reached = knock<F>(b, 30);
  EXPECT_EQ(b.flows(), 9U);
  b.set_maxconn(12);
  unsigned forwarded = 0;
  for (unsigned n = 0; n < 10; ++n) {
    forwarded += b.send(from_client<F>(Net<F>::client(n), Net<F>::vip()).udp(9, kPort)).forwarded() ? 1 : 0;
  }
  EXPECT_EQ(forwarded, 3U) << "12 less the 9 of the other service";
}

TYPED_TEST(Maxconn, PlacesComeBackHoweverAConnectionEnds) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({1})});
  std::uint16_t port = 1'000;
  const auto next = [&] {
    EXPECT_EQ(open_at(b, "s0"), 0U);
    return Connection<F>(b, 0, port++);
  };
  next().open().close();
  next().open().close_by_server();
  auto c = next().open();
  EXPECT_TRUE(c.client(RST | ACK).forwarded());
  c = next().open();
  EXPECT_TRUE(c.server(RST | ACK).forwarded());
  c = next();
  EXPECT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(open_at(b, "s0"), 1U);
  b.advance(20'000);
  c = next().open();
  EXPECT_EQ(open_at(b, "s0"), 1U);
  b.advance(2 * 3'600'000, 60'000);
  EXPECT_EQ(open_at(b, "s0"), 0U);
}

TYPED_TEST(Maxconn, PlaceIsGivenBackWhereNoFlowComesAbout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({3});
  service.source_ports = {20'000, 20'001};
  b.configure({service});
  EXPECT_EQ(knock<F>(b, 2), (std::map<unsigned, unsigned>{{0, 2}}));
  EXPECT_TRUE(b.send(from_client<F>(Net<F>::client(9), Net<F>::vip()).tcp(7, kPort, SYN))
                  .dropped(DropReason::no_source_port));
  EXPECT_EQ(open_at(b, "s0"), 2U);
}

TYPED_TEST(Maxconn, LoweredCutsNobody) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({5})});
  std::vector<Connection<F>> open;
  for (unsigned n = 0; n < 5; ++n) open.push_back(Connection<F>(b, n, 40'000).open());
  b.configure({limited<F>({2})});
  for (auto& c : open) {
    EXPECT_TRUE(c.client(ACK, 10).forwarded());
    EXPECT_TRUE(c.server(ACK, 10).forwarded());
  }
  EXPECT_EQ(knock<F>(b, 1, 50).size(), 0U);
  open[0].close(), open[1].close(), open[2].close();
  EXPECT_EQ(b.take_stored().size(), 0U) << "two are still open";
  open[3].close();
  EXPECT_EQ(b.take_stored().size(), 1U);
}

TYPED_TEST(Maxconn, LeastConnCountsWhatIsOpenAtAllWorkers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(4));
  auto service = limited<F>({0, 0, 5});
  service.balance = config::Balance::leastconn;
  b.configure({service});
  EXPECT_EQ(knock<F>(b, 65), (std::map<unsigned, unsigned>{{0, 30}, {1, 30}, {2, 5}}));
}

// HAProxy's order from the first connection on (HAProxy 2.6.12: weights 3,2,3,3).
TYPED_TEST(Maxconn, FirstLapOfRoundRobinIsHAProxys) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(4);
  const std::vector<std::uint32_t> weights{3, 2, 3, 3};
  for (unsigned n = 0; n < 4; ++n) service.servers[n].weight = weights[n] * 16;
  b.configure({service});
  std::string order;
  for (unsigned n = 0; n < 33; ++n)
    order += static_cast<char>('0' + static_cast<int>(knock<F>(b, 1, n).begin()->first));
  EXPECT_EQ(order,
            "02302310230"
            "12302310230"
            "12302310230");
}

}  // namespace
}  // namespace sluice::test
