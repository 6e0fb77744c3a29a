#include "config/diff.h"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/diff_members.h"
#include "config/diff_vrrp.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

void compare(Members& members, const Timeouts& from, const Timeouts& to) {
  members.add("timeouts.connect", from.connect, to.connect)
      .add("timeouts.queue", from.queue, to.queue)
      .add("timeouts.client", from.client, to.client)
      .add("timeouts.server", from.server, to.server)
      .add("timeouts.tunnel", from.tunnel, to.tunnel)
      .add("timeouts.client_fin", from.client_fin, to.client_fin)
      .add("timeouts.server_fin", from.server_fin, to.server_fin)
      .add("timeouts.udp", from.udp, to.udp);
}

void compare(Members& members, const Check& from, const Check& to) {
  members.add("check.type", from.type, to.type)
      .add("check.address", from.address, to.address)
      .add("check.port", from.port, to.port)
      .add("check.interval", from.interval, to.interval)
      .add("check.down_interval", from.down_interval, to.down_interval)
      .add("check.fast_interval", from.fast_interval, to.fast_interval)
      .add("check.timeout", from.timeout, to.timeout)
      .add("check.rise", from.rise, to.rise)
      .add("check.fall", from.fall, to.fall)
      .add("check.linger", from.linger, to.linger)
      .add("check.steps", from.steps, to.steps)
      .add("check.method", from.http.method, to.http.method)
      .add("check.path", from.http.path, to.http.path)
      .add("check.host", from.http.host, to.http.host)
      .add("check.status", from.http.status, to.http.status)
      .add("check.body", from.http.body, to.http.body)
      .add("check.verify", from.tls.verify, to.tls.verify)
      .add("check.ca_file", from.tls.ca_file, to.tls.ca_file)
      .add("check.certificate_file", from.tls.certificate_file, to.tls.certificate_file)
      .add("check.key_file", from.tls.key_file, to.tls.key_file)
      .add("check.sni", from.tls.sni, to.tls.sni)
      .add("check.query", from.query, to.query)
      .add("check.query_type", from.query_type, to.query_type)
      .add("check.send", from.send, to.send)
      .add("check.expect", from.expect, to.expect)
      .add("check.command", from.command, to.command);
}

/// "[a, b, c, ...]".
std::string first_three(const std::vector<base::Prefix>& networks) {
  std::string list;
  for (std::size_t i = 0; i < networks.size() && i < 3; ++i)
    list += (i == 0 ? "" : ", ") + networks[i].to_string();
  return "[" + list + (networks.size() > 3 ? ", ...]" : "]");
}

/// There may be many thousands, of which few come or go. Their order means nothing.
void compare_networks(Members& members, std::string_view name, std::vector<base::Prefix> from,
                      std::vector<base::Prefix> to) {
  std::ranges::sort(from);
  std::ranges::sort(to);
  std::vector<base::Prefix> added, removed;
  std::ranges::set_difference(to, from, std::back_inserter(added));
  std::ranges::set_difference(from, to, std::back_inserter(removed));
  std::string text;
  if (!added.empty()) text += " " + std::to_string(added.size()) + " added " + first_three(added);
  if (!added.empty() && !removed.empty()) text += " and";
  if (!removed.empty()) text += " " + std::to_string(removed.size()) + " removed " + first_three(removed);
  if (!text.empty()) members.say(std::string(name) + text);
}

/// `prefix`: the key of Clients::prefix.
void compare(Members& members, const Clients& from, const Clients& to, std::string_view prefix) {
  compare_networks(members, "clients.allow", from.allow, to.allow);
  compare_networks(members, "clients.deny", from.deny, to.deny);
  members.add("clients.rate", from.rate, to.rate)
      .add("clients.burst", from.burst, to.burst)
      .add("clients.maxconn", from.maxconn, to.maxconn)
      .add("clients.table", from.table, to.table)
      .add("clients.refuse", from.refuse, to.refuse)
      .add(prefix, from.prefix, to.prefix);
}

void compare(Members& members, const Agent& from, const Agent& to) {
  members.add("agent.port", from.port, to.port)
      .add("agent.address", from.address, to.address)
      .add("agent.interval", from.interval, to.interval)
      .add("agent.send", from.send, to.send);
}

void compare(Members& members, const Global& from, const Global& to) {
  members.add("maxconn", from.maxconn, to.maxconn)
      .add("hard_stop_after", from.hard_stop_after, to.hard_stop_after)
      .add("spread_checks", from.spread_checks, to.spread_checks);
}

void compare(Members& members, const Dataplane& from, const Dataplane& to) {
  members.add("workers", from.workers, to.workers)
      .add("cpus", from.cpus, to.cpus)
      .add("hugepages", from.hugepages, to.hugepages)
      .add("memory_mb", from.memory_mb, to.memory_mb)
      .add("flows_per_worker", from.flows_per_worker, to.flows_per_worker)
      .add("half_open_per_worker", from.half_open_per_worker, to.half_open_per_worker)
      .add("syn_overflow", from.syn_overflow, to.syn_overflow)
      .add("syn_backlog", from.syn_backlog, to.syn_backlog)
      .add("rst_per_second", from.rst_per_second, to.rst_per_second)
      .add("icmp_per_second", from.icmp_per_second, to.icmp_per_second)
      .add("idle", from.idle, to.idle);
}

void compare(Members& members, const Port& from, const Port& to) {
  members.add("device", device_text(from), device_text(to))
      .add("twin", from.twin, to.twin)
      .add("twin.name", from.twin_name, to.twin_name)
      .add("queues", from.queues, to.queues);
}

void compare(Members& members, const Server& from, const Server& to) {
  members.add("address", from.endpoint, to.endpoint)
      .add("weight", from.weight, to.weight)
      .add("maxconn", from.maxconn, to.maxconn)
      .add("maxqueue", from.maxqueue, to.maxqueue)
      .add("slowstart", from.slowstart, to.slowstart)
      .add("backup", from.backup, to.backup)
      .add("disabled", from.disabled, to.disabled)
      .add("observe", from.observe, to.observe)
      .add("error_limit", from.error_limit, to.error_limit)
      .add("on_error", from.on_error, to.on_error)
      .add("on_marked_down", from.on_marked_down, to.on_marked_down)
      .add("on_marked_up", from.on_marked_up, to.on_marked_up);
  compare(members, from.check, to.check);
  compare(members, from.agent, to.agent);
}

void compare(Members& members, const ForwardingServer& from, const ForwardingServer& to) {
  members.add("address", from.endpoint, to.endpoint)
      .add("weight", from.weight, to.weight)
      .add("maxconn", from.maxconn, to.maxconn)
      .add("maxqueue", from.maxqueue, to.maxqueue)
      .add("shutdowns", from.shutdowns, to.shutdowns);
}

/// Service and ForwardingService, whose members bear the same names.
template <typename AnyService>
void compare_service(Members& members, const AnyService& from, const AnyService& to) {
  members.add("vip", from.vip, to.vip)
      .add("protocol", from.protocol, to.protocol)
      .add("mode", from.mode, to.mode)
      .add("balance", from.balance, to.balance)
      .add("hash_key", from.hash_key, to.hash_key);
  compare(members, from.timeouts, to.timeouts);
  members.add("idle_refresh", from.idle_refresh, to.idle_refresh)
      .add("syn_cookies", from.syn_cookies, to.syn_cookies)
      .add("no_server", from.no_server, to.no_server);
  compare(members, from.clients, to.clients,
          to.vip.address.is_v4() ? "clients.ipv4_prefix" : "clients.ipv6_prefix");
  members.add("maxconn", from.maxconn, to.maxconn)
      .add("retries", from.retries, to.retries)
      .add("redispatch", from.redispatch, to.redispatch)
      .add("mss", from.mss, to.mss);
  if constexpr (std::same_as<AnyService, Service>) {
    members.add("allbackups", from.allbackups, to.allbackups);
  }
  members.add("local_addresses", from.local_addresses, to.local_addresses)
      .add("source_ports", from.source_ports, to.source_ports);
}

/// Whether those that are in both lists stand in another order. It matters: servers are used in turns, and
/// some schedulers prefer the first.
template <typename T>
bool reordered(const std::vector<T>& from, const std::vector<T>& to) {
  const auto old = by_name(from);
  const T* last = nullptr;  // addresses within one vector tell the order
  for (const T& now : to) {
    const auto found = old.find(now.name);
    if (found == old.end()) continue;
    if (last != nullptr && found->second < last) return true;
    last = found->second;
  }
  return false;
}

template <typename AnyService>
void diff_services(std::vector<Change>& changes, const std::vector<AnyService>& from,
                   const std::vector<AnyService>& to) {
  using AnyServer = typename decltype(AnyService::servers)::value_type;
  const auto title = [](const AnyService& service) { return "service " + in_quotes(service.name); };
  const auto summary = [](const AnyService& service) {
    const std::size_t count = service.servers.size();
    return service.vip.to_string() + "/" + std::string(name_of(service.protocol)) + ", " +
           std::to_string(count) + (count == 1 ? " server" : " servers");
  };
  diff_lists(changes, from, to, title, summary, [&](const AnyService& before, const AnyService& now) {
    Members members;
    compare_service(members, before, now);
    if (reordered(before.servers, now.servers)) members.say("servers in another order");
    note(changes, title(now), members);
    const auto server_title = [&](const AnyServer& server) {
      return "server " + in_quotes(now.name + "/" + server.name);
    };
    const auto server_summary = [](const AnyServer& server) {
      return server.endpoint.to_string() + ", weight " + std::to_string(server.weight);
    };
    diff_lists(changes, before.servers, now.servers, server_title, server_summary,
               [&](const AnyServer& old_server, const AnyServer& new_server) {
                 Members server_members;
                 compare(server_members, old_server, new_server);
                 note(changes, server_title(new_server), server_members);
               });
  });
}

/// Services that keep count of their clients, and were to do so in a table of another size, or by other bits
/// of their addresses. To dp a service of another endpoint, protocol or mode is another one.
std::vector<Change> diff_tables(const std::vector<Service>& from, const std::vector<Service>& to) {
  std::vector<Change> changes;
  const auto old = by_name(from);
  for (const Service& now : to) {
    const auto found = old.find(now.name);
    if (found == old.end() || !now.clients.counts()) continue;
    const Service& before = *found->second;
    if (!before.clients.counts() || before.vip != now.vip || before.protocol != now.protocol ||
        before.mode != now.mode) {
      continue;
    }
    Members members;
    members.add("clients.table", before.clients.table, now.clients.table)
        .add(now.vip.address.is_v4() ? "clients.ipv4_prefix" : "clients.ipv6_prefix", before.clients.prefix,
             now.clients.prefix);
    note(changes, "service " + in_quotes(now.name), members);
  }
  return changes;
}

}  // namespace

std::string to_string(const Change& change) {
  std::string text = change.object;
  switch (change.kind) {
    case ChangeKind::added: text += " added: "; break;
    case ChangeKind::removed: text += " removed: "; break;
    case ChangeKind::changed: text += " changed: "; break;
  }
  return text + change.detail;
}

std::vector<Change> diff(const Config& from, const Config& to) {
  std::vector<Change> changes;
  Members global;
  compare(global, from.global, to.global);
  note(changes, "global", global);
  Members dataplane;
  compare(dataplane, from.dataplane, to.dataplane);
  note(changes, "dataplane", dataplane);
  const auto title = [](const Port& port) { return "port " + in_quotes(port.name); };
  diff_lists(changes, from.ports, to.ports, title, device_text, [&](const Port& before, const Port& now) {
    Members members;
    compare(members, before, now);
    note(changes, title(now), members);
  });
  if (reordered(from.ports, to.ports)) changes.push_back({ChangeKind::changed, "ports", "in another order"});
  diff_services(changes, from.services, to.services);
  diff_vrrp(changes, from.vrrp, to.vrrp);
  return changes;
}

std::vector<Change> diff(const ForwardingState& from, const ForwardingState& to) {
  std::vector<Change> changes;
  Members global;
  global.add("maxconn", from.maxconn, to.maxconn)
      .add("hard_stop_after", from.hard_stop_after, to.hard_stop_after);
  note(changes, "global", global);
  diff_services(changes, from.services, to.services);
  return changes;
}

std::vector<Change> restart_changes(const Config& from, const Config& to) {
  std::vector<Change> changes = diff(from, to);
  std::erase_if(changes, [](const Change& change) {
    return change.object != "dataplane" && change.object != "ports" && !change.object.starts_with("port ");
  });
  for (Change& change : diff_tables(from.services, to.services)) changes.push_back(std::move(change));
  return changes;
}

bool needs_restart(const Config& from, const Config& to) {
  return from.dataplane != to.dataplane || from.ports != to.ports ||
         !diff_tables(from.services, to.services).empty();
}

}  // namespace sluice::config
