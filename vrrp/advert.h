#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "base/address.h"

/// VRRP adverts: bytes to values and back. Theory of operation: a VRRP advert says "virtual router `vrid` is
/// served by me, with `priority`; expect the next one within `max_advert`". Version 2 (RFC 3768 §5.1) has
/// whole seconds, an authentication field and a plain checksum; version 3 (RFC 9568 §5.1) has centiseconds,
/// no authentication, IPv6, and, over IPv4, a checksum that some compute with a pseudo-header and some
/// without. No I/O, no allocation. Thread: any.
namespace sluice::vrrp {

inline constexpr std::uint8_t kProtocol = 112;       ///< IP protocol number, or next header
inline constexpr std::uint8_t kPriorityStop = 0;     ///< the sender ceases to be master (RFC 9568 §5.2.4)
inline constexpr std::uint8_t kPriorityOwner = 255;  ///< the sender owns the addresses
inline constexpr std::uint8_t kTtl = 255;            ///< adverts do not cross routers (RFC 9568 §5.1.1.3)
inline constexpr std::size_t kMaxAddresses = 255;

/// Hundredths of a second, VRRP's unit of time.
using Centis = std::chrono::duration<std::int64_t, std::centi>;

/// How a version 3 advert over IPv4 is summed.
enum class ChecksumStyle : std::uint8_t { pseudo_header, plain };

/// First 8 bytes of a version 2 password, zero padded (RFC 2338 §5.3.6.2).
using AuthData = std::array<std::uint8_t, 8>;

/// What both ends of an instance agree on.
struct AdvertFormat {
  std::uint8_t version = 2;                ///< 2 or 3
  base::Family family = base::Family::v4;  ///< version 2: v4
  bool authenticated = false;              ///< version 2, type 1 (simple text password)
  AuthData auth{};
};

/// An advert as it was received; `addresses` refer to the packet's bytes.
struct Advert {
  std::uint8_t version = 2;
  std::uint8_t vrid = 0;
  std::uint8_t priority = 0;
  Centis max_advert{100};
  ChecksumStyle checksum = ChecksumStyle::pseudo_header;  ///< of version 3 over IPv4
  base::Family family = base::Family::v4;
  std::span<const std::byte> addresses{};  ///< 4 or 16 bytes each, network order
  [[nodiscard]] std::size_t count() const noexcept {
    return addresses.size() / (family == base::Family::v4 ? 4 : 16);
  }
  [[nodiscard]] base::IpAddress address(std::size_t i) const noexcept;
};

/// Why an advert is not taken. Each is counted; describe() has the sentences.
enum class Refusal : std::uint8_t {
  length,   ///< shorter or longer than its count of addresses says
  ttl,      ///< multicast, and not 255
  version,  ///< not the instance's
  type,     ///< not 1 (ADVERTISEMENT)
  checksum,
  auth_type,     ///< version 2: not the instance's kind of authentication
  auth_data,     ///< version 2: another password
  auth_trailer,  ///< bytes behind the advert that look like keepalived's own auth_hmac
  interval,      ///< version 2: another interval than the instance's; version 3: zero
  addresses,     ///< none, or none of the instance's
  destination,   ///< unicast where multicast is configured, or the other way round
  source,        ///< an unknown unicast peer, with check_unicast_src
  own,           ///< our own packet, looped back
  foreign_family,
};
inline constexpr std::size_t kRefusals = 14;
[[nodiscard]] std::string_view name(Refusal refusal) noexcept;      ///< stable: "ttl"
[[nodiscard]] std::string_view describe(Refusal refusal) noexcept;  ///< a sentence for people

/// A packet of IP protocol 112 as a raw socket gives it, without its IP header.
struct ReceivedPacket {
  base::IpAddress source, destination;
  std::uint8_t ttl = 0;  ///< hop limit
  std::span<const std::byte> payload;
};

/// The VRID of a packet that is long enough to have one, whatever else is wrong with it; else 0.
[[nodiscard]] std::uint8_t peek_vrid(std::span<const std::byte> payload) noexcept;

/// Reads an advert and checks all that its bytes alone decide (RFC 9568 §7.1; RFC 3768 §7.1): length, TTL,
/// version, type, checksum (both styles are taken), authentication. What the instance's configuration decides
/// (interval, addresses, peers) is for VirtualRouter's owner: see accept.h. Trailing bytes are refused: raw
/// sockets have cut off Ethernet's padding. The spans of the Advert live as long as `packet.payload`.
[[nodiscard]] std::variant<Advert, Refusal> decode(const ReceivedPacket& packet,
                                                   const AdvertFormat& format) noexcept;

/// What is to be sent.
struct OutgoingAdvert {
  AdvertFormat format;
  std::uint8_t vrid = 0;
  std::uint8_t priority = 0;
  Centis max_advert{100};
  ChecksumStyle checksum = ChecksumStyle::pseudo_header;
  base::IpAddress source, destination;         ///< for the checksum
  std::span<const base::IpAddress> addresses;  ///< at most kMaxAddresses, all of the format's family
};

/// Longest advert: 8 bytes, 255 IPv6 addresses.
inline constexpr std::size_t kMaxAdvertBytes = 8 + kMaxAddresses * 16;

/// Writes the advert (without IP header) into `buffer` and returns the part written. Pre: `buffer` has
/// kMaxAdvertBytes.
[[nodiscard]] std::span<std::byte> encode(const OutgoingAdvert& advert, std::span<std::byte> buffer) noexcept;

}  // namespace sluice::vrrp
