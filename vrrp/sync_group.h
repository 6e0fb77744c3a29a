#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "vrrp/virtual_router.h"

/// Instances with the same `sync_group` change state together: a fault of one is a fault of all; when one
/// gives way to another master, all give their addresses up; and none becomes master before all want to be
/// (VirtualRouter::wants_master()). So a pair of routers never has one address here and one there for longer
/// than it takes to say so. Pure. Thread: that of the members.
namespace sluice::vrrp {

/// Members of a group, each with `in_group`.
using GroupMembers = std::span<const VirtualRouter* const>;

/// What has become of the group's faults for the member: fault, backup (recover), or init: nothing new.
[[nodiscard]] inline State group_fault_news(GroupMembers members, std::size_t member) noexcept {
  bool faulty = false;
  for (std::size_t i = 0; i < members.size(); ++i) faulty = faulty || (i != member && members[i]->faulty());
  if (faulty == members[member]->group_faulty()) return State::init;
  return faulty ? State::fault : State::backup;
}

/// All members are master, or want to be.
[[nodiscard]] inline bool group_may_be_master(GroupMembers members) noexcept {
  return std::ranges::all_of(members, [](const VirtualRouter* member) {
    return member->state() == State::master || member->wants_master();
  });
}

/// To be called after each event of a member, and after members have joined or left: calls
/// deliver(member, GroupBecame), which hands it to that member's handle() and performs the effects, for all
/// that have to follow.
template <typename Deliver>
void follow(GroupMembers members, Deliver&& deliver) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const State news = group_fault_news(members, i);
    if (news != State::init) deliver(i, GroupBecame{news});
  }
  // One that was master until now, or that a reload has put beside masters.
  if (std::ranges::any_of(members, [](const VirtualRouter* member) { return member->defers(); })) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i]->state() == State::master) deliver(i, GroupBecame{State::backup});
    }
  }
  if (!group_may_be_master(members)) return;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i]->state() != State::master) deliver(i, GroupBecame{State::master});
  }
}

}  // namespace sluice::vrrp
