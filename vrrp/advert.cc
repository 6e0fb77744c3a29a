#include "vrrp/advert.h"

#include <cassert>
#include <cstring>

#include "base/byte_order.h"
#include "base/checksum.h"
#include "base/headers.h"

namespace sluice::vrrp {
namespace {

using base::Be16;
using base::Family;
using base::IpAddress;

/// First 8 bytes of either version (RFC 9568 §5.1; RFC 3768 §5.1).
struct AdvertHdr {
  std::uint8_t version_type;  ///< version 4 bits, type 4 bits
  std::uint8_t vrid;
  std::uint8_t priority;
  std::uint8_t count;
  Be16 interval;  ///< v2: kind of authentication, seconds; v3: reserved 4 bits, centiseconds 12
  Be16 checksum;
};
static_assert(sizeof(AdvertHdr) == 8 && alignof(AdvertHdr) == 1);

constexpr std::uint8_t kTypeAdvertisement = 1;
constexpr std::uint16_t kIntervalMask = 0x0fff;
constexpr std::uint8_t kAuthNone = 0;
constexpr std::uint8_t kAuthPassword = 1;
/// keepalived's auth_hmac puts a digest behind the advert; no digest is shorter.
constexpr std::size_t kShortestDigest = 16;

constexpr std::size_t address_size(Family family) noexcept {
  return family == Family::v4 ? 4 : 16;
}

constexpr std::size_t advert_size(std::uint8_t version, Family family, std::size_t count) noexcept {
  return sizeof(AdvertHdr) + count * address_size(family) + (version == 2 ? sizeof(AuthData) : 0);
}

std::uint64_t pseudo_sum(const IpAddress& source, const IpAddress& destination, std::size_t length) noexcept {
  constexpr base::IpProto kVrrp{kProtocol};
  const auto bytes = static_cast<std::uint32_t>(length);
  return source.is_v4() ? base::pseudo_header_sum(source.v4(), destination.v4(), kVrrp, bytes)
                        : base::pseudo_header_sum(source.v6(), destination.v6(), kVrrp, bytes);
}

bool sums_up(std::span<const std::byte> bytes, std::uint64_t initial) noexcept {
  return base::fold(base::sum_bytes(bytes, initial)) == 0xffff;
}

}  // namespace

IpAddress Advert::address(std::size_t i) const noexcept {
  const std::size_t size = address_size(family);
  assert((i + 1) * size <= addresses.size());
  return IpAddress::from_wire({reinterpret_cast<const char*>(addresses.data()) + i * size, size});
}

std::string_view name(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::length: return "length";
    case Refusal::ttl: return "ttl";
    case Refusal::version: return "version";
    case Refusal::type: return "type";
    case Refusal::checksum: return "checksum";
    case Refusal::auth_type: return "auth_type";
    case Refusal::auth_data: return "auth_data";
    case Refusal::auth_trailer: return "auth_trailer";
    case Refusal::interval: return "interval";
    case Refusal::addresses: return "addresses";
    case Refusal::destination: return "destination";
    case Refusal::source: return "source";
    case Refusal::own: return "own";
    case Refusal::foreign_family: return "foreign_family";
  }
  return "";
}

std::string_view describe(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::length: return "its length does not fit its number of addresses";
    case Refusal::ttl: return "its TTL is not 255: it has crossed a router";
    case Refusal::version: return "its VRRP version is not the instance's";
    case Refusal::type: return "it is no advertisement";
    case Refusal::checksum: return "its checksum is wrong, with and without pseudo-header";
    case Refusal::auth_type:
      return "its kind of authentication is not the instance's auth_pass, or lack of one";
    case Refusal::auth_data: return "its password is not the instance's auth_pass";
    case Refusal::auth_trailer:
      return "it has a trailer like that of keepalived's auth_hmac, which nothing but keepalived 2.4 knows: "
             "remove auth_hmac there";
    case Refusal::interval: return "its advert_int is not the instance's, or zero";
    case Refusal::addresses:
      return "it has none of the instance's addresses: another virtual router with the same "
             "virtual_router_id, or a wrong list";
    case Refusal::destination: return "it is unicast where the instance is multicast, or the other way round";
    case Refusal::source: return "its sender is not in unicast_peer";
    case Refusal::own:
      return "it has our own source address: a loop in the network, or an address used twice";
    case Refusal::foreign_family: return "it is of the other address family";
  }
  return "";
}

std::uint8_t peek_vrid(std::span<const std::byte> payload) noexcept {
  return payload.size() < 2 ? std::uint8_t{0} : std::to_integer<std::uint8_t>(payload[1]);
}

std::variant<Advert, Refusal> decode(const ReceivedPacket& packet, const AdvertFormat& format) noexcept {
  if (packet.source.family() != format.family || packet.destination.family() != format.family) {
    return Refusal::foreign_family;
  }
  if (packet.destination.is_multicast() && packet.ttl != kTtl) return Refusal::ttl;
  const auto* hdr = base::at<AdvertHdr>(packet.payload, 0);
  if (hdr == nullptr) return Refusal::length;
  if (hdr->version_type >> 4 != format.version) return Refusal::version;
  if ((hdr->version_type & 0x0f) != kTypeAdvertisement) return Refusal::type;

  const std::size_t size = advert_size(format.version, format.family, hdr->count);
  if (packet.payload.size() >= size + kShortestDigest) return Refusal::auth_trailer;
  if (packet.payload.size() != size) return Refusal::length;

  Advert advert;
  advert.version = format.version;
  advert.vrid = hdr->vrid;
  advert.priority = hdr->priority;
  advert.family = format.family;
  advert.addresses = packet.payload.subspan(sizeof(AdvertHdr), hdr->count * address_size(format.family));

  const bool with_pseudo_header =
      format.version != 2 &&
      sums_up(packet.payload, pseudo_sum(packet.source, packet.destination, packet.payload.size()));
  if (!with_pseudo_header) {
    const bool plain_is_known = format.family == Family::v4;
    if (!plain_is_known || !sums_up(packet.payload, 0)) return Refusal::checksum;
    advert.checksum = ChecksumStyle::plain;
  }
  if (format.version != 2) {
    advert.max_advert = Centis(hdr->interval.host() & kIntervalMask);
  } else {
    advert.max_advert = std::chrono::seconds(hdr->interval.host() & 0xff);
    if (hdr->interval.host() >> 8 != (format.authenticated ? kAuthPassword : kAuthNone)) {
      return Refusal::auth_type;
    }
    const auto* auth = base::at<AuthData>(packet.payload, size - sizeof(AuthData));
    if (format.authenticated && *auth != format.auth) return Refusal::auth_data;
  }
  // RFC 9568 §5.2.5: an advert without addresses MUST be ignored.
  if (hdr->count == 0) return Refusal::addresses;
  return advert;
}

std::span<std::byte> encode(const OutgoingAdvert& advert, std::span<std::byte> buffer) noexcept {
  const AdvertFormat& format = advert.format;
  const std::size_t count = advert.addresses.size();
  const std::size_t size = advert_size(format.version, format.family, count);
  assert(count <= kMaxAddresses && size <= buffer.size());
  const auto bytes = buffer.first(size);

  auto* hdr = base::at<AdvertHdr>(bytes, 0);
  hdr->version_type = static_cast<std::uint8_t>(format.version << 4 | kTypeAdvertisement);
  hdr->vrid = advert.vrid;
  hdr->priority = advert.priority;
  hdr->count = static_cast<std::uint8_t>(count);
  if (format.version == 2) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(advert.max_advert).count();
    const unsigned kind = format.authenticated ? kAuthPassword : kAuthNone;
    hdr->interval = Be16(static_cast<std::uint16_t>(kind << 8 | (seconds & 0xff)));
  } else {
    hdr->interval = Be16(static_cast<std::uint16_t>(advert.max_advert.count() & kIntervalMask));
  }
  hdr->checksum = Be16(0);

  std::byte* at = bytes.data() + sizeof(AdvertHdr);
  for (const IpAddress& address : advert.addresses) {
    assert(address.family() == format.family);
    const auto wire = address.wire();
    std::memcpy(at, wire.data(), wire.size());
    at += wire.size();
  }
  if (format.version == 2) {
    const AuthData auth = format.authenticated ? format.auth : AuthData{};
    std::memcpy(at, auth.data(), auth.size());
  }

  const bool plain =
      format.version == 2 || (format.family == Family::v4 && advert.checksum == ChecksumStyle::plain);
  const std::uint64_t initial = plain ? 0 : pseudo_sum(advert.source, advert.destination, size);
  hdr->checksum = Be16::from_raw(static_cast<std::uint16_t>(~base::fold(base::sum_bytes(bytes, initial))));
  return bytes;
}

}  // namespace sluice::vrrp
