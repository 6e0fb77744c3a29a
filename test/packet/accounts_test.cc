#include "test/packet/world.h"

/// What is counted and kept for a server, and when it is let go.
namespace sluice::test {
namespace {

template <typename T>
class Accounts : public testing::Test {};
TYPED_TEST_SUITE(Accounts, Families);

/// Connections that a server has open, as `leastconn` and the reports see them.
std::uint64_t open_connections(Balancer& b, std::uint16_t slot) {
  const dp::ServerCounters& c = b.worker().servers[slot];
  return c.connections_new.get() - c.connections_closed.get();
}
/// Flows that refer to it.
std::uint64_t remembered(Balancer& b, std::uint16_t slot) {
  const dp::ServerCounters& c = b.worker().servers[slot];
  return c.connections_new.get() - c.connections_ended.get();
}

TYPED_TEST(Accounts, ClosedConnectionsDoNotCountAsOpen) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  const std::uint16_t slot = b.server_slot("web", "s0");
  Connection<F> closed(b, 0, 40'000), reset(b, 1, 40'000), refused(b, 2, 40'000), silent(b, 3, 40'000),
      open(b, 4, 40'000);
  closed.open().close();
  EXPECT_TRUE(reset.open().client(RST | ACK).forwarded());
  EXPECT_TRUE(refused.client(SYN).forwarded());
  EXPECT_TRUE(refused.server(RST | ACK).forwarded());
  EXPECT_TRUE(silent.client(SYN).forwarded());
  open.open();
  EXPECT_EQ(open_connections(b, slot), 2U);
  EXPECT_EQ(remembered(b, slot), 5U);
  b.advance(30'000);
  EXPECT_EQ(open_connections(b, slot), 1U);
  EXPECT_EQ(remembered(b, slot), 1U);
  open.close();
  b.advance(30'000);
  EXPECT_EQ(open_connections(b, slot), 0U);
  EXPECT_EQ(remembered(b, slot), 0U);
}

TYPED_TEST(Accounts, ClientThatUsesItsPortAnewCountsOnce) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  const std::uint16_t slot = b.server_slot("web", "s0");
  Connection<F> first(b, 0, 40'000);
  first.open().close();
  Connection<F> second(b, 0, 40'000, 900'000);
  second.open();
  EXPECT_EQ(open_connections(b, slot), 1U);
  EXPECT_EQ(remembered(b, slot), 1U);
}

TYPED_TEST(Accounts, LeastConnForgetsWhatIsClosed) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = web<F>(2);
  service.balance = config::Balance::leastconn;
  b.configure({service});
  Connection<F> stays(b, 0, 40'000);
  stays.open();
  for (unsigned n = 1; n < 20; ++n) {
    Connection<F> passes(b, n, 40'000);
    passes.open().close();
    EXPECT_NE(passes.server_number(), stays.server_number()) << n;
  }
}

TYPED_TEST(Accounts, PortsOfAFormerRangeAreSluicesUntilTheLastComesBack) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  auto service = web<F>(1);
  service.source_ports = {50'000, 50'999};
  b.configure({service});
  b.settle();
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  const auto probe = from_server<F>(0, Net<F>::vip()).tcp(kServerPort, 20'500, ACK);
  EXPECT_TRUE(b.send(probe, {.worker = 0, .port = 1, .segment = 0}).reflected());
  c.close();
  b.advance(30'000);
  b.settle();
  const auto range = b.snapshot().services->addresses.at(0).source_ports;
  EXPECT_EQ(range, service.source_ports);
  EXPECT_EQ(b.send(probe, {.worker = 0, .port = 1, .segment = 0}).verdict, Verdict::punt)
      << "the kernel's again";
  Connection<F> fresh(b, 1, 40'000);
  fresh.open();
}

TYPED_TEST(Accounts, FormerRangeThatReturnsIsTheSamePool) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({web<F>(1)});
  Connection<F> c(b, 0, 40'000);
  c.open();
  auto service = web<F>(1);
  service.source_ports = {50'000, 50'999};
  b.configure({service});
  b.settle();
  b.configure({web<F>(1)});
  b.settle();
  for (unsigned n = 1; n < 1'000; ++n) {
    Connection<F> other(b, n, 40'000);
    ASSERT_TRUE(other.client(SYN).forwarded());
    ASSERT_NE(other.local(), c.local());
  }
}

TYPED_TEST(Accounts, RangeThatIsNoneIsRefused) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  for (const config::PortRange range : {config::PortRange{2'000, 1'000}, config::PortRange{0, 1'000}}) {
    auto service = web<F>(1);
    service.source_ports = range;
    EXPECT_FALSE(b.try_configure({service}));
  }
}

}  // namespace
}  // namespace sluice::test
