#include <algorithm>
#include <cerrno>
#include <span>
#include <sys/epoll.h>
#include <utility>
#include <variant>

#include "vrrp/speaker.h"

/// The half of the speaker that listens: packets in, events of the machines out.
namespace sluice::vrrp {
namespace {

using Kind = SpeakerNote::Kind;

/// After a full turn the socket is left alone for so long. Any host of the segment can send faster than we
/// read, and this thread's priority is above all others of its CPU, workers included.
constexpr std::chrono::milliseconds kRest{1};

}  // namespace

void Speaker::on(ListenerSocket& message) {
  Listener& listener = listeners_[message.id];
  if (listener.fd) {
    loop_->cancel(std::exchange(listener.rest, base::EventLoop::TimerId::none));
    loop_->remove(listener.fd.get());
    returns_.put(Retired{std::move(listener.fd)});
  }
  listener.fd = std::move(message.fd);
  listener.family = message.family;
  if (!listener.fd) return;
  // Without memory for one more watch nothing is heard; the instances then act as if they were alone.
  (void)loop_->add(listener.fd.get(), EPOLLIN, [this, id = message.id](std::uint32_t) {
    const auto found = listeners_.find(id);
    if (found != listeners_.end() && receive(found->second, kPacketsPerTurn)) rest(found->second);
  });
}

void Speaker::rest(Listener& listener) {
  // A watch that cannot be changed stays as it is: then this thread goes on reading, as without a flood.
  if (!loop_->modify(listener.fd.get(), 0)) return;
  listener.rest = loop_->after(kRest, [this, &listener] {
    listener.rest = base::EventLoop::TimerId::none;
    (void)loop_->modify(listener.fd.get(), EPOLLIN);  // the same call could be made a moment ago
  });
}

bool Speaker::receive(Listener& listener, int packets) {
  if (!listener.fd) return false;
  for (int i = 0; i < packets; ++i) {
    const auto packet = receive_advert(listener.fd.get(), listener.family, buffer_);
    if (!packet) {
      if (errno == EINTR || errno == ENETDOWN) continue;  // ENETDOWN: told once, when the interface goes down
      return false;
    }
    receive_one(listener, *packet, std::chrono::steady_clock::now());
  }
  return true;
}

void Speaker::receive_one(Listener& listener, const ReceivedPacket& packet, Time now) {
  const std::uint8_t vrid = peek_vrid(packet.payload);
  bool known = false;
  for (Instance* instance : listener.instances) {
    if (instance->settings->vrid != vrid) continue;
    known = true;
    take_advert(*instance, packet, now);
  }
  if (!known) ++unknown_vrid_;
}

void Speaker::take_advert(Instance& instance, const ReceivedPacket& packet, Time now) {
  const SpeakerSettings& settings = *instance.settings;
  const auto decoded = decode(packet, settings.format);
  if (const auto* refusal = std::get_if<Refusal>(&decoded)) {
    refuse(instance, packet, *refusal, now);
    return;
  }
  const Advert& advert = std::get<Advert>(decoded);
  if (const auto refusal = accept(packet, advert, settings.accept, instance.status.source)) {
    refuse(instance, packet, *refusal, now);
    return;
  }
  remember(instance, packet, advert, now);
  handle(instance,
         AdvertReceived{.priority = advert.priority,
                        .advert_int = advert.max_advert,
                        .source_is_higher = packet.source > instance.status.source},
         now, &packet.source);
  if (advert.priority != kPriorityStop && instance.router.state() == State::backup) {
    instance.status.master = packet.source;
  }
}

void Speaker::refuse(Instance& instance, const ReceivedPacket& packet, Refusal refusal, Time now) noexcept {
  const auto kind = static_cast<std::size_t>(refusal);
  ++instance.status.refused[kind];
  ++instance.refusals_held[kind];
  Time& noted = instance.refusal_noted[kind];
  if (noted != Time{} && now - noted < kNotePause) return;
  noted = now;
  note({.kind = Kind::refused,
        .id = instance.id,
        .refusal = refusal,
        .peer = packet.source,
        .repeated = std::exchange(instance.refusals_held[kind], 0)});
}

void Speaker::remember(Instance& instance, const ReceivedPacket& packet, const Advert& advert,
                       Time now) noexcept {
  InstanceStatus& status = instance.status;
  ++status.received;
  const auto known = std::span(status.peers).first(status.peer_count);
  auto peer = std::ranges::find(known, packet.source, &PeerStatus::address);
  PeerStatus* place = peer == known.end() ? nullptr : &*peer;
  if (place == nullptr) {
    place = status.peer_count < InstanceStatus::kPeers
                ? &status.peers[status.peer_count++]
                : &*std::ranges::min_element(status.peers, {}, &PeerStatus::last);
    *place = {.address = packet.source};
  }
  place->priority = advert.priority;
  place->checksum = advert.checksum;
  place->advert_int = advert.max_advert;
  place->last = now;
  place->other_addresses = lists_differ(advert, instance.settings->accept);
  if (place->other_addresses &&
      (instance.lists_noted == Time{} || now - instance.lists_noted >= kNotePause)) {
    instance.lists_noted = now;
    note({.kind = Kind::other_addresses, .id = instance.id, .peer = packet.source});
  }
  ++place->adverts;
  if (advert.priority == kPriorityStop) {
    ++status.zero_received;
    if (status.master == packet.source) status.master.reset();
  }
}

}  // namespace sluice::vrrp
