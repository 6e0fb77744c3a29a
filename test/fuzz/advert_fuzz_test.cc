// Adverts from strangers: whatever the bytes, each is a value or a refusal, nothing beyond them is read (they
// end where their memory ends), what was refused changes nothing, and what was taken means what it says.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "test/fuzz/budget.h"
#include "test/unit/vrrp/advert_vectors.h"
#include "vrrp/accept.h"
#include "vrrp/virtual_router.h"

namespace sluice::test {
namespace {

using base::Family;
using vrrp::Advert;
using vrrp::Refusal;

using Bytes = std::vector<std::byte>;

/// RFC 1071, word by word.
void sum_up(Bytes& bytes, const vrrp::ReceivedPacket& packet, bool with_pseudo_header) {
  if (bytes.size() < 8) return;
  bytes[6] = bytes[7] = std::byte{0};
  std::uint64_t sum = 0;
  const auto add = [&](auto begin, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      sum += std::uint64_t{static_cast<std::uint8_t>(begin[i])} << (i % 2 == 0 ? 8 : 0);
    }
  };
  if (with_pseudo_header) {
    add(packet.source.wire().data(), packet.source.wire().size());
    add(packet.destination.wire().data(), packet.destination.wire().size());
    sum += bytes.size() + vrrp::kProtocol;
  }
  add(bytes.data(), bytes.size());
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  bytes[6] = static_cast<std::byte>(~sum >> 8 & 0xff);
  bytes[7] = static_cast<std::byte>(~sum & 0xff);
}

/// One of keepalived's adverts, changed here and there; or noise.
Bytes any_bytes(const AdvertVector& vector, Dice& dice) {
  Bytes bytes = hex(vector.bytes);
  if (dice.one_in(8)) {
    bytes.resize(dice.below(dice.one_in(10) ? 5'000 : 64));
    for (std::byte& b : bytes) b = static_cast<std::byte>(dice.next());
    return bytes;
  }
  for (std::uint32_t n = dice.below(4); n > 0 && !bytes.empty(); --n) {
    const std::size_t at = dice.below(static_cast<std::uint32_t>(bytes.size()));
    switch (dice.below(5)) {
      case 0: bytes[at] = static_cast<std::byte>(dice.next()); break;
      case 1: bytes[at] ^= std::byte{1} << dice.below(8); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.insert(bytes.end(), dice.below(40), static_cast<std::byte>(dice.next())); break;
      default: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::byte{}); break;
    }
  }
  return bytes;
}

/// A taken advert, written again, is the same: but for the bits that mean nothing.
void expect_same_bytes(const Advert& advert, const vrrp::AdvertFormat& format,
                       const vrrp::ReceivedPacket& packet) {
  std::vector<base::IpAddress> addresses;
  for (std::size_t i = 0; i < advert.count(); ++i) addresses.push_back(advert.address(i));
  std::array<std::byte, vrrp::kMaxAdvertBytes> buffer;
  const auto again = vrrp::encode({.format = format,
                                   .vrid = advert.vrid,
                                   .priority = advert.priority,
                                   .max_advert = advert.max_advert,
                                   .checksum = advert.checksum,
                                   .source = packet.source,
                                   .destination = packet.destination,
                                   .addresses = addresses},
                                  buffer);
  ASSERT_EQ(again.size(), packet.payload.size());
  const bool no_password = format.version == 2 && !format.authenticated;
  for (std::size_t i = 0; i < again.size(); ++i) {
    if (i == 6 || i == 7) continue;                      // follows from the others
    if (no_password && i + 8 >= again.size()) continue;  // not looked at
    const std::byte mask{format.version == 3 && i == 4 ? std::uint8_t{0x0f} : std::uint8_t{0xff}};
    ASSERT_EQ(again[i] & mask, packet.payload[i] & mask) << "byte " << i;
  }
}

TEST(AdvertFuzz, EachIsAValueOrARefusal) {
  const auto vectors = advert_vectors();
  Dice dice(7);
  std::array<std::uint64_t, vrrp::kRefusals> refused{};
  std::uint64_t taken = 0;
  const base::IpAddress own = ip("10.99.0.9");
  vrrp::Time now{std::chrono::seconds(1'000)};
  vrrp::VirtualRouter router({.version = 3}, now);
  (void)router.handle(vrrp::Start{}, now);
  for (const Budget budget(0.2); budget.left();) {
    for (int round = 0; round < 10'000; ++round) {
      const AdvertVector& vector = vectors[dice.below(static_cast<std::uint32_t>(vectors.size()))];
      const bool v4 = vector.format.family == Family::v4;
      Bytes bytes = any_bytes(vector, dice);
      vrrp::ReceivedPacket packet{
          .source = v4 ? kRouter4 : kRouter6,
          .destination = v4 ? kGroup4 : kGroup6,
          .ttl = dice.one_in(20) ? static_cast<std::uint8_t>(dice.next()) : vrrp::kTtl,
          .payload = {}};
      if (dice.one_in(8)) packet.destination = own;
      if (dice.one_in(8)) packet.source = ip("10.99.0.2");
      if (dice.one_in(30)) packet.source = own;
      if (!dice.one_in(4)) {
        sum_up(bytes, packet, vector.style == vrrp::ChecksumStyle::pseudo_header);
      }
      // Of exactly the size, so that a sanitizer sees a step beyond it.
      const auto exact = std::make_unique<std::byte[]>(bytes.size());
      std::ranges::copy(bytes, exact.get());
      packet.payload = {exact.get(), bytes.size()};

      const vrrp::Time due = router.deadline().value_or(vrrp::Time{});
      const vrrp::State state = router.state();
      const auto decoded = vrrp::decode(packet, vector.format);
      std::optional<Refusal> refusal;
      if (const auto* why = std::get_if<Refusal>(&decoded)) {
        refusal = *why;
      } else {
        const Advert& advert = std::get<Advert>(decoded);
        ASSERT_NO_FATAL_FAILURE(expect_same_bytes(advert, vector.format, packet));
        const auto rules = vrrp::accept_rules(
            vector.format.version, vector.interval, vector.addresses,
            dice.one_in(9) ? std::vector{kRouter4} : std::vector<base::IpAddress>{}, dice.one_in(2));
        refusal = vrrp::accept(packet, advert, rules, own);
        (void)vrrp::lists_differ(advert, rules);
        if (!refusal) {
          ++taken;
          (void)router.handle(vrrp::AdvertReceived{advert.priority, advert.max_advert, dice.one_in(2)}, now);
        }
      }
      if (refusal) {
        ++refused[static_cast<std::size_t>(*refusal)];
        ASSERT_EQ(router.state(), state);
        ASSERT_EQ(router.deadline().value_or(vrrp::Time{}), due);
      }
      now += std::chrono::milliseconds(dice.below(300));
      if (router.deadline() && *router.deadline() <= now) {
        (void)router.handle(vrrp::Timeout{}, now);
        ASSERT_TRUE(!router.deadline() || *router.deadline() > now);
      }
    }
  }
  std::printf("%llu adverts taken; refused:", static_cast<unsigned long long>(taken));
  for (std::size_t i = 0; i < refused.size(); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    std::printf(" %.*s %llu", static_cast<int>(vrrp::name(refusal).size()), vrrp::name(refusal).data(),
                static_cast<unsigned long long>(refused[i]));
    EXPECT_GT(refused[i], 0U) << vrrp::name(refusal);
  }
  std::printf("\n");
  EXPECT_GT(taken, 0U);
}

}  // namespace
}  // namespace sluice::test
