#include "vrrp/report_builder.h"

#include <chrono>

#include <fmt/format.h>

#include "vrrp/journal.h"

namespace sluice::vrrp {
namespace {

template <typename Unit>
std::uint64_t count(Duration duration) {
  const auto value = std::chrono::duration_cast<Unit>(duration).count();
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

config::VrrpState public_state(State state) {
  switch (state) {
    case State::init: return config::VrrpState::init;
    case State::fault: return config::VrrpState::fault;
    case State::backup: return config::VrrpState::backup;
    case State::master: return config::VrrpState::master;
  }
  return config::VrrpState::init;
}

config::VrrpPeer peer_of(const PeerStatus& peer, const config::VrrpInstance& instance, Time now) {
  using std::chrono::milliseconds;
  config::VrrpPeer out;
  out.address = peer.address.to_string();
  out.priority = peer.priority;
  out.advert_ms = static_cast<std::uint32_t>(count<milliseconds>(peer.advert_int));
  out.adverts = peer.adverts;
  out.last_ms_ago = count<milliseconds>(now - peer.last);
  out.other_addresses = peer.other_addresses;
  if (instance.version == config::VrrpVersion::v3 && instance.family == base::Family::v4)
    out.checksum = peer.checksum == ChecksumStyle::plain ? "plain" : "pseudo-header";
  return out;
}

}  // namespace

std::string fault_text(const Member& member) {
  if (member.kernel_trouble) return member.kernel_trouble->reason;
  for (const config::VrrpTrouble& trouble : member.verdict.troubles) {
    if (trouble.weight == 0) return trouble.reason;
  }
  return {};
}

std::vector<config::VrrpTrouble> troubles_of(const Member& member) {
  std::vector<config::VrrpTrouble> troubles;
  if (member.kernel_trouble) troubles.push_back(*member.kernel_trouble);
  troubles.insert(troubles.end(), member.verdict.troubles.begin(), member.verdict.troubles.end());
  if (member.state == State::fault && member.reason == Reason::group) {
    troubles.push_back(
        {"group", fmt::format("another member of sync group {} is in FAULT", member.config.sync_group), 0});
  }
  if (member.yielded) troubles.push_back({"operator", "yielded by an operator", 0});
  return troubles;
}

config::VrrpInstanceReport report_of(const Member& member, const InstanceStatus& speaker,
                                     const KernelInstanceStatus& kernel, Time now) {
  using std::chrono::microseconds;
  using std::chrono::milliseconds;
  const config::VrrpInstance& instance = member.config;
  config::VrrpInstanceReport out;
  out.name = instance.name;
  out.interface = instance.interface;
  out.version = static_cast<std::uint8_t>(instance.version);
  out.virtual_router_id = instance.virtual_router_id;
  out.state = public_state(speaker.state);
  out.reason = reason_text(speaker.reason, speaker.master_down, fault_text(member));
  out.state_ms = speaker.since == Time{} ? 0 : count<milliseconds>(now - speaker.since);
  out.priority = instance.priority;
  out.effective_priority = speaker.effective_priority;
  out.yielded = speaker.yielded;
  if (speaker.has_source) out.source = speaker.source.to_string();
  if (speaker.master) out.master = speaker.master->to_string();
  out.advert_ms = static_cast<std::uint32_t>(instance.advert_int.count());
  out.master_down_ms = static_cast<std::uint32_t>(count<milliseconds>(speaker.master_down));
  out.addresses = kernel.addresses;
  out.addresses_missing = kernel.missing;
  out.troubles = troubles_of(member);
  out.trouble_counts = member.trouble_counts.all();
  for (std::size_t i = 0; i < speaker.peer_count; ++i)
    out.peers.push_back(peer_of(speaker.peers[i], instance, now));
  out.adverts_sent = speaker.sent;
  out.adverts_received = speaker.received;
  out.send_errors = speaker.send_errors;
  out.became_master = speaker.became_master;
  out.became_backup = speaker.became_backup;
  out.became_fault = speaker.became_fault;
  out.priority_zero_sent = speaker.zero_sent;
  out.priority_zero_received = speaker.zero_received;
  out.addresses_repaired = kernel.repaired;
  out.announcements = kernel.announcements;
  out.announce_errors = kernel.announce_errors;
  out.timer_late_us = count<microseconds>(speaker.late);
  out.timer_late_max_us = count<microseconds>(speaker.late_max);
  for (std::size_t i = 0; i < kRefusals; ++i) {
    if (speaker.refused[i] == 0) continue;
    const auto refusal = static_cast<Refusal>(i);
    out.refusals.push_back({std::string(name(refusal)), std::string(describe(refusal)), speaker.refused[i]});
  }
  return out;
}

}  // namespace sluice::vrrp
