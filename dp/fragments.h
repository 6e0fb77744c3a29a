#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/headers.h"
#include "dp/datagram_ids.h"
#include "dp/drop_reason.h"
#include "dp/packet.h"

/// Theory of operation. Only a datagram's first fragment has ports; the others are told by addresses and
/// identification whose they are. Nothing is put together: each fragment is forwarded by itself, as soon as
/// the first one is known.
///
///   any worker ── hash of (addresses, id) ──► shard ── owner of the flow ──► owner
///
/// The shard of a datagram sees all of its fragments, and alone keeps count of them (Fragments). It lets pass
/// what fits what came before, has wait what comes before the first, and tells with a tag (FragmentTag) what
/// datagram a fragment is of; with that the flow's owner needs to remember nothing. A later fragment is only
/// ever forwarded by a flow that its first fragment has found.
///
/// What can be remembered is bounded in number and time, and forgotten as soon as all fragments have come.
/// When room is needed, what still lacks its first fragment goes first: later fragments cost nothing to
/// invent.
///
/// Source: RFC 791 §3.2; RFC 8200 §4.5; RFC 5722 (overlaps); RFC 1858, RFC 3128 and RFC 7112 (first
/// fragments that do not hold all headers); RFC 4787 REQ-14.
namespace sluice::dp {

/// By what fragments of one datagram are known.
struct DatagramKey {
  base::IpAddress src, dst;
  std::uint32_t id = 0;   ///< as it stands in the header
  base::IpProto proto{};  ///< IPv4 only: over IPv6 it may differ between fragments (RFC 8200 §4.5)
  friend constexpr bool operator==(const DatagramKey&, const DatagramKey&) noexcept = default;
};

/// One fragment of it: where it lies, in bytes.
struct FragmentPlace {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  bool more = false;  ///< it is not the last
  [[nodiscard]] std::uint32_t end() const noexcept { return offset + length; }
};

/// One worker's knowledge of the datagrams whose shard it is. Nothing is allocated after construction.
/// Thread: its worker.
class Fragments {
 public:
  /// Datagrams at one time.
  static constexpr std::uint16_t kDatagrams = 1024;
  /// Fragments of one: 65,535 bytes at the least MTU that hosts must take, 576 bytes (RFC 791 §3.1).
  static constexpr std::uint16_t kPieces = 128;
  /// Frames that wait for their first fragment, and of one datagram.
  static constexpr std::uint16_t kWaiting = 512;
  static constexpr std::uint16_t kWaitingOfOne = 64;
  /// Places for such frames: while those of an evicted datagram are not yet taken out, others need some.
  static constexpr std::uint16_t kPlaces = kWaiting + 2 * kWaitingOfOne;
  /// How long a datagram is remembered from its fragment that came first. Hosts wait for 15 to 120 s
  /// (RFC 1122 §3.3.2); what the network reorders comes within milliseconds.
  static constexpr std::uint32_t kPatienceMs = 5000;

  Fragments();

  /// What becomes of a fragment: pending: `tag` tells what it is of; keep: the frame is to be kept at `place`
  /// until take_out() names it; drop.
  struct Found {
    Verdict verdict = Verdict::pending;
    DropReason reason = DropReason::none;
    std::uint16_t place = kNoIndex;
    FragmentTag tag;
  };
  /// Takes note of a fragment. `first`: what a first fragment tells of its datagram, nothing for later ones;
  /// the identification is filled in from `ids`, one for each datagram. What waited for the first is then due
  /// to be taken out: once that has been dealt with. `hash` is of the key.
  Found add(const DatagramKey& key, std::uint64_t hash, const FragmentPlace& place,
            const std::optional<FragmentTag>& first, DatagramIds& ids, base::Tick now) noexcept;

  /// A frame that waits no more.
  struct Due {
    std::uint16_t place = kNoIndex;        ///< kNoIndex: none
    DropReason reason = DropReason::none;  ///< why it is dropped; none: it goes on with the tag
    FragmentTag tag;
  };
  /// In the order in which they came. Forgets what has been remembered for long enough. To be asked until
  /// there is none, or the round has done enough.
  [[nodiscard]] Due take_out(base::Tick now) noexcept;

  [[nodiscard]] std::uint16_t datagrams() const noexcept { return static_cast<std::uint16_t>(used_); }
  /// Frames kept, those included that are due.
  [[nodiscard]] std::uint16_t kept() const noexcept { return kept_; }

 private:
  struct Piece {
    std::uint16_t offset;  ///< in units of 8 bytes
    std::uint16_t length;  ///< bytes
    [[nodiscard]] std::uint32_t begin() const noexcept { return offset * std::uint32_t{8}; }
    [[nodiscard]] std::uint32_t end() const noexcept { return begin() + length; }
  };
  /// Places in the order in which they are to be taken.
  struct Queue {
    std::uint16_t head = kNoIndex, tail = kNoIndex;
  };
  /// Nothing of it passes; waits for its first fragment; that has come. In this order they give way.
  enum class Age : std::uint8_t { dead, waiting, decided };
  struct Datagram {
    DatagramKey key;
    std::uint64_t hash = 0;
    base::Tick since;
    FragmentTag tag;
    DropReason dead = DropReason::none;  ///< why none of it passes any more
    Age age = Age::waiting;
    std::uint16_t pieces = 0;
    std::uint16_t waits = 0;    ///< frames in `queue`
    std::uint32_t total = 0;    ///< bytes; 0: the last fragment has not come
    std::uint32_t arrived = 0;  ///< bytes
    Queue queue;
    std::uint16_t chain = kNoIndex;                    ///< next of its bucket, or of the free list
    std::uint16_t older = kNoIndex, newer = kNoIndex;  ///< of its age
    std::array<Piece, kPieces> piece;                  ///< ascending
  };
  struct Place {
    std::uint16_t next = kNoIndex;
    DropReason reason = DropReason::none;
    FragmentTag tag;
  };

  [[nodiscard]] std::uint16_t find(const DatagramKey& key, std::uint64_t hash) const noexcept;
  [[nodiscard]] std::uint16_t begin(const DatagramKey& key, std::uint64_t hash, base::Tick now) noexcept;
  [[nodiscard]] static DropReason fit(Datagram& datagram, const FragmentPlace& place) noexcept;
  void forget(std::uint16_t number, DropReason why) noexcept;
  void release(Datagram& datagram, DropReason why) noexcept;
  void make_room() noexcept;
  void become(std::uint16_t number, Age age) noexcept;
  void link(std::uint16_t number, Age age) noexcept;
  void unlink(std::uint16_t number) noexcept;
  void append(Queue& queue, std::uint16_t place) noexcept;
  [[nodiscard]] std::uint16_t pop(Queue& queue) noexcept;

  std::vector<Datagram> datagrams_;
  std::vector<std::uint16_t> buckets_;
  std::vector<Place> places_;
  std::uint16_t free_ = 0;  ///< first free datagram
  Queue free_places_;
  Queue due_;
  std::uint16_t oldest_[3] = {kNoIndex, kNoIndex, kNoIndex};  ///< by age
  std::uint16_t newest_[3] = {kNoIndex, kNoIndex, kNoIndex};
  std::uint32_t used_ = 0;
  std::uint16_t waiting_ = 0;  ///< frames in datagrams' queues
  std::uint16_t kept_ = 0;
};

}  // namespace sluice::dp
