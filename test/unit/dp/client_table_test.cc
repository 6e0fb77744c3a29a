#include "dp/client_table.h"

#include <array>
#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

std::unique_ptr<ClientTable> table(std::uint32_t clients = 1'024) {
  auto made = ClientTable::create(clients, 32, 1);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

/// Well mixed, as FlowHash is.
std::uint64_t hash_of(std::uint64_t client) {
  std::uint64_t h = client + 0x9e3779b97f4a7c15ULL;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}

ClientId id_of(std::uint64_t client) {
  return {0, client, hash_of(client)};
}

ClientEntry enter(ClientTable& t, std::uint64_t client, const ClientLimits& limits, base::Tick now = {}) {
  return t.enter(id_of(client), limits, now);
}
void leave(ClientTable& t, std::uint64_t client) {
  t.leave(id_of(client));
}

TEST(ClientTable, CountsConnectionsOfEachClient) {
  const auto t = table();
  const ClientLimits limits{.maxconn = 2};
  for (std::uint64_t client = 1; client <= 3; ++client) {
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::counted);
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::counted);
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::over_maxconn);
  }
  EXPECT_EQ(t->connections(), 6U);
  leave(*t, 2);
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::over_maxconn);
  EXPECT_EQ(enter(*t, 2, limits), ClientEntry::counted);
  for (std::uint64_t client = 1; client <= 3; ++client) {
    leave(*t, client);
    leave(*t, client);
  }
  EXPECT_EQ(t->connections(), 0U);
}

TEST(ClientTable, TellsClientsOfOneHashApart) {
  const auto t = table();
  const ClientLimits limits{.maxconn = 1};
  EXPECT_EQ(t->enter({1, 7, 42}, limits, {}), ClientEntry::counted);
  EXPECT_EQ(t->enter({2, 7, 42}, limits, {}), ClientEntry::counted);
  EXPECT_EQ(t->enter({1, 8, 42}, limits, {}), ClientEntry::counted);
  EXPECT_EQ(t->enter({1, 7, 42}, limits, {}), ClientEntry::over_maxconn);
  t->leave({2, 7, 42});
  EXPECT_EQ(t->enter({1, 7, 42}, limits, {}), ClientEntry::over_maxconn);
}

TEST(ClientTable, FullNeighbourhoodLetsOthersPassUncounted) {
  const auto t = table(1'024);
  const ClientLimits limits{.maxconn = 1};
  for (std::uint64_t n = 0; n < 16; ++n) EXPECT_EQ(t->enter({n, 0, 42}, limits, {}), ClientEntry::counted);
  EXPECT_EQ(t->enter({16, 0, 42}, limits, {}), ClientEntry::untracked);
  EXPECT_EQ(t->foresee({16, 0, 42}, limits, {}).entry, ClientEntry::untracked);
  EXPECT_EQ(t->connections(), 16U);
  t->leave({3, 0, 42});
  EXPECT_EQ(t->enter({16, 0, 42}, limits, {}), ClientEntry::counted) << "in the place of who left";
  EXPECT_EQ(t->enter({3, 0, 42}, limits, {}), ClientEntry::untracked);
}

TEST(ClientTable, HoldsNearlyAsManyClientsAsItHasSlots) {
  const auto t = table(4'000);
  ASSERT_EQ(t->capacity(), 4'096U);
  std::uint64_t counted = 0;
  for (std::uint64_t client = 1; client <= t->capacity() * 9 / 10; ++client)
    counted += enter(*t, client, {.maxconn = 1}) == ClientEntry::counted ? 1 : 0;
  EXPECT_GE(counted * 100, t->capacity() * 9 / 10 * 99);
}

TEST(ClientTable, BurstThenARateInExactArithmetic) {
  const auto t = table();
  for (const std::uint32_t start : {0U, UINT32_MAX - 5'000}) {  // the clock may begin anew meanwhile
    const std::uint64_t client = 1 + start;
    const ClientLimits limits{.rate = 3, .burst = 5};
    base::Tick now{start};
    unsigned in = 0;
    for (int i = 0; i < 20; ++i) in += enter(*t, client, limits, now) == ClientEntry::counted ? 1 : 0;
    EXPECT_EQ(in, 5U);
    in = 0;
    for (int ms = 0; ms < 10'000; ++ms) {  // tokens come in thousandths, none is lost or won
      now = now + 1;
      in += enter(*t, client, limits, now) == ClientEntry::counted ? 1 : 0;
    }
    EXPECT_EQ(in, 30U);
  }
}

TEST(ClientTable, WorkersClocksMayBeApart) {
  const auto t = table();
  const ClientLimits limits{.rate = 1'000, .burst = 10};
  base::Tick now{10'000};
  unsigned in = 0;
  for (int i = 0; i < 1'000; ++i) {
    now = now + 1;
    in += enter(*t, 1, limits, now) == ClientEntry::counted ? 1 : 0;
    // One that lags behind: what it takes must not count the time between them twice.
    in += enter(*t, 1, limits, {now.ms - 3}) == ClientEntry::counted ? 1 : 0;
  }
  EXPECT_EQ(in, 10U + 999U);
}

TEST(ClientTable, RefusedTakesNeitherTokenNorPlace) {
  const auto t = table();
  const ClientLimits limits{.rate = 1, .burst = 2, .maxconn = 1};
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(enter(*t, 1, limits), ClientEntry::over_maxconn);
  leave(*t, 1);
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted) << "the second token is there still";
  leave(*t, 1);
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::over_rate);
  EXPECT_EQ(t->connections(), 0U);
}

TEST(ClientTable, WhatCameToNothingGetsItsTokenBack) {
  const auto t = table();
  const ClientLimits limits{.rate = 1, .burst = 2, .maxconn = 1};
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted);
    t->withdraw(id_of(1), limits, {});
  }
  EXPECT_EQ(t->connections(), 0U);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted);
    leave(*t, 1);
  }
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::over_rate) << "never more than the burst";
}

TEST(ClientTable, WhatGoesOnIsCountedWhateverTheLimits) {
  const auto t = table(16);
  const ClientLimits limits{.rate = 1, .burst = 1, .maxconn = 1};
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted);
  EXPECT_TRUE(t->reenter(id_of(1), limits, {}));
  EXPECT_EQ(t->connections(), 2U);
  leave(*t, 1);
  leave(*t, 1);
  for (std::uint64_t client = 2; client <= 16; ++client) {
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::counted);
    leave(*t, client);
  }
  EXPECT_FALSE(t->reenter(id_of(17), limits, {})) << "all slots' tokens are used up, and remembered";
  for (std::uint64_t client = 1; client <= 16; ++client)
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::over_rate);
  EXPECT_TRUE(t->reenter(id_of(17), limits, {1'000}));
}

TEST(ClientTable, SlotIsUsedAnewOnlyWhenItsTokensAreFull) {
  const auto t = table(16);
  const ClientLimits limits{.rate = 10, .burst = 10};
  for (std::uint64_t client = 1; client <= 16; ++client) {
    EXPECT_EQ(enter(*t, client, limits), ClientEntry::counted);
    leave(*t, client);
  }
  EXPECT_EQ(enter(*t, 17, limits, {99}), ClientEntry::untracked) << "a token lasts 100 ms";
  EXPECT_EQ(enter(*t, 17, limits, {100}), ClientEntry::counted);
  EXPECT_EQ(enter(*t, 18, limits, {UINT32_MAX / 2 + 10'000}), ClientEntry::counted)
      << "a pause of more than half of what the clock can tell";
}

TEST(ClientTable, OtherLimitsHoldFromTheNextConnectionOn) {
  const auto t = table();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(enter(*t, 1, {.maxconn = 9}), ClientEntry::counted);
  EXPECT_EQ(enter(*t, 1, {.maxconn = 5}), ClientEntry::over_maxconn);
  const ClientLimits rate{.rate = 1, .burst = 3};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(enter(*t, 1, rate), ClientEntry::counted) << "full at first";
  EXPECT_EQ(enter(*t, 1, rate), ClientEntry::over_rate);
  EXPECT_EQ(enter(*t, 1, {.maxconn = 9}), ClientEntry::counted);
  EXPECT_EQ(enter(*t, 1, {.maxconn = 9}), ClientEntry::over_maxconn);
}

TEST(ClientTable, ForeseesWhatWouldBecomeAndTakesNothing) {
  const auto t = table();
  const ClientLimits limits{.rate = 1, .burst = 1, .maxconn = 2};
  for (int i = 0; i < 3; ++i) {
    const auto sight = t->foresee(id_of(1), limits, {});
    EXPECT_EQ(sight.entry, ClientEntry::counted);
    EXPECT_FALSE(sight.known);
  }
  EXPECT_EQ(enter(*t, 1, limits), ClientEntry::counted);
  EXPECT_EQ(t->foresee(id_of(1), limits, {}).entry, ClientEntry::over_rate);
  EXPECT_EQ(enter(*t, 1, limits, {1'000}), ClientEntry::counted);
  const auto sight = t->foresee(id_of(1), limits, {5'000});
  EXPECT_EQ(sight.entry, ClientEntry::over_maxconn);
  EXPECT_EQ(sight.connections, 2U);
}

// ---------------------------------------------------------------- threads

/// Each thread begins and ends connections of few clients, many at once.
TEST(ClientTableThreads, LimitHoldsAndNoPlaceIsLost) {
  constexpr unsigned kThreads = 4, kRounds = 300'000, kClients = 5, kMaxconn = 3;
  const auto t = table(64);
  std::array<std::atomic<unsigned>, kClients> open{};
  std::atomic<unsigned> most{0};
  std::atomic<std::uint64_t> refused{0};
  for (unsigned client = 1; client <= kClients; ++client) {  // each has its slot from here on
    EXPECT_EQ(enter(*t, client, {.maxconn = kMaxconn}), ClientEntry::counted);
    leave(*t, client);
  }
  std::vector<std::thread> threads;
  std::latch begin(kThreads);
  for (unsigned id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      begin.arrive_and_wait();
      std::vector<unsigned> mine;
      for (unsigned n = 0; n < kRounds; ++n) {
        const unsigned client = (n * 7 + id) % kClients;
        if (enter(*t, client + 1, {.maxconn = kMaxconn}) == ClientEntry::counted) {
          const unsigned now_open = ++open[client];
          unsigned before = most.load();
          while (before < now_open && !most.compare_exchange_weak(before, now_open)) {
          }
          mine.push_back(client);
        } else {
          ++refused;
        }
        if (mine.size() > 10 + n % 10) {
          --open[mine.back()];
          leave(*t, mine.back() + 1);
          mine.pop_back();
        }
      }
      for (const unsigned client : mine) {
        --open[client];
        leave(*t, client + 1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(t->connections(), 0U);
  EXPECT_EQ(most.load(), kMaxconn);
  EXPECT_GT(refused.load(), 0U);
}

/// A client that is seen for the first time, by two threads in the same instant, has one slot.
TEST(ClientTableThreads, FirstConnectionsAreCountedInOnePlace) {
  constexpr unsigned kThreads = 2, kRounds = 100'000;
  const auto t = table(1U << 20);
  std::vector<std::atomic<unsigned>> in(kRounds);
  std::atomic<unsigned> ready{0};
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < kThreads; ++id) {
    threads.emplace_back([&] {
      for (unsigned n = 0; n < kRounds; ++n) {
        ++ready;
        while (ready.load() < (n + 1) * kThreads) std::this_thread::yield();
        if (enter(*t, n + 1, {.maxconn = 1}) == ClientEntry::counted) ++in[n];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  unsigned over = 0;
  std::uint64_t connections = 0;
  for (unsigned n = 0; n < kRounds; ++n) {
    const unsigned open = in[n].load();
    connections += open;
    over += open > 1 ? 1 : 0;
    EXPECT_EQ(enter(*t, n + 1, {.maxconn = open}), ClientEntry::over_maxconn) << "the sum of its slots";
    EXPECT_EQ(t->foresee(id_of(n + 1), {}, {}).connections, open);
  }
  EXPECT_EQ(t->connections(), connections);
  EXPECT_LT(over, kRounds / 1'000) << "a thread was halted in the midst of the four stores of a claim";
  for (unsigned n = 0; n < kRounds; ++n) {
    for (unsigned open = in[n].load(); open > 0; --open) leave(*t, n + 1);
  }
  EXPECT_EQ(t->connections(), 0U);
}

/// More clients than slots, which change hands all the time.
TEST(ClientTableThreads, SlotsChangeHandsAndNoPlaceIsLost) {
  constexpr unsigned kThreads = 4, kRounds = 300'000, kClients = 200;
  const auto t = table(32);
  std::atomic<std::uint64_t> untracked{0}, counted{0};
  std::vector<std::thread> threads;
  std::latch begin(kThreads);
  for (unsigned id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      begin.arrive_and_wait();
      std::vector<std::uint64_t> mine;
      std::uint64_t random = id + 1;
      for (unsigned n = 0; n < kRounds; ++n) {
        random = hash_of(random);
        const std::uint64_t client = random % kClients + 1;
        const base::Tick now{n / 100};
        // More tokens than are taken in all: the clocks of threads that are halted lag far behind.
        switch (enter(*t, client, {.rate = 1'000'000, .burst = 100'000, .maxconn = 100}, now)) {
          case ClientEntry::counted:
            ++counted;
            mine.push_back(client);
            break;
          case ClientEntry::untracked: ++untracked; break;
          case ClientEntry::over_rate:
          case ClientEntry::over_maxconn: ADD_FAILURE() << "far below both"; break;
        }
        if (mine.size() > random % 8) {
          leave(*t, mine.back());
          mine.pop_back();
        }
      }
      for (const std::uint64_t client : mine) leave(*t, client);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(t->connections(), 0U);
  EXPECT_GT(counted.load(), 0U);
  EXPECT_GT(untracked.load(), 0U);
}

/// A burst is one over all threads.
TEST(ClientTableThreads, TokensAreTakenOnce) {
  constexpr unsigned kThreads = 4;
  const auto t = table();
  std::atomic<unsigned> in{0};
  std::vector<std::thread> threads;
  std::latch begin(kThreads);
  for (unsigned id = 0; id < kThreads; ++id) {
    threads.emplace_back([&] {
      begin.arrive_and_wait();
      for (int n = 0; n < 20'000; ++n) {
        if (enter(*t, 1, {.rate = 1, .burst = 10'000}) == ClientEntry::counted) ++in;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(in.load(), 10'000U);
  EXPECT_EQ(t->connections(), 10'000U) << "who lost the last token to another has no place either";
}

}  // namespace
}  // namespace sluice::dp
