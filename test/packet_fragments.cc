#include <algorithm>
#include <utility>

#include "test/packet_builder.h"
#include "test/packet_wire.h"

namespace sluice::test {

std::vector<Bytes> fragments(const Bytes& frame, std::size_t mtu, std::uint32_t id) {
  const std::size_t ether_type = get16(frame, 12);
  require(ether_type == 0x0800 || ether_type == 0x86dd, "fragments(): an untagged IPv4 or IPv6 frame");
  const bool is_v4 = ether_type == 0x0800;
  // What every fragment repeats: Ethernet, IP, and over IPv6 hop-by-hop and routing headers.
  std::size_t head = kEthLength;
  std::size_t next_at = kEthLength + 6;  // of the header that announces the payload
  if (is_v4) {
    head += (std::to_integer<std::size_t>(frame.at(kEthLength)) & 0x0f) * 4;
  } else {
    head += kIp6Length;
    for (auto next = std::to_integer<std::uint8_t>(frame.at(next_at));
         next == kHopByHop || next == kRouting;) {
      next_at = head;
      next = std::to_integer<std::uint8_t>(frame.at(head));
      head += (std::to_integer<std::size_t>(frame.at(head + 1)) + 1) * 8;
    }
  }
  const std::size_t end = kEthLength + get16(frame, kEthLength + (is_v4 ? 2 : 4)) + (is_v4 ? 0 : kIp6Length);
  const std::size_t extra = is_v4 ? 0 : kFragmentLength;
  require(mtu + kEthLength >= head + extra + 8 && end <= frame.size(), "fragments(): the MTU is too small");
  const std::size_t piece = (mtu + kEthLength - head - extra) / 8 * 8;

  std::vector<Bytes> out;
  for (std::size_t at = head; at < end; at += piece) {
    const std::size_t length = std::min(piece, end - at);
    const std::size_t more = at + length < end ? 1 : 0;
    const auto begin = frame.begin();
    Bytes one(begin, begin + static_cast<std::ptrdiff_t>(head));
    if (is_v4) {
      set16(one, kEthLength + 2, head - kEthLength + length);
      set16(one, kEthLength + 4, id);
      set16(one, kEthLength + 6, more << 13 | (at - head) / 8);
      set16(one, kEthLength + 10, 0);
      set16(one, kEthLength + 10, rfc1071(Bytes(one.begin() + kEthLength, one.end())));
    } else {
      set16(one, kEthLength + 4, head - kEthLength - kIp6Length + kFragmentLength + length);
      put8(one, std::to_integer<std::size_t>(one.at(next_at)));
      put8(one, 0);
      put16(one, (at - head) | more);
      put32(one, id);
      one.at(next_at) = static_cast<std::byte>(kFragment);
    }
    put(one, std::span(frame).subspan(at, length));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace sluice::test
