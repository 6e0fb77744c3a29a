#include <algorithm>
#include <map>
#include <utility>

#include "test/packet_builder.h"
#include "test/packet_wire.h"

namespace sluice::test {

namespace {

/// What every fragment repeats: Ethernet, IP, and over IPv6 hop-by-hop and routing headers.
struct Head {
  bool is_v4;
  std::size_t length;
  std::size_t next_at;  ///< of the byte that announces what follows
};

Head head_of(const Bytes& frame) {
  const std::size_t ether_type = get16(frame, 12);
  require(ether_type == 0x0800 || ether_type == 0x86dd, "fragments(): an untagged IPv4 or IPv6 frame");
  if (ether_type == 0x0800) {
    return {true, kEthLength + (std::to_integer<std::size_t>(frame.at(kEthLength)) & 0x0f) * 4,
            kEthLength + 9};
  }
  Head head{false, kEthLength + kIp6Length, kEthLength + 6};
  for (auto next = std::to_integer<std::uint8_t>(frame.at(head.next_at));
       next == kHopByHop || next == kRouting;) {
    head.next_at = head.length;
    next = std::to_integer<std::uint8_t>(frame.at(head.length));
    head.length += (std::to_integer<std::size_t>(frame.at(head.length + 1)) + 1) * 8;
  }
  return head;
}

}  // namespace

std::vector<Bytes> fragments(const Bytes& frame, std::size_t mtu, std::uint32_t id) {
  const auto [is_v4, head, next_at] = head_of(frame);
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

std::optional<Bytes> whole_of(const std::vector<Bytes>& fragments) {
  std::map<std::size_t, Bytes> payloads;  // by offset
  std::optional<std::size_t> end;
  std::optional<Bytes> id, whole;
  for (const Bytes& frame : fragments) {
    const Head head = head_of(frame);
    const auto at = [&](std::size_t offset) { return frame.begin() + static_cast<std::ptrdiff_t>(offset); };
    const std::size_t stop =
        kEthLength + get16(frame, kEthLength + (head.is_v4 ? 2 : 4)) + (head.is_v4 ? 0 : kIp6Length);
    const std::size_t begin = head.length + (head.is_v4 ? 0 : kFragmentLength);
    if (stop > frame.size() || begin >= stop) return std::nullopt;
    if (!head.is_v4 && frame.at(head.next_at) != static_cast<std::byte>(kFragment)) return std::nullopt;
    const std::size_t field = get16(frame, head.is_v4 ? kEthLength + 6 : head.length + 2);
    const std::size_t offset = head.is_v4 ? (field & 0x1fff) * 8 : field & 0xfff8;
    const bool more = head.is_v4 ? (field & 0x2000) != 0 : (field & 1) != 0;
    const Bytes own = head.is_v4 ? Bytes(at(kEthLength + 4), at(kEthLength + 6))
                                 : Bytes(at(head.length + 4), at(head.length + 8));
    if (id.value_or(own) != own || !payloads.emplace(offset, Bytes(at(begin), at(stop))).second) {
      return std::nullopt;
    }
    id = own;
    if (!more) end = offset + stop - begin;
    if (offset == 0) {
      whole = Bytes(frame.begin(), at(head.length));
      if (!head.is_v4) whole->at(head.next_at) = frame.at(head.length);
    }
  }
  if (!whole || !end) return std::nullopt;
  std::size_t joined = 0;
  for (const auto& [offset, payload] : payloads) {
    if (offset != joined) return std::nullopt;
    put(*whole, payload);
    joined += payload.size();
  }
  if (joined != *end) return std::nullopt;
  const Head head = head_of(*whole);
  if (head.is_v4) {
    set16(*whole, kEthLength + 2, whole->size() - kEthLength);
    set16(*whole, kEthLength + 6, 0);
    set16(*whole, kEthLength + 10, 0);
    const Bytes header(whole->begin() + kEthLength,
                       whole->begin() + static_cast<std::ptrdiff_t>(head.length));
    set16(*whole, kEthLength + 10, rfc1071(header));
  } else {
    set16(*whole, kEthLength + 4, whole->size() - kEthLength - kIp6Length);
  }
  return whole;
}

}  // namespace sluice::test
