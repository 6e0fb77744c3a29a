#include "dp/fragments.h"

#include <algorithm>

namespace sluice::dp {
namespace {

/// A datagram's header and payload have this many bytes at most (RFC 791 §3.1, RFC 8200 §4.5).
constexpr std::uint32_t kMaxLength = 65535;
constexpr std::uint16_t kBuckets = 2048;

constexpr std::size_t slot(auto age) noexcept {
  return static_cast<std::size_t>(age);
}

}  // namespace

Fragments::Fragments() : datagrams_(kDatagrams), buckets_(kBuckets, kNoIndex), places_(kPlaces) {
  for (std::uint16_t n = 0; n < kDatagrams; ++n) {
    datagrams_[n].chain = n + 1 < kDatagrams ? static_cast<std::uint16_t>(n + 1) : kNoIndex;
  }
  for (std::uint16_t n = 0; n < kPlaces; ++n) append(free_places_, n);
}

Fragments::Found Fragments::add(const DatagramKey& key, std::uint64_t hash, const FragmentPlace& place,
                                const std::optional<FragmentTag>& first, DatagramIds& ids,
                                base::Tick now) noexcept {
  const auto drop = [](DropReason why) { return Found{Verdict::drop, why, kNoIndex, {}}; };
  if (place.length == 0 || place.end() > kMaxLength || (place.more && place.length % 8 != 0)) {
    return drop(DropReason::fragment_malformed);
  }
  std::uint16_t number = find(key, hash);
  // Its time may be up before anybody has looked.
  if (number != kNoIndex && reached(now, datagrams_[number].since + kPatienceMs)) {
    forget(number, DropReason::fragment_timeout);
    number = kNoIndex;
  }
  if (number == kNoIndex) number = begin(key, hash, now);
  Datagram& datagram = datagrams_[number];
  if (datagram.dead != DropReason::none) return drop(datagram.dead);
  const DropReason flaw = fit(datagram, place);
  if (flaw == DropReason::fragment_duplicate) return drop(flaw);
  if (flaw != DropReason::none) {
    // RFC 5722 §4: all of the datagram goes, also what is still to come.
    datagram.dead = flaw;
    release(datagram, flaw);
    become(number, Age::dead);
    return drop(flaw);
  }
  if (first) {
    datagram.tag = *first;
    datagram.tag.id = ids.fragmented();  // only now: who invents later fragments shall use up none
    datagram.tag.known = true;
    release(datagram, DropReason::none);
    become(number, Age::decided);
  }
  if (datagram.age == Age::decided) {
    const Found passes{Verdict::pending, DropReason::none, kNoIndex, datagram.tag};
    if (datagram.total != 0 && datagram.arrived == datagram.total) forget(number, DropReason::none);
    return passes;
  }
  if (datagram.waits == kWaitingOfOne || free_places_.head == kNoIndex) {
    if (datagram.waits == 0) forget(number, DropReason::none);
    return drop(DropReason::fragment_limit);
  }
  if (waiting_ == kWaiting) {
    // There is another: no datagram may have all places.
    const std::uint16_t oldest = oldest_[slot(Age::waiting)];
    forget(oldest != number ? oldest : datagrams_[oldest].newer, DropReason::fragment_limit);
  }
  const std::uint16_t at = pop(free_places_);
  append(datagram.queue, at);
  ++datagram.waits;
  ++waiting_;
  ++kept_;
  return {Verdict::keep, DropReason::none, at, {}};
}

Fragments::Due Fragments::take_out(base::Tick now) noexcept {
  while (due_.head == kNoIndex) {
    // The oldest that wait come first; decided ones, with which nothing waits, about in that order.
    bool forgot = false;
    for (const std::uint16_t number : oldest_) {
      if (number == kNoIndex || !reached(now, datagrams_[number].since + kPatienceMs)) continue;
      forget(number, DropReason::fragment_timeout);
      forgot = true;
    }
    if (!forgot) return {};
  }
  const std::uint16_t at = pop(due_);
  const Place& place = places_[at];
  append(free_places_, at);
  --kept_;
  return {at, place.reason, place.tag};
}

std::uint16_t Fragments::find(const DatagramKey& key, std::uint64_t hash) const noexcept {
  std::uint16_t number = buckets_[hash % kBuckets];
  while (number != kNoIndex && (datagrams_[number].hash != hash || datagrams_[number].key != key)) {
    number = datagrams_[number].chain;
  }
  return number;
}

/// Room is made where there is none.
std::uint16_t Fragments::begin(const DatagramKey& key, std::uint64_t hash, base::Tick now) noexcept {
  if (free_ == kNoIndex) make_room();
  const std::uint16_t number = free_;
  Datagram& datagram = datagrams_[number];
  free_ = datagram.chain;
  datagram.key = key;
  datagram.hash = hash;
  datagram.since = now;
  datagram.tag = {};
  datagram.dead = DropReason::none;
  datagram.pieces = datagram.waits = 0;
  datagram.total = datagram.arrived = 0;
  datagram.queue = {};
  datagram.chain = buckets_[hash % kBuckets];
  buckets_[hash % kBuckets] = number;
  link(number, Age::waiting);
  ++used_;
  return number;
}

/// Enters a fragment among the others of its datagram; else why it does not fit.
DropReason Fragments::fit(Datagram& datagram, const FragmentPlace& place) noexcept {
  const auto begin = datagram.piece.begin();
  auto at = begin + datagram.pieces;
  while (at != begin && std::prev(at)->begin() >= place.offset) --at;  // most come in order
  const auto end = begin + datagram.pieces;
  // What it says of where the datagram ends must agree with all others.
  const bool beyond = datagram.pieces != 0 && std::prev(end)->end() > place.end();
  const bool contradicts = place.more ? datagram.total != 0 && place.end() >= datagram.total
                                      : beyond || (datagram.total != 0 && datagram.total != place.end());
  if (contradicts) return DropReason::fragment_overlap;
  if (at != end && at->begin() == place.offset && at->length == place.length) {
    return DropReason::fragment_duplicate;
  }
  if ((at != begin && std::prev(at)->end() > place.offset) || (at != end && at->begin() < place.end())) {
    return DropReason::fragment_overlap;
  }
  if (datagram.pieces == kPieces) return DropReason::fragment_limit;
  std::move_backward(at, end, end + 1);
  *at = {static_cast<std::uint16_t>(place.offset / 8), static_cast<std::uint16_t>(place.length)};
  ++datagram.pieces;
  datagram.arrived += place.length;
  if (!place.more) datagram.total = place.end();
  return DropReason::none;
}

void Fragments::forget(std::uint16_t number, DropReason why) noexcept {
  Datagram& datagram = datagrams_[number];
  release(datagram, why);
  unlink(number);
  std::uint16_t* link = &buckets_[datagram.hash % kBuckets];
  while (*link != number) link = &datagrams_[*link].chain;
  *link = datagram.chain;
  datagram.chain = free_;
  free_ = number;
  --used_;
}

/// What waits is due: to go on, or to be dropped.
void Fragments::release(Datagram& datagram, DropReason why) noexcept {
  waiting_ = static_cast<std::uint16_t>(waiting_ - datagram.waits);
  datagram.waits = 0;
  while (datagram.queue.head != kNoIndex) {
    const std::uint16_t at = pop(datagram.queue);
    places_[at].reason = why;
    places_[at].tag = datagram.tag;
    append(due_, at);
  }
}

void Fragments::make_room() noexcept {
  for (const std::uint16_t number : oldest_) {
    if (number != kNoIndex) return forget(number, DropReason::fragment_limit);
  }
}

void Fragments::become(std::uint16_t number, Age age) noexcept {
  unlink(number);
  link(number, age);
}

void Fragments::link(std::uint16_t number, Age age) noexcept {
  Datagram& datagram = datagrams_[number];
  datagram.age = age;
  datagram.newer = kNoIndex;
  datagram.older = newest_[slot(age)];
  (datagram.older == kNoIndex ? oldest_[slot(age)] : datagrams_[datagram.older].newer) = number;
  newest_[slot(age)] = number;
}

void Fragments::unlink(std::uint16_t number) noexcept {
  const Datagram& datagram = datagrams_[number];
  const std::size_t age = slot(datagram.age);
  (datagram.older == kNoIndex ? oldest_[age] : datagrams_[datagram.older].newer) = datagram.newer;
  (datagram.newer == kNoIndex ? newest_[age] : datagrams_[datagram.newer].older) = datagram.older;
}

void Fragments::append(Queue& queue, std::uint16_t place) noexcept {
  places_[place].next = kNoIndex;
  (queue.tail == kNoIndex ? queue.head : places_[queue.tail].next) = place;
  queue.tail = place;
}

std::uint16_t Fragments::pop(Queue& queue) noexcept {
  const std::uint16_t place = queue.head;
  queue.head = places_[place].next;
  if (queue.head == kNoIndex) queue.tail = kNoIndex;
  return place;
}

}  // namespace sluice::dp
