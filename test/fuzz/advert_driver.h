#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "test/fuzz/choices.h"
#include "test/unit/vrrp/advert_vectors.h"
#include "vrrp/accept.h"
#include "vrrp/virtual_router.h"

namespace sluice::test {

using base::Family;
using vrrp::Advert;
using vrrp::Refusal;

using Bytes = std::vector<std::byte>;

/// RFC 1071, word by word.
inline void sum_up(Bytes& bytes, const vrrp::ReceivedPacket& packet, bool with_pseudo_header) {
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
inline Bytes any_bytes(const AdvertVector& vector, Choices& choices) {
  Bytes bytes = hex(vector.bytes);
  if (choices.one_in(8)) {
    bytes.resize(choices.below(choices.one_in(10) ? 5'000 : 64));
    for (std::byte& b : bytes) b = static_cast<std::byte>(choices.next());
    return bytes;
  }
  for (std::uint32_t n = choices.below(4); n > 0 && !bytes.empty(); --n) {
    const std::size_t at = choices.below(static_cast<std::uint32_t>(bytes.size()));
    switch (choices.below(5)) {
      case 0: bytes[at] = static_cast<std::byte>(choices.next()); break;
      case 1: bytes[at] ^= std::byte{1} << choices.below(8); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.insert(bytes.end(), choices.below(40), static_cast<std::byte>(choices.next())); break;
      default: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::byte{}); break;
    }
  }
  return bytes;
}

/// A taken advert, written again, is the same: but for the bits that mean nothing.
inline void expect_same_bytes(const Advert& advert, const vrrp::AdvertFormat& format,
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

/// A virtual router that hears adverts: whatever their bytes, what was refused changes nothing, what was
/// taken means what it says, and timers that have fired are set anew.
class AdvertDriver {
 public:
  explicit AdvertDriver(Choices& choices) : choices_(choices), router_({.version = 3}, now_) {
    (void)router_.handle(vrrp::Start{}, now_);
  }

  /// An advert is heard, then some time passes. Returns why it was refused; nothing: it was taken.
  std::optional<Refusal> step() {
    const AdvertVector& vector = vectors_[choices_.below(static_cast<std::uint32_t>(vectors_.size()))];
    return hear(vector, any_bytes(vector, choices_));
  }

 private:
  std::optional<Refusal> hear(const AdvertVector& vector, Bytes bytes) {
    const bool v4 = vector.format.family == Family::v4;
    vrrp::ReceivedPacket packet{
        .source = v4 ? kRouter4 : kRouter6,
        .destination = v4 ? kGroup4 : kGroup6,
        .ttl = choices_.one_in(20) ? static_cast<std::uint8_t>(choices_.next()) : vrrp::kTtl,
        .payload = {}};
    if (choices_.one_in(8)) packet.destination = own_;
    if (choices_.one_in(8)) packet.source = ip("10.99.0.2");
    if (choices_.one_in(30)) packet.source = own_;
    if (!choices_.one_in(4)) sum_up(bytes, packet, vector.style == vrrp::ChecksumStyle::pseudo_header);
    // Of exactly the size, so that a sanitizer sees a step beyond it.
    const auto exact = std::make_unique<std::byte[]>(bytes.size());
    std::ranges::copy(bytes, exact.get());
    packet.payload = {exact.get(), bytes.size()};

    const vrrp::Time due = router_.deadline().value_or(vrrp::Time{});
    const vrrp::State state = router_.state();
    const auto refusal = judge(vector, packet);
    if (refusal) {
      EXPECT_EQ(router_.state(), state);
      EXPECT_EQ(router_.deadline().value_or(vrrp::Time{}), due);
    }
    now_ += std::chrono::milliseconds(choices_.below(300));
    if (router_.deadline() && *router_.deadline() <= now_) {
      (void)router_.handle(vrrp::Timeout{}, now_);
      EXPECT_TRUE(!router_.deadline() || *router_.deadline() > now_);
    }
    return refusal;
  }

  std::optional<Refusal> judge(const AdvertVector& vector, const vrrp::ReceivedPacket& packet) {
    const auto decoded = vrrp::decode(packet, vector.format);
    if (const auto* why = std::get_if<Refusal>(&decoded)) return *why;
    const Advert& advert = std::get<Advert>(decoded);
    expect_same_bytes(advert, vector.format, packet);
    const auto rules = vrrp::accept_rules(
        vector.format.version, vector.interval, vector.addresses,
        choices_.one_in(9) ? std::vector{kRouter4} : std::vector<base::IpAddress>{}, choices_.one_in(2));
    const auto refusal = vrrp::accept(packet, advert, rules, own_);
    (void)vrrp::lists_differ(advert, rules);
    if (refusal) return refusal;
    (void)router_.handle(vrrp::AdvertReceived{advert.priority, advert.max_advert, choices_.one_in(2)}, now_);
    return std::nullopt;
  }

  Choices& choices_;
  const std::vector<AdvertVector> vectors_ = advert_vectors();
  const base::IpAddress own_ = ip("10.99.0.9");
  vrrp::Time now_{std::chrono::seconds(1'000)};
  vrrp::VirtualRouter router_;
};

}  // namespace sluice::test
