#pragma once

#include "config/build_info.h"
#include "config/json_fields.h"
#include "config/wire.h"

/// The members of every exchanged struct, named once for both directions.
namespace sluice::config::json {

void fields(auto& v, Like<PortRange> auto& range) {
  v.required("first", range.first);
  v.required("last", range.last);
}

void fields(auto& v, Like<Timeouts> auto& timeouts) {
  v.optional("connect", timeouts.connect);
  v.optional("client", timeouts.client);
  v.optional("server", timeouts.server);
  v.optional("udp", timeouts.udp);
  v.optional("queue", timeouts.queue);
  v.optional("tunnel", timeouts.tunnel);
  v.optional("client_fin", timeouts.client_fin);
  v.optional("server_fin", timeouts.server_fin);
}

void fields(auto& v, Like<Clients> auto& clients) {
  v.optional("allow", clients.allow);
  v.optional("deny", clients.deny);
  v.optional("rate", clients.rate);
  v.optional("burst", clients.burst);
  v.optional("maxconn", clients.maxconn);
  v.optional("table", clients.table);
  v.optional("refuse", clients.refuse);
  v.optional("prefix", clients.prefix);
}

void fields(auto& v, Like<ForwardingServer> auto& server) {
  v.required("name", server.name);
  v.required("endpoint", server.endpoint);
  v.required("weight", server.weight);
  v.optional("maxconn", server.maxconn);
  v.optional("maxqueue", server.maxqueue);
  v.optional("shutdowns", server.shutdowns);
}

void fields(auto& v, Like<ForwardingService> auto& service) {
  v.required("name", service.name);
  v.required("vip", service.vip);
  v.required("protocol", service.protocol);
  v.optional("mode", service.mode);
  v.optional("balance", service.balance);
  v.optional("hash_key", service.hash_key);
  v.optional("timeouts", service.timeouts);
  v.optional("idle_refresh", service.idle_refresh);
  v.optional("syn_cookies", service.syn_cookies);
  v.optional("no_server", service.no_server);
  v.optional("clients", service.clients);
  v.optional("maxconn", service.maxconn);
  v.optional("retries", service.retries);
  v.optional("redispatch", service.redispatch);
  v.optional("mss", service.mss);
  v.required("local_addresses", service.local_addresses);
  v.optional("source_ports", service.source_ports);
  v.required("servers", service.servers);
}

void fields(auto& v, Like<ForwardingState> auto& state) {
  v.required("generation", state.generation);
  v.optional("maxconn", state.maxconn);
  v.optional("hard_stop_after", state.hard_stop_after);
  v.required("services", state.services);
}

void fields(auto& v, Like<TrafficCounters> auto& counters) {
  v.optional("packets_in", counters.packets_in);
  v.optional("bytes_in", counters.bytes_in);
  v.optional("packets_out", counters.packets_out);
  v.optional("bytes_out", counters.bytes_out);
  v.optional("connections_new", counters.connections_new);
  v.optional("connections_failed", counters.connections_failed);
  v.optional("connections_current", counters.connections_current);
}

void fields(auto& v, Like<HandshakeCounters> auto& counters) {
  v.optional("answered", counters.answered);
  v.optional("refused", counters.refused);
  v.optional("unreachable", counters.unreachable);
  v.optional("unanswered", counters.unanswered);
  v.optional("retried", counters.retried);
  v.optional("redispatched", counters.redispatched);
}

void fields(auto& v, Like<QueueCounters> auto& queue) {
  v.optional("waiting", queue.waiting);
  v.optional("oldest_ms", queue.oldest_ms);
  v.optional("entered", queue.entered);
  v.optional("timed_out", queue.timed_out);
}

void fields(auto& v, Like<ClientCounters> auto& clients) {
  v.optional("denied", clients.denied);
  v.optional("over_rate", clients.over_rate);
  v.optional("over_maxconn", clients.over_maxconn);
  v.optional("untracked", clients.untracked);
}

void fields(auto& v, Like<Transition> auto& transition) {
  v.optional("generation", transition.generation);
  v.optional("sessions", transition.sessions);
  v.optional("requeued", transition.requeued);
}

void fields(auto& v, Like<FailureReport> auto& failure) {
  v.required("service", failure.service);
  v.required("server", failure.server);
  v.required("endpoint", failure.endpoint);
  v.required("in_row", failure.in_row);
  v.optional("last", failure.last);
}

void fields(auto& v, Like<ServerReport> auto& server) {
  v.required("name", server.name);
  v.required("endpoint", server.endpoint);
  v.optional("weight", server.weight);
  v.optional("maxconn", server.maxconn);
  v.optional("draining", server.draining);
  v.optional("next_hop", server.next_hop);
  v.optional("ports_free", server.ports_free);
  v.optional("ports_total", server.ports_total);
  v.optional("failures_in_row", server.failures_in_row);
  v.optional("counters", server.counters);
  v.optional("handshakes", server.handshakes);
  v.optional("queue", server.queue);
  v.optional("transition", server.transition);
}

void fields(auto& v, Like<ServiceReport> auto& service) {
  v.required("name", service.name);
  v.required("vip", service.vip);
  v.optional("protocol", service.protocol);
  v.optional("balance", service.balance);
  v.optional("counters", service.counters);
  v.optional("handshakes", service.handshakes);
  v.optional("queue", service.queue);
  v.optional("clients", service.clients);
  v.optional("servers", service.servers);
}

void fields(auto& v, Like<PortReport> auto& port) {
  v.required("name", port.name);
  v.optional("device", port.device);
  v.optional("interface", port.interface);
  v.optional("mac", port.mac);
  v.optional("driver", port.driver);
  v.optional("link_up", port.link_up);
  v.optional("queues", port.queues);
  v.optional("mtu", port.mtu);
  v.optional("rx_packets", port.rx_packets);
  v.optional("rx_bytes", port.rx_bytes);
  v.optional("tx_packets", port.tx_packets);
  v.optional("tx_bytes", port.tx_bytes);
  v.optional("rx_missed", port.rx_missed);
  v.optional("rx_errors", port.rx_errors);
  v.optional("tx_errors", port.tx_errors);
  v.optional("rx_nombuf", port.rx_nombuf);
  v.optional("punted", port.punted);
  v.optional("from_twin", port.from_twin);
}

void fields(auto& v, Like<DropReport> auto& drop) {
  v.required("reason", drop.reason);
  v.optional("description", drop.description);
  v.optional("packets", drop.packets);
}

void fields(auto& v, Like<WorkerReport> auto& worker) {
  v.required("id", worker.id);
  v.optional("cpu", worker.cpu);
  v.optional("packets", worker.packets);
  v.optional("handed_over", worker.handed_over);
  v.optional("bursts", worker.bursts);
  v.optional("empty_polls", worker.empty_polls);
  v.optional("busy_cycles", worker.busy_cycles);
  v.optional("total_cycles", worker.total_cycles);
  v.optional("originated", worker.originated);
  v.optional("timed_out", worker.timed_out);
  v.optional("killed", worker.killed);
  v.optional("cookies_returned", worker.cookies_returned);
  v.optional("cookies_active", worker.cookies_active);
  v.optional("flows", worker.flows);
  v.optional("flows_max", worker.flows_max);
  v.optional("half_open", worker.half_open);
  v.optional("half_open_max", worker.half_open_max);
  v.optional("generation", worker.generation);
}

void fields(auto& v, Like<DataplaneReport> auto& report) {
  v.optional("version", report.version);
  v.required("generation", report.generation);
  v.optional("uptime_ms", report.uptime_ms);
  v.optional("pid", report.pid);
  v.optional("hugepages", report.hugepages);
  v.optional("services", report.services);
  v.optional("ports", report.ports);
  v.optional("drops", report.drops);
  v.optional("workers", report.workers);
}

void fields(auto& v, Like<FlowReport> auto& flow) {
  v.required("service", flow.service);
  v.required("server", flow.server);
  v.required("protocol", flow.protocol);
  v.required("client", flow.client);
  v.required("vip", flow.vip);
  v.required("local", flow.local);
  v.required("real", flow.real);
  v.optional("state", flow.state);
  v.optional("worker", flow.worker);
  v.optional("age_ms", flow.age_ms);
  v.optional("idle_ms", flow.idle_ms);
  v.optional("expires_ms", flow.expires_ms);
}

void fields(auto& v, Like<FlowList> auto& list) {
  v.required("flows", list.flows);
  v.optional("total", list.total);
}

void fields(auto& v, Like<FlowFilter> auto& filter) {
  v.optional("service", filter.service);
  v.optional("server", filter.server);
  v.optional("client", filter.client);
  v.optional("client_port", filter.client_port);
  v.optional("state", filter.state);
  v.optional("limit", filter.limit);
}

void fields(auto& v, Like<WorkerLife> auto& worker) {
  v.required("id", worker.id);
  v.required("rounds", worker.rounds);
}

void fields(auto& v, Like<PortLife> auto& port) {
  v.required("name", port.name);
  v.required("link_up", port.link_up);
}

void fields(auto& v, Like<ServiceLife> auto& service) {
  v.required("name", service.name);
  v.required("usable", service.usable);
}

void fields(auto& v, Like<AliveRequest> auto& request) {
  v.optional("services", request.services);
}

void fields(auto& v, Like<AliveReport> auto& report) {
  v.required("generation", report.generation);
  v.required("workers", report.workers);
  v.optional("ports", report.ports);
  v.optional("services", report.services);
}

void fields(auto& v, Like<ShowRequest> auto& request) {
  v.required("what", request.what);
  v.optional("filter", request.filter);
}

void fields(auto& v, Like<ServerRequest> auto& request) {
  v.required("service", request.service);
  v.required("server", request.server);
  v.required("action", request.action);
  v.optional("value", request.value);
  v.optional("percent", request.percent);
}

void fields(auto& v, Like<ServerName> auto& server) {
  v.required("service", server.service);
  v.required("server", server.server);
}

void fields(auto& v, Like<WaitRequest> auto& request) {
  v.required("service", request.service);
  v.required("server", request.server);
  v.required("for", request.what);
  v.optional("timeout_ms", request.timeout);
}

void fields(auto& v, Like<ServiceNames> auto& service) {
  v.required("name", service.name);
  v.required("servers", service.servers);
}

void fields(auto& v, Like<MetricsReport> auto& report) {
  v.required("text", report.text);
  v.optional("data_plane", report.data_plane);
  v.optional("vrrp", report.vrrp);
}

void fields(auto& v, Like<Change> auto& change) {
  v.required("kind", change.kind);
  v.required("object", change.object);
  v.optional("detail", change.detail);
}

void fields(auto& v, Like<ReloadReport> auto& report) {
  v.required("changes", report.changes);
  v.optional("note", report.note);
}

void fields(auto& v, Like<FiveTuple> auto& tuple) {
  v.required("protocol", tuple.protocol);
  v.required("source", tuple.source);
  v.required("destination", tuple.destination);
}

void fields(auto& v, Like<HopReport> auto& hop) {
  v.required("state", hop.state);
  v.optional("gateway", hop.gateway);
  v.optional("mac", hop.mac);
  v.optional("port", hop.port);
  v.optional("vlans", hop.vlans);
  v.optional("mtu", hop.mtu);
}

void fields(auto& v, Like<ServerKnowledge> auto& known) {
  v.required("status", known.status);
  v.optional("admin", known.admin);
  v.optional("check", known.check);
  v.optional("why_no_weight", known.why_no_weight);
  v.optional("backup", known.backup);
}

void fields(auto& v, Like<ExplainedServer> auto& server) {
  v.required("name", server.name);
  v.required("endpoint", server.endpoint);
  v.required("standing", server.standing);
  v.optional("weight", server.weight);
  v.optional("connections", server.connections);
  v.optional("maxconn", server.maxconn);
  v.optional("waiting", server.waiting);
  v.optional("maxqueue", server.maxqueue);
  v.optional("draining", server.draining);
  v.optional("known", server.known);
}

void fields(auto& v, Like<ExplainedSchedule> auto& schedule) {
  v.required("balance", schedule.balance);
  v.optional("hash_key", schedule.hash_key);
  v.optional("slot", schedule.slot);
  v.optional("slots", schedule.slots);
  v.optional("drawn", schedule.drawn);
}

void fields(auto& v, Like<ExplainedClient> auto& client) {
  v.optional("prefix", client.prefix);
  v.optional("denied", client.denied);
  v.optional("tracked", client.tracked);
  v.optional("untracked", client.untracked);
  v.optional("connections", client.connections);
  v.optional("maxconn", client.maxconn);
  v.optional("rate", client.rate);
  v.optional("burst", client.burst);
}

void fields(auto& v, Like<ExplainedStart> auto& start) {
  v.required("fate", start.fate);
  v.optional("reason", start.reason);
  v.optional("obstacle", start.obstacle);
  v.optional("connections", start.connections);
  v.optional("maxconn", start.maxconn);
  v.optional("client", start.client);
  v.optional("schedule", start.schedule);
  v.optional("servers", start.servers);
  v.optional("server", start.server);
  v.optional("source", start.source);
  v.optional("source_kind", start.source_kind);
  v.optional("reuses_port", start.reuses_port);
  v.optional("evicts", start.evicts);
  v.optional("by_cookie", start.by_cookie);
  v.optional("queue_ms", start.queue_ms);
  v.optional("waiting", start.waiting);
  v.optional("towards_server", start.towards_server);
}

void fields(auto& v, Like<ExplainedFlow> auto& explained) {
  v.required("flow", explained.flow);
  v.optional("to_server", explained.to_server);
  v.optional("connecting", explained.connecting);
  v.optional("retries", explained.retries);
  v.optional("ending", explained.ending);
  v.optional("sequence_delta", explained.sequence_delta);
  v.optional("strips_timestamps", explained.strips_timestamps);
  v.optional("bytes_from_client", explained.bytes_from_client);
  v.optional("bytes_from_server", explained.bytes_from_server);
  v.optional("towards_server", explained.towards_server);
}

void fields(auto& v, Like<HeldSyn> auto& held) {
  v.optional("wait_for", held.wait_for);
  v.optional("between_attempts", held.between_attempts);
  v.optional("waited_ms", held.waited_ms);
  v.optional("timeout_ms", held.timeout_ms);
  v.optional("waiting", held.waiting);
  v.optional("attempts", held.attempts);
}

void fields(auto& v, Like<ExplainedFate> auto& fate) {
  v.required("fate", fate.fate);
  v.optional("reason", fate.reason);
}

void fields(auto& v, Like<Explanation> auto& explanation) {
  v.required("tuple", explanation.tuple);
  v.optional("generation", explanation.generation);
  v.required("claim", explanation.claim);
  v.optional("held_by", explanation.held_by);
  v.optional("service", explanation.service);
  v.optional("vip", explanation.vip);
  v.optional("worker", explanation.worker);
  v.optional("flow", explanation.flow);
  v.optional("held", explanation.held);
  v.optional("start", explanation.start);
  v.optional("others", explanation.others);
  v.optional("towards_client", explanation.towards_client);
}

void fields(auto& v, Like<ExplainRequest> auto& request) {
  v.required("tuple", request.tuple);
}

void fields(auto& v, Like<LibraryVersion> auto& library) {
  v.required("name", library.name);
  v.optional("built", library.built);
  v.optional("running", library.running);
}

void fields(auto& v, Like<BuildInfo> auto& build) {
  v.required("program", build.program);
  v.required("version", build.version);
  v.optional("compiler", build.compiler);
  v.optional("options", build.options);
  v.optional("libraries", build.libraries);
}

}  // namespace sluice::config::json
