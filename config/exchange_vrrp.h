#pragma once

#include "config/json_fields.h"
#include "config/wire_vrrp.h"

/// The members of what sluice-vrrp exchanges, named once for both directions.
namespace sluice::config::json {

void fields(auto& v, Like<YieldRequest> auto& request) {
  v.required("instance", request.instance);
}

void fields(auto& v, Like<ResumeRequest> auto& request) {
  v.required("instance", request.instance);
}

void fields(auto& v, Like<VrrpRefusal> auto& refusal) {
  v.required("reason", refusal.reason);
  v.optional("description", refusal.description);
  v.optional("packets", refusal.packets);
}

void fields(auto& v, Like<VrrpTrouble> auto& trouble) {
  v.required("tracker", trouble.tracker);
  v.optional("reason", trouble.reason);
  v.optional("weight", trouble.weight);
}

void fields(auto& v, Like<VrrpTroubleCount> auto& count) {
  v.required("tracker", count.tracker);
  v.optional("times", count.times);
}

void fields(auto& v, Like<VrrpPeer> auto& peer) {
  v.required("address", peer.address);
  v.optional("priority", peer.priority);
  v.optional("advert_ms", peer.advert_ms);
  v.optional("adverts", peer.adverts);
  v.optional("last_ms_ago", peer.last_ms_ago);
  v.optional("checksum", peer.checksum);
  v.optional("other_addresses", peer.other_addresses);
}

void fields(auto& v, Like<VrrpInstanceReport> auto& instance) {
  v.required("name", instance.name);
  v.optional("interface", instance.interface);
  v.optional("version", instance.version);
  v.optional("virtual_router_id", instance.virtual_router_id);
  v.required("state", instance.state);
  v.optional("reason", instance.reason);
  v.optional("state_ms", instance.state_ms);
  v.optional("priority", instance.priority);
  v.optional("effective_priority", instance.effective_priority);
  v.optional("yielded", instance.yielded);
  v.optional("source", instance.source);
  v.optional("master", instance.master);
  v.optional("advert_ms", instance.advert_ms);
  v.optional("master_down_ms", instance.master_down_ms);
  v.optional("addresses", instance.addresses);
  v.optional("addresses_missing", instance.addresses_missing);
  v.optional("troubles", instance.troubles);
  v.optional("trouble_counts", instance.trouble_counts);
  v.optional("peers", instance.peers);
  v.optional("adverts_sent", instance.adverts_sent);
  v.optional("adverts_received", instance.adverts_received);
  v.optional("send_errors", instance.send_errors);
  v.optional("became_master", instance.became_master);
  v.optional("became_backup", instance.became_backup);
  v.optional("became_fault", instance.became_fault);
  v.optional("priority_zero_sent", instance.priority_zero_sent);
  v.optional("priority_zero_received", instance.priority_zero_received);
  v.optional("addresses_repaired", instance.addresses_repaired);
  v.optional("announcements", instance.announcements);
  v.optional("announce_errors", instance.announce_errors);
  v.optional("timer_late_us", instance.timer_late_us);
  v.optional("timer_late_max_us", instance.timer_late_max_us);
  v.optional("refusals", instance.refusals);
}

void fields(auto& v, Like<VrrpReport> auto& report) {
  v.optional("version", report.version);
  v.optional("pid", report.pid);
  v.optional("uptime_ms", report.uptime_ms);
  v.optional("realtime", report.realtime);
  v.optional("memory_locked", report.memory_locked);
  v.required("instances", report.instances);
  v.optional("unknown_vrid", report.unknown_vrid);
}

}  // namespace sluice::config::json
