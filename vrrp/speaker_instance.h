#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "vrrp/accept.h"
#include "vrrp/advert.h"
#include "vrrp/kernel/advert_socket.h"
#include "vrrp/messages.h"
#include "vrrp/orders.h"
#include "vrrp/virtual_router.h"

namespace sluice::vrrp {

/// What an instance speaks by: made by main from the configuration, constant from then on.
struct SpeakerSettings {
  Parameters parameters;
  AdvertFormat format;
  std::uint8_t vrid = 0;
  ChecksumStyle checksum = ChecksumStyle::pseudo_header;
  std::vector<base::IpAddress> addresses;     ///< advertised
  std::vector<base::IpAddress> destinations;  ///< the group's address, or the unicast peers'
  AcceptRules accept;
  ListenerId listener{};
  std::optional<std::uint32_t> group{};  ///< sync group; none: alone
};

/// Another router that was heard.
struct PeerStatus {
  base::IpAddress address;
  std::uint8_t priority = 0;
  ChecksumStyle checksum = ChecksumStyle::pseudo_header;
  Duration advert_int{};
  Time last{};
  std::uint64_t adverts = 0;
  bool other_addresses = false;  ///< in its last advert
};

/// What the speaker tells of an instance.
struct InstanceStatus {
  static constexpr std::size_t kPeers = 8;  ///< those heard last

  InstanceId id{};
  State state = State::init;
  Reason reason = Reason::started;
  Time since{};
  bool yielded = false;
  std::uint8_t effective_priority = 0;
  base::IpAddress source{};
  bool has_source = false;
  std::optional<base::IpAddress> master{};  ///< another one, that is heard
  Duration master_advert_int{}, master_down{};
  std::uint64_t sent = 0, received = 0, send_errors = 0;
  std::uint64_t became_master = 0, became_backup = 0, became_fault = 0;
  std::uint64_t zero_sent = 0, zero_received = 0;
  Duration late{}, late_max{};
  std::array<std::uint64_t, kRefusals> refused{};
  std::array<PeerStatus, kPeers> peers{};
  std::size_t peer_count = 0;
};

/// Filled in by the speaker; `instances` is as long as main has made it, and `count` of them are filled.
struct SpeakerStatus {
  std::vector<InstanceStatus> instances;
  std::size_t count = 0;
  std::uint64_t unknown_vrid = 0;
  std::uint64_t notes_lost = 0;
};

/// An instance in the speaker's hands. main makes it, and destroys it when it is given back.
struct SpeakerInstance {
  SpeakerInstance(InstanceId instance, std::unique_ptr<SpeakerSettings> what, std::shared_ptr<Orders> word,
                  Time now)
      : id(instance), settings(std::move(what)), orders(std::move(word)), router(settings->parameters, now) {
    status.id = instance;
  }

  InstanceId id;
  std::unique_ptr<SpeakerSettings> settings;
  std::shared_ptr<Orders> orders;
  VirtualRouter router;
  base::Fd timer;  ///< CLOCK_MONOTONIC
  std::optional<Time> armed{};

  // What it stands on.
  base::Fd sender;
  std::uint32_t index = 0;
  std::vector<SocketAddress> targets;    ///< the destinations, by way of `index`
  std::optional<bool> kernel_faulty{};   ///< nothing: not known yet
  std::optional<bool> tracker_faulty{};  ///< nothing: not known yet
  bool told_faulty = false;              ///< what the machine was told last

  /// The advert that is sent next unless something changes, ready to go.
  std::array<std::byte, kMaxAdvertBytes> ready{};
  std::size_t ready_size = 0;
  int ready_priority = -1;  ///< -1: to be encoded

  InstanceStatus status;
  /// Notes of one kind, of which only some are made.
  struct Pace {
    Time since{};
    std::uint32_t said = 0;  ///< since then
    std::uint64_t held = 0;  ///< since the last that was made
  };
  std::array<Pace, kNoteKinds> paces{};
  std::array<Time, kRefusals> refusal_noted{};
  std::array<std::uint64_t, kRefusals> refusals_held{};
  Time lists_noted{};
  Time error_noted{};
  std::uint64_t errors_held = 0;
  int last_error = 0;
};

}  // namespace sluice::vrrp
