// Who may begin connections to a service, and how fast: limits by client.
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "dp/control/server_ledger.h"
#include "test/packet/client_world.h"

namespace sluice::test {
namespace {

template <typename T>
class Clients : public testing::Test {};
TYPED_TEST_SUITE(Clients, Families);

// ---------------------------------------------------------------- prefixes

TYPED_TEST(Clients, DeniedAreRefusedAndOthersLetIn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {clients_net<F>(16, 3)}})});
  EXPECT_TRUE(b.send(syn_of<F>(2)).forwarded());
  const Outcome o = b.send(syn_of<F>(3));
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.reason, DropReason::client_denied);
  EXPECT_EQ(o.seen().flags, RST | ACK);
  EXPECT_EQ(o.seen().ack, 1'001U);
  EXPECT_EQ(counted(b), (Counted{.denied = 1}));
  EXPECT_EQ(b.flows(), 1U);
}

TYPED_TEST(Clients, WhereSomeAreAllowedOthersAreNot) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {clients_net<F>(16, 3)}, .deny = {}})});
  EXPECT_TRUE(b.send(syn_of<F>(3)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(2)).reason, DropReason::client_denied);
}

TYPED_TEST(Clients, LongestPrefixDecides) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  // Numbers of addresses are one more than those of clients: 256..511 are denied, of these 260..263 let in,
  // but for 262.
  const base::Prefix all = {base::IpAddress(base::Address<F>{}), 0};
  b.configure({limited<F>(
      {.allow = {all, clients_net<F>(14, 259)}, .deny = {clients_net<F>(8, 300), clients_net<F>(16, 261)}})});
  EXPECT_TRUE(b.send(syn_of<F>(0)).forwarded()) << "under all";
  EXPECT_TRUE(b.send(syn_of<F>(254)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(255)).reason, DropReason::client_denied);
  EXPECT_EQ(b.send(syn_of<F>(258)).reason, DropReason::client_denied);
  EXPECT_TRUE(b.send(syn_of<F>(259)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(261)).reason, DropReason::client_denied);
  EXPECT_TRUE(b.send(syn_of<F>(262)).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(510)).reason, DropReason::client_denied);
  EXPECT_TRUE(b.send(syn_of<F>(511)).forwarded());
}

TYPED_TEST(Clients, RefusedInSilenceWhereTheServiceWantsThat) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {clients_net<F>()}, .refuse = config::ClientRefusal::drop})});
  EXPECT_TRUE(b.send(syn_of<F>(3)).dropped(DropReason::client_denied));
}

TYPED_TEST(Clients, ConnectionsThatAreOpenOutliveADenial) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({})});
  Connection<F> c(b, 3, kClientPort);
  c.open();
  b.configure({limited<F>({.allow = {}, .deny = {clients_net<F>()}})});
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_TRUE(c.server(ACK, 10).forwarded());
  EXPECT_EQ(b.send(syn_of<F>(3, 7)).reason, DropReason::client_denied);
  c.close();
  EXPECT_EQ(b.send(syn_of<F>(3)).reason, DropReason::client_denied) << "the port anew is a new connection";
}

TYPED_TEST(Clients, DatagramsAreAnsweredByIcmp) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = dns<F>();
  service.clients = {.allow = {}, .deny = {clients_net<F>(16, 3)}};
  b.configure({service});
  const auto datagram = [](unsigned client) {
    return from_client<F>(Net<F>::client(client), Net<F>::vip()).udp(kClientPort, kPort).payload(20);
  };
  EXPECT_TRUE(b.send(datagram(2)).forwarded());
  const Outcome o = b.send(datagram(3));
  ASSERT_TRUE(o.reflected()) << o;
  EXPECT_EQ(o.reason, DropReason::client_denied);
  // RFC 1812 §5.2.7.1, RFC 4443 §3.1: administratively prohibited.
  EXPECT_EQ(o.seen().icmp_type, F == Family::v4 ? 3 : 1);
  EXPECT_EQ(o.seen().icmp_code, F == Family::v4 ? 13 : 1);
  EXPECT_EQ(quoted(o.seen()).dport, kPort);
}

// ---------------------------------------------------------------- rate

TYPED_TEST(Clients, RateLetsABurstInAndThenSoManyASecond) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(4));
  b.configure({limited<F>({.allow = {}, .deny = {}, .rate = 10, .burst = 20})});
  std::uint16_t port = 0;
  const auto let_in = [&](unsigned tries) {
    unsigned in = 0;
    for (unsigned i = 0; i < tries; ++i) {
      const Outcome o = knock<F>(b, 0, ++port);
      in += o.forwarded() ? 1 : 0;
      EXPECT_TRUE(o.forwarded() || o.reason == DropReason::client_rate) << o;
    }
    return in;
  };
  EXPECT_EQ(let_in(30), 20U);
  b.advance(99, 99);
  EXPECT_EQ(let_in(1), 0U);
  b.advance(1, 1);
  EXPECT_EQ(let_in(2), 1U) << "a token each 100 ms";
  b.advance(1'000);
  EXPECT_EQ(let_in(20), 10U);
  b.advance(3'600'000, 100'000);
  EXPECT_EQ(let_in(30), 20U) << "no more than the burst, however long the pause";
  EXPECT_TRUE(knock<F>(b, 1, 1).forwarded()) << "of another client";
  EXPECT_EQ(counted(b), (Counted{.over_rate = 10 + 1 + 1 + 10 + 10}));
}

TYPED_TEST(Clients, RateIsKeptWhereTheClockBeginsAnew) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.start = base::Tick{UINT32_MAX - 100};
  Balancer b(options);
  b.configure({limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 1})});
  EXPECT_TRUE(b.send(syn_of<F>(0, 1)).forwarded());
  b.advance(999, 333);
  EXPECT_EQ(b.send(syn_of<F>(0, 2)).reason, DropReason::client_rate);
  b.advance(1, 1);
  EXPECT_TRUE(b.send(syn_of<F>(0, 2)).forwarded());
}

TYPED_TEST(Clients, RefusedByRateHoldNoPlace) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({limited<F>({.allow = {}, .deny = {}, .rate = 1, .burst = 1, .maxconn = 2})});
  EXPECT_TRUE(b.send(syn_of<F>(0, 1)).forwarded());
  for (std::uint16_t port = 2; port < 9; ++port)
    EXPECT_EQ(b.send(syn_of<F>(0, port)).reason, DropReason::client_rate);
  EXPECT_EQ(b.client_places(0), 1U);
  b.advance(1'000);
  EXPECT_TRUE(b.send(syn_of<F>(0, 9)).forwarded());
}

// ---------------------------------------------------------------- the table is full

TYPED_TEST(Clients, WhoFindsNoSlotIsLetInUncounted) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = limited<F>({.allow = {}, .deny = {}, .maxconn = 1, .table = 16});
  service.syn_cookies = config::SynCookies::off;
  b.configure({service});
  for (unsigned n = 0; n < 100; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_EQ(b.client_places(0), 16U);
  EXPECT_EQ(counted(b), (Counted{.untracked = 84}));
  b.advance(6'000);
  EXPECT_EQ(b.client_places(0), 0U) << "who was not counted gave nothing back";
  for (unsigned n = 100; n < 110; ++n) EXPECT_TRUE(b.send(syn_of<F>(n)).forwarded());
  EXPECT_EQ(b.client_places(0), 10U) << "slots are used anew";
}

// ---------------------------------------------------------------- SYN cookies

template <Family F>
struct Cookie {
  Outcome answer;
  [[nodiscard]] PacketBuilder back(unsigned client, std::uint16_t port) const {
    PacketBuilder p = from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(port, kPort, ACK).seq(1'001);
    return p.ack(answer.seen().seq + 1);
  }
};

TYPED_TEST(Clients, PrefixesAreMindedBeforeACookieAndTheRestAfterIt) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto refusal : {config::ClientRefusal::reset, config::ClientRefusal::drop}) {
    Balancer b;
    auto service = limited<F>({.allow = {},
                               .deny = {clients_net<F>(16, 3)},
                               .rate = 1,
                               .burst = 1,
                               .maxconn = 0,
                               .refuse = refusal});
    service.syn_cookies = config::SynCookies::always;
    b.configure({service});
    EXPECT_EQ(b.send(syn_of<F>(3)).reason, DropReason::client_denied);
    // SYNs cost nothing: whoever sends them may not be the client.
    const Cookie<F> first{b.send(syn_of<F>(0, 1))}, second{b.send(syn_of<F>(0, 2))};
    ASSERT_EQ(first.answer.reason, DropReason::syn_cookie_sent);
    ASSERT_EQ(second.answer.reason, DropReason::syn_cookie_sent);
    EXPECT_EQ(b.client_places(0), 0U);
    EXPECT_TRUE(b.send(first.back(0, 1)).forwarded());
    const Outcome refused = b.send(second.back(0, 2));
    ASSERT_TRUE(refused.reflected()) << "it has been told that it is connected: " << refused;
    EXPECT_EQ(refused.reason, DropReason::client_rate);
    EXPECT_EQ(refused.seen().seq, second.answer.seen().seq + 1) << "so that it is believed";
    EXPECT_EQ(counted(b), (Counted{.denied = 1, .over_rate = 1}));
    EXPECT_EQ(b.client_places(0), 1U);
    b.advance(10'000);  // no server answers
    EXPECT_EQ(b.client_places(0), 0U) << "given up";
  }
}

// ---------------------------------------------------------------- report

TYPED_TEST(Clients, CountersGoByTheServicesName) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b(with_workers(2));
  dp::ServerLedger ledger({&b.worker(0), &b.worker(1)});
  auto service = limited<F>({.allow = {}, .deny = {clients_net<F>()}});
  b.configure({service});
  (void)ledger.follow(b.compiler());
  for (std::uint16_t port = 0; port < 6; ++port) (void)knock<F>(b, 0, port + 1);
  EXPECT_EQ(ledger.services()["web"].clients.denied, 6U);
  service.vip.port = 81;  // another slot
  b.configure({service});
  (void)ledger.follow(b.compiler());
  EXPECT_EQ(ledger.services()["web"].clients.denied, 6U);
  b.configure({});
  b.settle();
  (void)ledger.follow(b.compiler());
  EXPECT_TRUE(ledger.services().empty());
}

}  // namespace
}  // namespace sluice::test
