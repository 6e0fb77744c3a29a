#include "vrrp/kernel/announcement.h"

#include <cerrno>
#include <cstring>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "base/checksum.h"
#include "base/headers.h"

namespace sluice::vrrp {
namespace {

using base::Be16;
using base::Be32;

constexpr base::Mac kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr base::Mac kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};                              // RFC 2464 §7
constexpr base::Ipv6 kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};  // RFC 4291 §2.7.1

struct GratuitousArp {
  base::EthHdr eth;
  base::ArpHdr arp;
};
static_assert(sizeof(GratuitousArp) == 42);

/// Neighbour advertisement with its target link-layer address option (RFC 4861 §4.4, §4.6.1).
struct NeighbourAdvert {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 flags;
  base::Ipv6 target;
  std::uint8_t option_type, option_length;
  base::Mac mac;
};
static_assert(sizeof(NeighbourAdvert) == 32);
struct UnsolicitedAdvert {
  base::EthHdr eth;
  base::Ipv6Hdr ip;
  NeighbourAdvert advert;
};
static_assert(sizeof(UnsolicitedAdvert) == 86);

constexpr std::uint32_t kRouterFlag = 0x8000'0000, kOverrideFlag = 0x2000'0000;
constexpr std::uint8_t kTargetLinkLayerAddress = 2;

template <typename Frame>
Announcement as_announcement(const Frame& frame) noexcept {
  Announcement out;
  static_assert(sizeof(Frame) <= sizeof out.bytes);
  std::memcpy(out.bytes.data(), &frame, sizeof frame);
  out.size = sizeof frame;
  return out;
}

GratuitousArp arp_of(base::Ipv4 address, base::Mac mac) noexcept {
  GratuitousArp frame{};
  frame.eth = {kBroadcast, mac, Be16{static_cast<std::uint16_t>(base::EtherType::arp)}};
  frame.arp.hardware = Be16{1};
  frame.arp.protocol = Be16{static_cast<std::uint16_t>(base::EtherType::ipv4)};
  frame.arp.hardware_len = 6;
  frame.arp.protocol_len = 4;
  frame.arp.operation = Be16{1};
  frame.arp.sender_mac = mac;
  frame.arp.sender_ip = address;
  frame.arp.target_mac = kBroadcast;
  frame.arp.target_ip = address;
  return frame;
}

UnsolicitedAdvert advert_of(const base::Ipv6& address, base::Mac mac, bool router) noexcept {
  UnsolicitedAdvert frame{};
  frame.eth = {kAllNodesMac, mac, Be16{static_cast<std::uint16_t>(base::EtherType::ipv6)}};
  frame.ip.version_class_flow = Be32{0x6000'0000};
  frame.ip.payload_length = Be16{sizeof(NeighbourAdvert)};
  frame.ip.next_header = base::IpProto::icmpv6;
  frame.ip.hop_limit = 255;
  frame.ip.src = address;
  frame.ip.dst = kAllNodes;
  frame.advert.type = base::icmpv6::kNeighborAdvert;
  frame.advert.flags = Be32{kOverrideFlag | (router ? kRouterFlag : 0U)};
  frame.advert.target = address;
  frame.advert.option_type = kTargetLinkLayerAddress;
  frame.advert.option_length = 1;  // units of 8 bytes
  frame.advert.mac = mac;
  frame.advert.checksum = base::l4_checksum(frame.ip.src, frame.ip.dst, base::IpProto::icmpv6,
                                            std::as_bytes(std::span(&frame.advert, 1)));
  return frame;
}

}  // namespace

Announcement announcement_of(const base::IpAddress& address, base::Mac mac, bool router) noexcept {
  return address.is_v4() ? as_announcement(arp_of(address.v4(), mac))
                         : as_announcement(advert_of(address.v6(), mac, router));
}

base::Result<FrameSocket> FrameSocket::open() {
  base::Fd fd(
      ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));  // protocol 0: receives nothing
  if (!fd) return base::system_error("packet socket for gratuitous ARP", errno);
  return FrameSocket(std::move(fd));
}

int FrameSocket::send(std::uint32_t index, std::span<const std::byte> frame) const noexcept {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(index);
  const auto sent = ::sendto(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&to), sizeof to);
  return sent < 0 ? errno : 0;
}

}  // namespace sluice::vrrp
