// Attempts to reach a server that fail: another gets the SYN, and the client sees nothing of it.
#include <vector>

#include <gtest/gtest.h>

#include "test/packet/world.h"

namespace sluice::test {
namespace {

template <typename T>
class Retry : public testing::Test {};
TYPED_TEST_SUITE(Retry, Families);

constexpr std::uint16_t kClientPort = 40'000;

template <Family F>
config::ForwardingService patient(unsigned servers, std::uint16_t retries = 3, bool redispatch = true) {
  auto service = web<F>(servers);
  service.retries = retries;
  service.redispatch = redispatch;
  return service;
}

struct Handshakes {
  std::uint64_t answered = 0, refused = 0, unreachable = 0, unanswered = 0, retried = 0, redispatched = 0;
  friend bool operator==(const Handshakes&, const Handshakes&) = default;
  friend void PrintTo(const Handshakes& h, std::ostream* out) {
    *out << h.answered << " answered, " << h.refused << " refused, " << h.unreachable << " unreachable, "
         << h.unanswered << " unanswered, " << h.retried << " retried, " << h.redispatched << " redispatched";
  }
};

Handshakes handshakes(Balancer& b, const std::string& server) {
  Handshakes sum;
  const std::uint16_t slot = b.server_slot("web", server);
  for (unsigned w = 0; w < b.workers(); ++w) {
    const dp::ServerHandshakes& h = b.worker(w).handshakes[slot];
    sum.answered += h.answered.get();
    sum.refused += h.refused.get();
    sum.unreachable += h.unreachable.get();
    sum.unanswered += h.unanswered.get();
    sum.retried += h.retried.get();
    sum.redispatched += h.redispatched.get();
  }
  return sum;
}

std::uint32_t failures_in_row(Balancer& b, const std::string& server) {
  return b.load().servers[b.server_slot("web", server)].failures_in_row.load();
}

/// An ICMP error about `frame`, which left for a server.
template <Family F>
Bytes unreachable(const Bytes& frame, std::uint8_t v4_code = 3, std::uint8_t v6_code = 4) {
  const Seen seen = see(frame);
  const Bytes quote(frame.begin() + 14, frame.end());
  PacketBuilder p = from_client<F>(Net<F>::router(), seen.src.template as<F>());
  if constexpr (F == Family::v4) {
    p.icmp(3, v4_code, 0);
  } else {
    p.icmp6(1, v6_code, 0);
  }
  return p.raw(quote).bytes();
}

/// The one SYN that was tried again just now.
Outcome again(Balancer& b) {
  const auto stored = b.take_stored();
  EXPECT_EQ(stored.size(), 1U);
  return stored.empty() ? Outcome{} : stored[0];
}

TYPED_TEST(Retry, RefusalIsHiddenAndAnotherServerGetsTheSyn) {
  constexpr Family F = TypeParam::kFamily;
  for (const unsigned workers : {1U, 4U}) {
    Balancer::Options options;
    options.workers = workers;
    Balancer b(options);
    b.configure({patient<F>(2)});
    for (unsigned n = 0; n < 8; ++n) {
      Connection<F> c(b, n, kClientPort);
      c.at_worker(n % workers, (n + 1) % workers);
      ASSERT_TRUE(c.client(SYN).forwarded());
      const unsigned refusing = c.server_number();
      const auto refusing_name = "s" + std::to_string(refusing),
                 other_name = "s" + std::to_string(1 - refusing);
      const Handshakes before = handshakes(b, refusing_name);
      EXPECT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
      const Outcome o = again(b);
      ASSERT_TRUE(o.forwarded()) << o;
      EXPECT_EQ(o.seen().seq, Connection<F>::kClientIsn);
      c.reached(o.seen(), Connection<F>::kClientIsn);
      EXPECT_EQ(c.server_number(), 1 - refusing);
      EXPECT_GT(failures_in_row(b, refusing_name), 0U);
      c.finish_handshake();
      EXPECT_TRUE(c.client(ACK, 100).forwarded());
      EXPECT_TRUE(c.server(ACK, 100).forwarded());
      EXPECT_EQ(handshakes(b, refusing_name).refused, before.refused + 1);
      EXPECT_EQ(handshakes(b, refusing_name).redispatched, before.redispatched + 1);
      EXPECT_EQ(failures_in_row(b, other_name), 0U);
      c.close();
    }
    EXPECT_EQ(handshakes(b, "s0").answered + handshakes(b, "s1").answered, 8U);
    EXPECT_EQ(b.load().open.taken(), 0U);
  }
}

TYPED_TEST(Retry, UnreachableIsHiddenLikewise) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  const Outcome syn = c.client(SYN);
  ASSERT_TRUE(syn.forwarded());
  EXPECT_TRUE(b.send(unreachable<F>(syn.out), {0, 0, 0}).dropped(DropReason::retried));
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  c.reached(o.seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.unreachable = 1, .redispatched = 1}));
  EXPECT_EQ(b.load().servers[b.server_slot("web", "s0")].last_failure.load(), dp::Failure::unreachable);
  c.finish_handshake();
}

TYPED_TEST(Retry, ServerWhoseHostIsGoneIsPassedOver) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto state : {dp::AdjacencyState::failed, dp::AdjacencyState::gone}) {
    Balancer b;
    b.configure({patient<F>(3)});
    b.set_state(Balancer::kFirstServer, state);
    b.set_state(Balancer::kFirstServer + 1, state);
    Connection<F> c(b, 0, kClientPort);
    EXPECT_TRUE(c.client(SYN).dropped(DropReason::retried));
    const auto stored = b.take_stored();
    ASSERT_EQ(stored.size(), 2U);
    EXPECT_TRUE(stored[0].dropped(DropReason::retried));
    ASSERT_TRUE(stored[1].forwarded());
    c.reached(stored[1].seen(), Connection<F>::kClientIsn);
    EXPECT_EQ(c.server_number(), 2U);
    c.finish_handshake();
    EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.unreachable = 1, .redispatched = 1}));

    b.set_state(Balancer::kFirstServer + 2, state);
    const Outcome all_gone = Connection<F>(b, 1, kClientPort).client(SYN);
    EXPECT_TRUE(all_gone.dropped(DropReason::retried));
    const auto last = b.take_stored();
    ASSERT_EQ(last.size(), 3U) << "four attempts in all";
    EXPECT_TRUE(last[2].reflected()) << "then the client is told";
    EXPECT_EQ(last[2].seen().flags, RST | ACK);
  }
}

TYPED_TEST(Retry, SynThatWaitsForALinkAddressGoesElsewhereWhenThereIsNone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::incomplete);
  Connection<F> c(b, 0, kClientPort);
  const PacketBuilder syn = c.client_packet(SYN);
  EXPECT_EQ(c.client(SYN).verdict, Verdict::park);
  b.set_state(Balancer::kFirstServer, dp::AdjacencyState::failed);
  EXPECT_TRUE(b.send(syn).dropped(DropReason::retried)) << "as the parked frame, which comes back";
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  c.reached(o.seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  c.finish_handshake();
}

TYPED_TEST(Retry, AttemptFailsOnceHoweverOftenThatIsSaid) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint16_t retries : {std::uint16_t{0}, std::uint16_t{1}}) {
    Balancer::Options options;
    options.limits.rst_per_second = 1;  // the client of the last attempt cannot be told
    Balancer b(options);
    b.configure({patient<F>(1, retries)});
    ASSERT_TRUE(b.worker().resets.take(b.now()));
    Connection<F> c(b, 0, kClientPort);
    Outcome syn = c.client(SYN);
    ASSERT_TRUE(syn.forwarded());
    if (retries != 0) {
      ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
      b.advance(1'000, 1'000);
      syn = again(b);
      ASSERT_TRUE(syn.forwarded());
      c.reached(syn.seen(), Connection<F>::kClientIsn);
      while (b.worker().resets.take(b.now())) {
      }
    }
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(b.send(unreachable<F>(syn.out), {0, 0, 0}).forwarded());
    EXPECT_EQ(handshakes(b, "s0").unreachable, 1U) << "four errors about one SYN";
    b.advance(6'000, 100);
    EXPECT_EQ(b.flows(), 0U);
    EXPECT_EQ(handshakes(b, "s0").unanswered, 0U) << "that it could not be reached is known";
    EXPECT_EQ(b.counts("web", "s0").failed, 1U + retries);
    EXPECT_EQ(failures_in_row(b, "s0"), 1U + retries);
  }
}

TYPED_TEST(Retry, RefusalAfterAnErrorIsNoSecondFailure) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(1, 0)});
  Connection<F> c(b, 0, kClientPort);
  const Outcome syn = c.client(SYN);
  ASSERT_TRUE(syn.forwarded());
  EXPECT_TRUE(b.send(unreachable<F>(syn.out), {0, 0, 0}).forwarded());
  EXPECT_TRUE(c.server(RST | ACK).forwarded());
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.unreachable = 1}));
  EXPECT_EQ(failures_in_row(b, "s0"), 1U);
}

TYPED_TEST(Retry, LastAttemptAtAHostThatIsGoneEndsAtOnce) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint16_t retries : {std::uint16_t{0}, std::uint16_t{1}}) {
    Balancer b;
    b.configure({patient<F>(2, retries)});
    b.set_state(Balancer::kFirstServer, dp::AdjacencyState::failed);
    b.set_state(Balancer::kFirstServer + 1, dp::AdjacencyState::failed);
    Connection<F> c(b, 0, kClientPort);
    Outcome last = c.client(SYN);
    if (retries != 0) {
      EXPECT_TRUE(last.dropped(DropReason::retried));
      last = again(b);
      ASSERT_TRUE(last.reflected()) << last;
      EXPECT_EQ(last.seen().flags, RST | ACK) << "in words that end its connection";
      EXPECT_EQ(last.seen().ack, Connection<F>::kClientIsn + 1);
    } else {
      ASSERT_TRUE(last.reflected()) << last;
      EXPECT_EQ(last.seen().icmp_type, F == Family::v4 ? 3 : 1);
    }
    EXPECT_EQ(last.reason, DropReason::neighbour_failed);
    EXPECT_EQ(b.flows(), 0U);
    EXPECT_EQ(b.load().open.taken(), 0U) << "keeps no place";
    b.advance(6'000, 100);
    EXPECT_EQ(b.take_own().size(), 0U);
    for (const char* server : {"s0", "s1"}) {
      EXPECT_EQ(handshakes(b, server).unanswered, 0U);
      EXPECT_LE(handshakes(b, server).unreachable, 1U);
    }
    EXPECT_EQ(handshakes(b, "s0").unreachable + handshakes(b, "s1").unreachable, 1U + retries);
  }
}

// Silence: whose fault it is.

constexpr std::uint32_t kConnectMs = 5'000, kBeyondConnectMs = 5'200;

/// Nobody answers the attempt in progress; the next one reaches a server, if there is a next one.
template <Family F>
bool stay_silent(Balancer& b, Connection<F>& c) {
  b.advance(kBeyondConnectMs, 100);
  const auto stored = b.take_stored();
  if (stored.empty() || !stored.back().forwarded()) return false;
  c.reached(stored.back().seen(), Connection<F>::kClientIsn);
  return true;
}

TYPED_TEST(Retry, SynThatNobodyAnswersConvictsNobody) {
  constexpr Family F = TypeParam::kFamily;
  for (const std::uint16_t retries : {std::uint16_t{1}, std::uint16_t{3}, std::uint16_t{9}}) {
    Balancer b;
    b.configure({patient<F>(4, retries)});
    Connection<F> c(b, 0, kClientPort);
    ASSERT_TRUE(c.client(SYN).forwarded());
    unsigned attempts = 1;
    while (stay_silent(b, c)) ++attempts;
    EXPECT_EQ(attempts, retries + 1U);
    EXPECT_EQ(b.take_own().size(), 2U) << "the client is told, and the last server";
    std::uint64_t unanswered = 0;
    for (const char* s : {"s0", "s1", "s2", "s3"}) {
      EXPECT_EQ(failures_in_row(b, s), 0U) << s;
      unanswered += handshakes(b, s).unanswered;
    }
    EXPECT_EQ(unanswered, attempts) << "counted nevertheless";
  }
}

TYPED_TEST(Retry, WhoWasSilentIsConvictedByWhoAnswers) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool refuses : {false, true}) {
    for (const std::uint16_t retries : {std::uint16_t{2}, std::uint16_t{3}}) {  // 2: by the last attempt
      Balancer b;
      b.configure({patient<F>(3, retries)});
      Connection<F> c(b, 0, kClientPort);
      ASSERT_TRUE(c.client(SYN).forwarded());
      EXPECT_EQ(c.server_number(), 0U);
      ASSERT_TRUE(stay_silent(b, c));
      EXPECT_EQ(c.server_number(), 1U);
      ASSERT_TRUE(stay_silent(b, c));
      EXPECT_EQ(c.server_number(), 2U);
      EXPECT_EQ(failures_in_row(b, "s0") + failures_in_row(b, "s1"), 0U);
      if (refuses) {
        (void)c.server(RST | ACK);
      } else {
        c.finish_handshake();
      }
      for (const char* s : {"s0", "s1"}) {
        EXPECT_EQ(failures_in_row(b, s), 1U) << s;
        EXPECT_EQ(b.load().servers[b.server_slot("web", s)].last_failure.load(), dp::Failure::unanswered);
      }
      EXPECT_EQ(failures_in_row(b, "s2"), refuses ? 1U : 0U);
    }
  }
}

TYPED_TEST(Retry, CopyGoesWithTheLastAnswer) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool refuses : {false, true}) {
    Balancer b;
    b.configure({patient<F>(2, 1)});
    Connection<F> c(b, 0, kClientPort);
    ASSERT_TRUE(c.client(SYN).forwarded());
    ASSERT_TRUE(stay_silent(b, c));
    EXPECT_EQ(b.worker().syns.used(), 1U) << "to tell who was silent";
    EXPECT_TRUE(c.server(refuses ? RST | ACK : SYN | ACK).forwarded());
    EXPECT_EQ(failures_in_row(b, "s0"), 1U);
    EXPECT_EQ(b.worker().syns.used(), 0U);
  }
}

TYPED_TEST(Retry, DeadServerIsConvictedByEachClientThatMeetsIt) {
  constexpr Family F = TypeParam::kFamily;
  Balancer::Options options;
  options.workers = 2;
  Balancer b(options);
  b.configure({patient<F>(2)});
  std::vector<Connection<F>> c;
  for (unsigned n = 0; n < 40; ++n) {
    c.emplace_back(b, n, kClientPort).at_worker(n % 2, n / 2 % 2);
    ASSERT_TRUE(c.back().client(SYN).forwarded());
    if (c.back().server_number() == 1) c.back().finish_handshake();
  }
  b.advance(kBeyondConnectMs, 100);
  const auto stored = b.take_stored();
  unsigned met = 0;
  for (auto& each : c) {
    if (each.server_number() != 0) continue;
    for (const Outcome& o : stored) {
      ASSERT_TRUE(o.forwarded());
      const auto* flow = each.flow();
      ASSERT_NE(flow, nullptr);
      if (flow->local_port.host() != o.seen().sport) continue;
      each.reached(o.seen(), Connection<F>::kClientIsn);
    }
    ASSERT_EQ(each.server_number(), 1U);
    each.finish_handshake();
    EXPECT_EQ(failures_in_row(b, "s0"), ++met);
  }
  EXPECT_GE(met, 10U);
}

TYPED_TEST(Retry, ServerThatAnswersOthersIsNotConvictedBySilence) {
  constexpr Family F = TypeParam::kFamily;
  for (const unsigned servers : {1U, 2U}) {
    Balancer b;
    b.configure({patient<F>(servers)});
    Connection<F> c(b, 0, kClientPort);
    ASSERT_TRUE(c.client(SYN).forwarded());
    EXPECT_EQ(c.server_number(), 0U);
    b.advance(kConnectMs / 2, 100);
    for (unsigned n = 0; n < 2; ++n) Connection<F>(b, 1 + n, kClientPort).open();
    b.advance(kConnectMs / 2 + 1'500, 100);
    const auto stored = b.take_stored();
    ASSERT_EQ(stored.size(), 1U);
    EXPECT_EQ(handshakes(b, "s0").unanswered, 1U);
    c.reached(stored[0].seen(), Connection<F>::kClientIsn);
    if (servers == 2) c.finish_handshake();
    EXPECT_EQ(failures_in_row(b, "s0"), 0U);
  }
}

TYPED_TEST(Retry, ServerThatAnswersOthersLaterIsNotConvictedEither) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(c.server_number(), 0U);
  ASSERT_TRUE(stay_silent(b, c));
  EXPECT_EQ(c.server_number(), 1U);
  for (unsigned n = 0; n < 2; ++n) Connection<F>(b, 1 + n, kClientPort).open();
  c.finish_handshake();
  EXPECT_EQ(handshakes(b, "s0").answered, 1U);
  EXPECT_EQ(failures_in_row(b, "s0"), 0U) << "its last attempt was answered";
}

TYPED_TEST(Retry, SilenceCountsAtOnceWhereNobodyElseIsAsked) {
  constexpr Family F = TypeParam::kFamily;
  struct Row {
    const char* name;
    unsigned servers;
    std::uint16_t retries;
    bool redispatch;
    std::uint32_t in_row;
  };
  for (const Row& row : {Row{"one server", 1, 3, true, 4}, Row{"one server, one attempt", 1, 0, true, 1},
                         Row{"no retries", 2, 0, true, 1}, Row{"no redispatch", 2, 2, false, 3}}) {
    SCOPED_TRACE(row.name);
    Balancer b;
    b.configure({patient<F>(row.servers, row.retries, row.redispatch)});
    Connection<F> c(b, 0, kClientPort);
    ASSERT_TRUE(c.client(SYN).forwarded());
    b.advance((row.retries + 1) * (kBeyondConnectMs + 1'000), 100);
    EXPECT_EQ(b.flows(), 0U);
    EXPECT_EQ(failures_in_row(b, "s0"), row.in_row);
  }
}

TYPED_TEST(Retry, SilenceToAnotherSynIsNoEvidence) {
  constexpr Family F = TypeParam::kFamily;
  struct Row {
    const char* name;
    bool altered;
    PacketBuilder& (*change)(PacketBuilder&);
  };
  for (const Row& row :
       {Row{"later timestamp", false,
            [](PacketBuilder& p) -> PacketBuilder& { return p.timestamps(2'000, 0); }},
        Row{"another number", false,
            [](PacketBuilder& p) -> PacketBuilder& { return p.seq(77).timestamps(2, 0); }},
        Row{"more life", true,
            [](PacketBuilder& p) -> PacketBuilder& { return p.timestamps(1'000, 0).ttl(200); }},
        Row{"another option", true,
            [](PacketBuilder& p) -> PacketBuilder& { return p.timestamps(1'000, 0).mss(1'000); }}}) {
    SCOPED_TRACE(row.name);
    Balancer b;
    b.configure({patient<F>(2)});
    Connection<F> c(b, 0, kClientPort);
    PacketBuilder syn = c.client_packet(SYN).id(1), other = c.client_packet(SYN).id(2);
    ASSERT_TRUE(c.send_client(syn.timestamps(1'000, 0)).forwarded());
    b.advance(4'900, 100);
    ASSERT_TRUE(c.send_client(row.change(other)).forwarded());
    const std::uint32_t isn = see(other.bytes()).seq;
    b.advance(kBeyondConnectMs - 4'900, 100);
    const Outcome o = again(b);
    ASSERT_TRUE(o.forwarded());
    c.reached(o.seen(), isn);
    c.next_ = isn + 1;
    c.finish_handshake();
    EXPECT_EQ(failures_in_row(b, "s0"), row.altered ? 0U : 1U);
  }
}

TYPED_TEST(Retry, SilenceIsNotLaidToTheNextHolderOfTheSlot) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  const std::uint16_t slot = b.server_slot("web", "s0");
  ASSERT_TRUE(stay_silent(b, c));
  b.load().forget(slot);
  c.finish_handshake();
  EXPECT_EQ(b.load().servers[slot].failures_in_row.load(), 0U);
}

TYPED_TEST(Retry, SynOfWhichThereIsNoCopyConvictsNobodyWhereOthersAreAsked) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.send_client(c.client_packet(SYN, 200)).forwarded());
  b.advance(kBeyondConnectMs, 100);
  EXPECT_EQ(handshakes(b, "s0").unanswered, 1U);
  EXPECT_EQ(failures_in_row(b, "s0"), 0U);
}

TYPED_TEST(Retry, ErrorsThatSayNothingOfTheSynArePassedOn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  const Outcome syn = c.client(SYN);
  ASSERT_TRUE(syn.forwarded());
  Bytes guessed = syn.out;
  guessed[14 + (F == Family::v4 ? 20 : 40) + 7] ^= std::byte{1};  // another sequence number
  (void)b.send(unreachable<F>(guessed), {0, 0, 0});
  if constexpr (F == Family::v4) {
    for (const std::uint8_t code : {4, 5, 11, 12}) {  // its size, its source route, its type of service
      EXPECT_TRUE(b.send(unreachable<F>(syn.out, code), {0, 0, 0}).forwarded()) << int{code};
    }
  } else {
    EXPECT_TRUE(b.send(unreachable<F>(syn.out, 0, 7), {0, 0, 0}).forwarded()) << "its routing header";
  }
  EXPECT_EQ(b.take_stored().size(), 0U);
  EXPECT_EQ(handshakes(b, "s0"), Handshakes{});
  c.finish_handshake();
  EXPECT_TRUE(b.send(unreachable<F>(syn.out), {0, 0, 0}).forwarded()) << "answered meanwhile";
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(Retry, SilenceIsAFailureAfterTheConnectTimeoutHoweverOftenTheClientKnocks) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  const PacketBuilder syn = c.client_packet(SYN);
  ASSERT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(c.server_number(), 0U);
  for (const std::uint32_t pause : {1'000U, 2'000U}) {
    b.advance(pause, 100);
    const Outcome repeated = c.send_client(syn);
    EXPECT_TRUE(repeated.forwarded());
    EXPECT_EQ(number_of_server<F>(repeated.seen().dst), 0U);
  }
  b.advance(1'900, 100);
  EXPECT_EQ(b.take_stored().size(), 0U);
  b.advance(400, 100);
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  const Connection<F> late = c;
  c.reached(o.seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.unanswered = 1, .redispatched = 1}));

  // The first server wakes up: nobody is there any more.
  Connection<F> gone = late;
  gone.peer_next_ = 9'000;
  const Outcome answer = gone.server(SYN | ACK);
  ASSERT_TRUE(answer.reflected());
  EXPECT_EQ(answer.seen().flags, RST);
  EXPECT_EQ(answer.seen().seq, gone.next_);
  EXPECT_EQ(number_of_server<F>(answer.seen().dst), 0U);
  c.finish_handshake();
  EXPECT_TRUE(c.client(ACK, 10).forwarded());
  EXPECT_EQ(c.state(), FlowState::established);
}

TYPED_TEST(Retry, LastRefusalReachesTheClient) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2, 3)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  for (unsigned attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried)) << attempt;
    const Outcome o = again(b);
    ASSERT_TRUE(o.forwarded());
    const unsigned before = c.server_number();
    c.reached(o.seen(), Connection<F>::kClientIsn);
    EXPECT_EQ(c.server_number(), 1 - before);
  }
  const Outcome last = c.server(RST | ACK);
  ASSERT_TRUE(last.forwarded());
  EXPECT_EQ(last.seen().flags, RST | ACK);
  EXPECT_EQ(last.seen().ack, Connection<F>::kClientIsn + 1);
  EXPECT_EQ(b.take_stored().size(), 0U);
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.refused = 2, .redispatched = 2}));
  EXPECT_EQ(handshakes(b, "s1"), (Handshakes{.refused = 2, .redispatched = 1}));
  EXPECT_EQ(b.counts("web", "s0").failed, 2U);
}

TYPED_TEST(Retry, LastSilenceAndLastErrorEndInAReset) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool silence : {true, false}) {
    Balancer b;
    b.configure({patient<F>(2, 1)});
    Connection<F> c(b, 0, kClientPort);
    const Outcome syn = c.client(SYN);
    ASSERT_TRUE(syn.forwarded());
    const auto fail = [&](const Bytes& frame) {
      if (silence) {
        b.advance(5'200, 100);
      } else {
        EXPECT_EQ(b.send(unreachable<F>(frame), {0, 0, 0}).verdict, Verdict::drop);
      }
    };
    fail(syn.out);
    const Outcome second = again(b);
    ASSERT_TRUE(second.forwarded());
    EXPECT_EQ(b.take_own().size(), 0U);
    fail(second.out);
    EXPECT_EQ(b.take_stored().size(), 0U);
    const auto own = b.take_own();
    ASSERT_GE(own.size(), 1U);
    EXPECT_EQ(own[0].seen().flags, RST | ACK);
    EXPECT_EQ(own[0].seen().ack, Connection<F>::kClientIsn + 1);
    EXPECT_EQ(own[0].seen().to(), (base::Endpoint{Net<F>::client(), kClientPort}));
    EXPECT_EQ(b.flows(), 0U);
    EXPECT_EQ(b.counts("web", "s0").failed, 1U);
    EXPECT_EQ(b.counts("web", "s1").failed, 1U);
    EXPECT_EQ(failures_in_row(b, "s0"), silence ? 0U : 1U);
    EXPECT_EQ(failures_in_row(b, "s1"), silence ? 0U : 1U);
  }
}

TYPED_TEST(Retry, WithoutRedispatchTheSameServerIsTriedAfterASecond) {
  constexpr Family F = TypeParam::kFamily;
  for (const bool single : {true, false}) {  // one server alone: there is nobody else to try
    Balancer b;
    b.configure({patient<F>(single ? 1 : 3, 2, single)});
    Connection<F> c(b, 0, kClientPort);
    const PacketBuilder syn = c.client_packet(SYN);
    ASSERT_TRUE(c.client(SYN).forwarded());
    for (unsigned attempt = 1; attempt <= 2; ++attempt) {
      ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
      EXPECT_EQ(b.load().open.taken(), 0U) << "the place is free during the pause";
      b.advance(900, 100);
      EXPECT_EQ(c.send_client(syn).verdict, Verdict::hold) << "absorbed meanwhile";
      EXPECT_EQ(b.take_stored().size(), 0U);
      b.advance(100, 100);
      const Outcome o = again(b);
      ASSERT_TRUE(o.forwarded());
      c.reached(o.seen(), Connection<F>::kClientIsn);
      EXPECT_EQ(c.server_number(), 0U);
    }
    EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.refused = 2, .retried = 2}));
    EXPECT_TRUE(c.server(RST | ACK).forwarded());
  }
}

TYPED_TEST(Retry, PauseIsNoLongerThanTheConnectTimeout) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = patient<F>(1);
  service.timeouts.connect = config::Milliseconds(300);
  b.configure({service});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  b.advance(300, 10);
  EXPECT_TRUE(again(b).forwarded());
}

TYPED_TEST(Retry, WaitsForTheOtherServersWhereTheyAreFull) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = patient<F>(2);
  for (auto& s : service.servers) s.maxconn = 1;
  service.servers[0].maxconn = 2;
  service.timeouts.queue = config::Milliseconds(60'000);
  b.configure({service});
  Connection<F> a(b, 0, kClientPort), busy(b, 1, kClientPort), c(b, 2, kClientPort), d(b, 3, kClientPort);
  a.open();
  busy.open();
  ASSERT_TRUE(c.client(SYN).forwarded());
  EXPECT_EQ(c.server_number(), 0U);
  EXPECT_EQ(d.client(SYN).verdict, Verdict::hold);
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[0].verdict, Verdict::hold) << "behind the one that waits already";
  ASSERT_TRUE(stored[1].forwarded());
  EXPECT_EQ(stored[1].seen().from().address, base::IpAddress(Net<F>::vip()));
  busy.close();
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  c.reached(o.seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  c.finish_handshake();
}

TYPED_TEST(Retry, AvoidedServerIsBetterThanNone) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = patient<F>(2);
  service.servers[1].maxconn = 1;
  b.configure({service});
  Connection<F> a(b, 0, kClientPort), busy(b, 1, kClientPort), c(b, 2, kClientPort);
  a.open();
  busy.open();
  ASSERT_TRUE(c.client(SYN).forwarded());
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(number_of_server<F>(o.seen().dst), 0U);
}

TYPED_TEST(Retry, EveryScheduleAvoidsWhoFailed) {
  constexpr Family F = TypeParam::kFamily;
  for (const auto balance : {config::Balance::roundrobin, config::Balance::leastconn, config::Balance::random,
                             config::Balance::first, config::Balance::source, config::Balance::hash}) {
    Balancer b;
    auto service = patient<F>(3);
    service.balance = balance;
    b.configure({service});
    for (unsigned n = 0; n < 20; ++n) {
      Connection<F> c(b, n, kClientPort);
      ASSERT_TRUE(c.client(SYN).forwarded());
      const unsigned first = c.server_number();
      ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
      const Outcome o = again(b);
      ASSERT_TRUE(o.forwarded());
      EXPECT_NE(number_of_server<F>(o.seen().dst), first);
    }
  }
}

TYPED_TEST(Retry, IllegalResetIsNoRefusal) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(RST | ACK).ack(4'711)).forwarded());
  EXPECT_TRUE(c.send_server(c.server_packet(RST).seq(0)).forwarded());
  EXPECT_EQ(b.take_stored().size(), 0U);
  EXPECT_EQ(c.state(), FlowState::syn_sent);
  c.finish_handshake();
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.answered = 1}));
}

TYPED_TEST(Retry, AnswerOnceGivenIsFinal) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  c.answer_syn();
  EXPECT_EQ(b.worker().syns.used(), 0U) << "nothing is kept of a SYN that was answered";
  EXPECT_TRUE(c.server(RST | ACK).forwarded()) << "the client has seen the SYN-ACK";
  EXPECT_EQ(b.take_stored().size(), 0U);
}

TYPED_TEST(Retry, ClientThatGivesUpIsNotTriedAgain) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  EXPECT_TRUE(c.client(RST).forwarded());
  EXPECT_EQ(b.worker().syns.used(), 0U);
  b.advance(20'000);
  EXPECT_EQ(b.take_stored().size(), 0U);
}

TYPED_TEST(Retry, ClientThatBeginsAnewIsTriedWithItsNewNumber) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  Connection<F> anew(b, 0, kClientPort, 900'000);
  ASSERT_TRUE(anew.client(SYN).forwarded());
  ASSERT_TRUE(anew.server(RST | ACK).dropped(DropReason::retried));
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(o.seen().seq, 900'000U);
}

TYPED_TEST(Retry, RenumberedSynIsTriedInTheClientsOwnNumbers) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = patient<F>(2);
  service.source_ports = {20'000, 20'000};
  b.configure({service});
  // The only port towards server 0 has been used up to a high number, and the server closed first.
  Connection<F> before(b, 1, kClientPort, 1'000'000);
  before.open();
  before.close_by_server();
  b.advance(15'000);
  Connection<F> other(b, 2, kClientPort);
  other.open();  // server 1: goes on
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  ASSERT_EQ(c.server_number(), 0U);
  EXPECT_NE(c.shift(), 0U);
  other.close();
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  const auto stored = b.take_stored();
  ASSERT_EQ(stored.size(), 1U);
  ASSERT_TRUE(stored[0].forwarded()) << stored[0];
  c.reached(stored[0].seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1U);
  EXPECT_EQ(c.shift(), 0U) << "there the numbers are new";
  c.finish_handshake();
}

TYPED_TEST(Retry, LongSynIsNotKeptAndItsRefusalPasses) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.send_client(c.client_packet(SYN, 200)).forwarded());
  EXPECT_EQ(b.worker().syns.used(), 0U);
  c.next_ += 201;
  EXPECT_TRUE(c.server(RST | ACK).forwarded());
  EXPECT_EQ(handshakes(b, "s0"), (Handshakes{.refused = 1}));
}

TYPED_TEST(Retry, ServerThatIsGoneMeanwhileIsNotTriedAgain) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  auto service = patient<F>(2, 3, false);
  b.configure({service});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  service.servers.erase(service.servers.begin());
  b.configure({service});
  b.advance(1'000);
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded());
  EXPECT_EQ(number_of_server<F>(o.seen().dst), 1U);
}

TYPED_TEST(Retry, SynThatASuccessorTakesOverIsItsOwn) {
  constexpr Family F = TypeParam::kFamily;
  Balancer b;
  b.configure({patient<F>(2)});
  Connection<F> c(b, 0, kClientPort);
  ASSERT_TRUE(c.client(SYN).forwarded());
  // The new tables come between the refusal and the next attempt.
  Bytes refusal = c.server_packet(RST | ACK).bytes();
  dp::Packet packet;
  packet.bytes = refusal;
  packet.frame_length = static_cast<std::uint32_t>(refusal.size());
  packet.in_port = 1;
  dp::process_burst({&packet, 1}, dp::Origin::port, b.snapshot(), b.worker(), b.now());
  ASSERT_EQ(packet.reason, DropReason::retried);
  auto successor = patient<F>(2);
  successor.name = "other";
  b.configure({successor});
  const Outcome taken_over = again(b);
  ASSERT_TRUE(taken_over.forwarded());
  c.reached(taken_over.seen(), Connection<F>::kClientIsn);
  const unsigned refusing = c.server_number();
  ASSERT_TRUE(c.server(RST | ACK).dropped(DropReason::retried));
  const Outcome o = again(b);
  ASSERT_TRUE(o.forwarded()) << "the successor redispatches, too";
  c.reached(o.seen(), Connection<F>::kClientIsn);
  EXPECT_EQ(c.server_number(), 1 - refusing);
  c.finish_handshake();
}

TYPED_TEST(Retry, SynThatReachesNoServerIsNoFailureOfOne) {  // tcptraceroute
  constexpr Family F = TypeParam::kFamily;
  for (const bool full : {false, true}) {
    Balancer b;
    auto service = patient<F>(2);
    if (full) service.maxconn = 1;
    b.configure({service});
    Connection<F> open(b, 1, kClientPort);
    open.open();
    Connection<F> c(b, 0, kClientPort);
    const Outcome expired = c.send_client(c.client_packet(SYN).ttl(1));
    ASSERT_TRUE(expired.reflected()) << expired;
    EXPECT_EQ(expired.reason, DropReason::icmp_sent);
    EXPECT_EQ(b.flows(), 1U) << "no flow begins";
    EXPECT_EQ(b.worker().syns.used(), 0U);
    b.advance(30'000, 100);
    EXPECT_EQ(b.take_stored().size(), 0U);
    EXPECT_EQ(failures_in_row(b, "s0") + failures_in_row(b, "s1"), 0U);
  }
}

}  // namespace
}  // namespace sluice::test
