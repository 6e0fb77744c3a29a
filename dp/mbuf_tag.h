#pragma once

#include <cstring>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "base/result.h"
#include "dp/packet.h"

namespace sluice::dp {

/// Where an mbuf keeps its packet's FragmentTag between two runs through the stages: while it is handed over
/// or parked. That it has one stands in the first cache line, in the field of the NIC's hash, which nobody
/// reads of a frame once it has been received: whole packets do not touch a second line for it. A small
/// value. Thread: that of the mbuf's owner.
class MbufTag {
 public:
  /// Errors: exhausted. Thread: control.
  static base::Result<MbufTag> make() {
    const rte_mbuf_dynfield field{"sluice_fragment_tag", sizeof(FragmentTag), alignof(FragmentTag), 0};
    const int offset = ::rte_mbuf_dynfield_register(&field);
    if (offset < 0) return base::system_error("packet memory: no room for the tag of fragments", rte_errno);
    return MbufTag(offset);
  }

  /// Notes the packet's tag in its mbuf, or that it has none.
  void put(const Packet& packet) const noexcept {
    packet.mbuf->hash.usr = packet.tag.known ? kTagged : 0;
    if (packet.tag.known) std::memcpy(at(packet.mbuf), &packet.tag, sizeof(FragmentTag));
  }
  /// Pre: put() was called since the mbuf was received.
  [[nodiscard]] FragmentTag get(rte_mbuf* mbuf) const noexcept {
    FragmentTag tag;
    if (mbuf->hash.usr == kTagged) std::memcpy(&tag, at(mbuf), sizeof(FragmentTag));
    return tag;
  }

 private:
  static constexpr std::uint32_t kTagged = 1;
  explicit MbufTag(int offset) noexcept : offset_(offset) {}
  [[nodiscard]] std::byte* at(rte_mbuf* mbuf) const noexcept {
    return reinterpret_cast<std::byte*>(mbuf) + offset_;
  }
  int offset_;
};

}  // namespace sluice::dp
