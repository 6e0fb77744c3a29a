// The tables against plain models of them.
#include <algorithm>
#include <cstdio>
#include <map>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include "dp/flow/flow_table.h"
#include "test/fuzz/budget.h"
#include "test/fuzz/choices.h"

namespace sluice::test {
namespace {

using base::Be16;
using base::Family;
using dp::Direction;
using dp::Flow;
using dp::FlowKey;
using dp::FlowState;

TEST(FlowTableFuzz, MatchingSlotsIsAPlainLoop) {
  Dice dice(1);
  for (const Budget budget(0.1); budget.left();) {
    for (int round = 0; round < 10'000; ++round) {
      dp::FlowBucket bucket{};
      const std::uint32_t kinds = 1 + dice.below(256);
      for (auto& tag : bucket.tags)
        tag = static_cast<std::uint8_t>(dice.below(kinds) * (dice.one_in(3) ? 0x7f : 1));
      const auto wanted = dice.one_in(4) ? std::uint8_t{0} : bucket.tags[dice.below(12)];
      std::uint32_t expected = 0;
      for (unsigned i = 0; i < bucket.tags.size(); ++i) expected |= (bucket.tags[i] == wanted ? 1U : 0U) << i;
      ASSERT_EQ(dp::matching_slots(bucket, wanted), expected);
    }
  }
}

template <Family F>
base::Address<F> address(std::uint32_t n) {
  base::Address<F> a{};
  if constexpr (F == Family::v4) {
    a = base::Ipv4::from_host(n);
  } else {
    for (unsigned i = 0; i < 4; ++i) a.bytes[15 - i] = static_cast<std::uint8_t>(n >> (8 * i));
  }
  return a;
}

/// The table, and what it should hold: number -> flow, and every timer's due time.
template <Family F>
void against_a_map(std::uint32_t capacity, dp::FlowHash::Seed seed, std::uint64_t dice_seed,
                   const Budget& budget) {
  Dice dice(dice_seed);
  base::Tick now{0xffff'0000};  // wraps on the way
  auto made = dp::FlowTable<F>::create(capacity, dp::FlowHash(seed), now);
  ASSERT_TRUE(made);
  auto& table = *made;
  struct Known {
    Flow<F> flow;
    base::Tick due;
  };
  std::map<std::uint32_t, Known> model;
  std::unordered_map<std::uint64_t, std::uint32_t> by_key;  // client number and port -> record
  constexpr FlowState kStates[]{FlowState::syn_sent, FlowState::established, FlowState::time_wait,
                                FlowState::udp_open};
  std::uint64_t steps = 0;
  const auto any = [&] {
    return std::next(model.begin(), dice.below(static_cast<std::uint32_t>(model.size())));
  };
  const auto key_of = [](const Flow<F>& f) {
    std::uint32_t n = 0;
    if constexpr (F == Family::v4) {
      n = f.client.value.host();
    } else {
      for (unsigned i = 12; i < 16; ++i) n = n << 8 | f.client.bytes[i];
    }
    return std::uint64_t{n} << 16 | f.client_port.host();
  };
  while (steps < 3'000'000 && budget.left()) {
    for (int i = 0; i < 1'000; ++i, ++steps) {
      switch (dice.below(model.size() * 2 < capacity ? 8 : 10)) {
        case 0:
        case 1:
        case 2:
        case 3: {  // insert
          Flow<F> flow;
          flow.client = address<F>(dice.below(1U << 20));
          flow.client_port = Be16{static_cast<std::uint16_t>(dice.below(16))};
          if (by_key.contains(key_of(flow))) break;
          flow.vip = address<F>(1);
          flow.vip_port = Be16{80};
          flow.local = address<F>(2);
          flow.server = address<F>(static_cast<std::uint32_t>(steps >> 16));
          flow.local_port = Be16{static_cast<std::uint16_t>(steps)};
          flow.server_port = Be16{81};
          flow.proto = base::IpProto::tcp;
          flow.state = kStates[dice.below(4)];
          const std::uint32_t wait = dice.below(dice.one_in(2) ? 2'000 : 400'000);
          const bool full = table.full();
          const std::uint32_t number = table.insert(flow, now, now + wait);
          ASSERT_EQ(full, model.size() == capacity);
          if (number == dp::kNoFlow) {
            ASSERT_TRUE(full) << "index slots ran out at " << model.size() << " of " << capacity;
            break;
          }
          ASSERT_FALSE(model.contains(number));
          model[number] = {flow, now + wait};
          by_key[key_of(flow)] = number;
          break;
        }
        case 4: {  // find what is not there
          FlowKey<F> key{address<F>(dice.below(1U << 20)), address<F>(1), Be16{17}, Be16{80},
                         base::IpProto::tcp};
          ASSERT_FALSE(table.find(key, table.hash(key)));
          break;
        }
        case 5:
        case 6: {  // find both ways
          if (model.empty()) break;
          const auto& [number, known] = *any();
          for (const Direction d : {Direction::to_server, Direction::to_client}) {
            const auto key = known.flow.key(d);
            const auto found = table.find(key, table.hash(key));
            ASSERT_EQ(found.flow, number);
            ASSERT_EQ(found.direction, d);
          }
          break;
        }
        case 7: {  // change class and time
          if (model.empty()) break;
          auto& [number, known] = *any();
          known.flow.state = table.flow(number).state = kStates[dice.below(4)];
          known.due = now + dice.below(300'000);
          table.rearm(number, now, known.due);
          break;
        }
        default: {  // erase
          if (model.empty()) break;
          const auto it = any();
          by_key.erase(key_of(it->second.flow));
          table.erase(it->first);
          model.erase(it);
          break;
        }
      }
      ASSERT_EQ(table.size(), model.size());
    }
    // Time passes, at times in leaps; each flow must come up no later than one slot after its time.
    now = now + (dice.one_in(10) ? dice.below(300'000) : dice.below(1'000));
    std::uint32_t looks = 0;
    for (std::uint32_t number = table.due(now); number != dp::kNoFlow; number = table.due(now)) {
      ASSERT_LT(++looks, 4 * capacity + 4'000) << "the wheel turns on the spot";
      auto& known = model.at(number);
      if (base::reached(now, known.due)) {
        by_key.erase(key_of(known.flow));
        table.erase(number);
        model.erase(number);
      } else {
        table.rearm(number, now, known.due);
      }
    }
    std::array<std::uint32_t, 3> classes{};
    for (const auto& [number, known] : model) {
      ASSERT_LT(now - known.due, 2 * static_cast<std::int32_t>(dp::TimerWheel::kSlotMs)) << "overslept";
      ++classes[static_cast<std::size_t>(dp::class_of(known.flow.state))];
    }
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(table.size(dp::FlowClass(c)), classes[c]);
  }
  while (!model.empty()) {
    table.erase(model.begin()->first);
    model.erase(model.begin());
  }
  ASSERT_EQ(table.size(), 0U);
  std::printf("%llu operations on a table of %u\n", static_cast<unsigned long long>(steps), capacity);
}

constexpr dp::FlowHash::Seed kGood{0x9ae16a3b2f90404f, 0xc949d7c7509e6557, 0x2545f4914f6cdd1d,
                                   0x27d4eb2f165667c5};

TEST(FlowTableFuzz, Ipv4TableIsAMap) {
  for (const std::uint32_t capacity : {1U, 7U, 200U, 5'000U})
    against_a_map<Family::v4>(capacity, kGood, capacity, Budget(0.15));
}

TEST(FlowTableFuzz, Ipv6TableIsAMap) {
  for (const std::uint32_t capacity : {3U, 5'000U})
    against_a_map<Family::v6>(capacity, kGood, capacity, Budget(0.2));
}

}  // namespace
}  // namespace sluice::test
