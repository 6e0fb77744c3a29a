#include "config/diff_vrrp.h"

#include "config/diff_members.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

std::string weighed(const std::string& what, std::int16_t weight) {
  return weight == 0 ? what : what + " weight " + std::to_string(weight);
}

std::string text(const VrrpTrackDataplane& tracked) {
  if (!tracked.enabled) return "false";
  return weighed("timeout " + duration_text(tracked.timeout), tracked.weight);
}

std::string text(const VrrpTrackInterface& tracked) {
  return weighed(tracked.interface, tracked.weight);
}

std::string text(const VrrpTrackScript& script) {
  std::string words = script.name + " " + text_of(script.command) + " interval " +
                      duration_text(script.interval) + " timeout " + text_of(script.timeout) + " rise " +
                      std::to_string(script.rise) + " fall " + std::to_string(script.fall);
  if (script.init_fail) words += " init_fail";
  return weighed(words, script.weight);
}

std::string text(const VrrpTrackService& tracked) {
  return weighed(tracked.service + " min_usable " + std::to_string(tracked.min_usable), tracked.weight);
}

template <typename Tracker>
std::string text(const std::vector<Tracker>& trackers) {
  std::string list;
  for (const Tracker& tracker : trackers) list += (list.empty() ? "" : ", ") + text(tracker);
  return "[" + list + "]";
}

template <typename Trackers>
void add_trackers(Members& members, const std::string& name, const Trackers& from, const Trackers& to) {
  if (from != to) members.say(name + " " + text(from) + " -> " + text(to));
}

void compare(Members& members, const VrrpAnnounce& from, const VrrpAnnounce& to) {
  members.add("garp_master_repeat", from.repeat, to.repeat)
      .add("garp_master_delay", from.delay, to.delay)
      .add("garp_master_refresh", from.refresh, to.refresh)
      .add("garp_master_refresh_repeat", from.refresh_repeat, to.refresh_repeat)
      .add("garp_lower_prio_repeat", from.lower_prio_repeat, to.lower_prio_repeat)
      .add("garp_lower_prio_delay", from.lower_prio_delay, to.lower_prio_delay)
      .add("garp_interval", from.interval, to.interval);
}

void compare(Members& members, const VrrpNotify& from, const VrrpNotify& to) {
  members.add("notify", from.any, to.any)
      .add("notify_master", from.master, to.master)
      .add("notify_backup", from.backup, to.backup)
      .add("notify_fault", from.fault, to.fault)
      .add("notify_stop", from.stop, to.stop)
      .add("notify_master_rx_lower_pri", from.master_rx_lower_pri, to.master_rx_lower_pri);
}

void compare(Members& members, const VrrpInstance& from, const VrrpInstance& to) {
  members.add("interface", from.interface, to.interface)
      .add("state", from.start, to.start)
      .add("version", static_cast<std::uint8_t>(from.version), static_cast<std::uint8_t>(to.version))
      .add("virtual_router_id", from.virtual_router_id, to.virtual_router_id)
      .add("priority", from.priority, to.priority)
      .add("advert_int", from.advert_int, to.advert_int)
      .add("down_timer_adverts", from.down_timer_adverts, to.down_timer_adverts);
  if (from.auth_pass != to.auth_pass) members.say("another auth_pass");
  members.add("addresses", from.addresses, to.addresses)
      .add("addresses_excluded", from.addresses_excluded, to.addresses_excluded)
      .add("nopreempt", !from.preempt, !to.preempt)
      .add("preempt_delay", from.preempt_delay, to.preempt_delay)
      .add("startup_delay", from.startup_delay, to.startup_delay)
      .add(to.unicast_peer.empty() ? "mcast_src_ip" : "unicast_src_ip", from.source, to.source)
      .add("unicast_peer", from.unicast_peer, to.unicast_peer)
      .add("check_unicast_src", from.check_unicast_src, to.check_unicast_src)
      .add("v3_checksum_as_v2", from.v3_checksum_as_v2, to.v3_checksum_as_v2)
      .add("lower_prio_no_advert", from.lower_prio_no_advert, to.lower_prio_no_advert)
      .add("higher_prio_send_advert", from.higher_prio_send_advert, to.higher_prio_send_advert)
      .add("use_vmac", from.vmac_interface, to.vmac_interface)
      .add("vmac_xmit_base", from.vmac_xmit_base, to.vmac_xmit_base)
      .add("sync_group", from.sync_group, to.sync_group);
  compare(members, from.announce, to.announce);
  add_trackers(members, "track_dataplane", from.track_dataplane, to.track_dataplane);
  add_trackers(members, "track_interface", from.track_interface, to.track_interface);
  add_trackers(members, "track_script", from.track_script, to.track_script);
  add_trackers(members, "track_service", from.track_service, to.track_service);
  compare(members, from.notify, to.notify);
}

std::string title(const VrrpInstance& instance) {
  return "vrrp instance " + in_quotes(instance.name);
}

std::string summary(const VrrpInstance& instance) {
  const std::size_t count = instance.addresses.size();
  return "virtual router " + std::to_string(instance.virtual_router_id) + " on " + instance.interface +
         ", priority " + std::to_string(instance.priority) + ", " + std::to_string(count) +
         (count == 1 ? " address" : " addresses");
}

}  // namespace

void diff_vrrp(std::vector<Change>& changes, const std::vector<VrrpInstance>& from,
               const std::vector<VrrpInstance>& to) {
  diff_lists(changes, from, to, title, summary, [&](const VrrpInstance& before, const VrrpInstance& now) {
    Members members;
    compare(members, before, now);
    note(changes, title(now), members);
  });
}

}  // namespace sluice::config
