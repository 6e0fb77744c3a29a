#include "dp/prefix_table.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::Family;
using base::Ipv4;
using base::Ipv6;

Ipv4 v4(const std::string& text) {
  return *Ipv4::parse(text);
}
Ipv6 v6(const std::string& text) {
  return *Ipv6::parse(text);
}

template <Family F>
using Numbers = PrefixTable<F, int>;
template <Family F>
using Entries = std::vector<typename Numbers<F>::Entry>;

/// What the table must agree with: looks at every prefix. Null: none holds the address.
template <Family F>
const typename Numbers<F>::Entry* longest_of_all(const Entries<F>& entries, const base::Address<F>& address) {
  const typename Numbers<F>::Entry* best = nullptr;
  for (const auto& entry : entries) {
    const base::Prefix prefix{entry.address, entry.length};
    if (prefix.contains(address) && (best == nullptr || entry.length > best->length)) best = &entry;
  }
  return best;
}

template <Family F>
base::Address<F> random_address(std::mt19937_64& random) {
  if constexpr (F == Family::v4) {
    // Few distinct high octets, so that prefixes nest and addresses hit them.
    return Ipv4::from_host(static_cast<std::uint32_t>((random() & 0x3) << 24 | (random() & 0x0f0fff)));
  } else {
    Ipv6 address = v6("2001:db8::");
    for (unsigned i = 4; i < 16; ++i) {
      if ((random() & 1U) != 0) address.bytes[i] = static_cast<std::uint8_t>(random() & 0x3);
    }
    return address;
  }
}

template <Family F>
void agree_on_random_tables() {
  std::mt19937_64 random(20261123);
  constexpr unsigned kWidth = AddressBits<F>::kWidth;
  for (int round = 0; round < 60; ++round) {
    Entries<F> entries;
    const std::size_t size = random() % 400;
    for (std::size_t i = 0; i < size; ++i) {
      entries.push_back({random_address<F>(random), static_cast<std::uint8_t>(random() % (kWidth + 1)),
                         static_cast<int>(random() % 50)});
    }
    const Numbers<F> table(entries);
    for (int probe = 0; probe < 500; ++probe) {
      const auto address = random_address<F>(random);
      const auto* expected = longest_of_all<F>(entries, address);
      const int* found = table.lookup(address);
      ASSERT_EQ(found != nullptr, expected != nullptr) << address.to_string();
      ASSERT_EQ(table.length_of(address), expected == nullptr ? 0 : expected->length) << address.to_string();
      if (found != nullptr) {
        ASSERT_EQ(*found, expected->value) << address.to_string();
      }
    }
  }
}

TEST(PrefixTable, AgreesWithTheNaiveSearchOnRandomTablesV4) {
  agree_on_random_tables<Family::v4>();
}
TEST(PrefixTable, AgreesWithTheNaiveSearchOnRandomTablesV6) {
  agree_on_random_tables<Family::v6>();
}

TEST(PrefixTable, WithoutRoutesFindsNothing) {
  const Numbers<Family::v4> table;
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.lookup(v4("10.0.0.1")), nullptr);
}

TEST(PrefixTable, ADefaultRouteAloneNeedsNoProbe) {
  const Entries<Family::v6> entries{{Ipv6{}, 0, 7}};
  const Numbers<Family::v6> table(entries);
  EXPECT_EQ(table.levels(), 0U);
  ASSERT_NE(table.lookup(v6("2001:db8::1")), nullptr);
  EXPECT_EQ(*table.lookup(v6("2001:db8::1")), 7);
}

TEST(PrefixTable, PrefersTheLongestPrefixDownToTheHostRoute) {
  const Entries<Family::v4> entries{
      {v4("0.0.0.0"), 0, 1}, {v4("10.0.0.0"), 8, 2}, {v4("10.1.0.0"), 16, 3}, {v4("10.1.1.1"), 32, 4}};
  const Numbers<Family::v4> table(entries);
  EXPECT_EQ(*table.lookup(v4("192.0.2.1")), 1);
  EXPECT_EQ(*table.lookup(v4("10.2.0.1")), 2);
  EXPECT_EQ(*table.lookup(v4("10.1.2.1")), 3);
  EXPECT_EQ(*table.lookup(v4("10.1.1.1")), 4);
}

TEST(PrefixTable, IgnoresHostBitsAndKeepsTheFirstOfTwins) {
  const Entries<Family::v4> entries{{v4("10.9.9.9"), 8, 1}, {v4("10.0.0.0"), 8, 2}};
  const Numbers<Family::v4> table(entries);
  EXPECT_EQ(*table.lookup(v4("10.0.0.1")), 1);
  EXPECT_EQ(table.lookup(v4("11.0.0.1")), nullptr);
}

TEST(PrefixTable, HoldsAFullTable) {
  std::mt19937_64 random(7);
  Entries<Family::v4> entries;
  for (std::uint32_t i = 0; i < 900'000; ++i) {
    const auto length = static_cast<std::uint8_t>(i % 10 < 6 ? 24 : 16 + i % 8);
    entries.push_back({Ipv4::from_host(i << 8U), length, static_cast<int>(random() % 16)});
  }
  const Numbers<Family::v4> table(entries);
  EXPECT_LE(table.memory_bytes(), 32U * 1024 * 1024);
  for (std::uint32_t i = 0; i < 900'000; i += 10) {
    const int* found = table.lookup(Ipv4::from_host((i << 8U) + 77));
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(*found, entries[i].value);
  }
}

}  // namespace
}  // namespace sluice::dp
