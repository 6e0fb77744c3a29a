#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "config/diff.h"
#include "config/explain.h"
#include "config/forwarding.h"
#include "config/names.h"
#include "config/report.h"

/// What the processes say to each other: one JSON document per line, request and reply in order. Values go in
/// and come out; JSON itself stays in here. Encoders return the line without its newline. Decoders take a
/// line from anyone: whatever it holds, they return a value or an Error, never throw or crash. Thread: any
/// (no state).
///
/// Versions may differ between the ends for the time of an upgrade: unknown members are ignored; a missing
/// member keeps its default, unless the object means nothing without it (names, endpoints, generation).
namespace sluice::config {

/// dp.sock "apply": run this state. Reply: the generation, once the snapshot is published.
struct ApplyRequest {
  ForwardingState state;
};
/// A server by its names; server "*": all of the service.
struct ServerName {
  std::string service, server;
  friend bool operator==(const ServerName&, const ServerName&) = default;
};
/// dp.sock "report": everything; or, where `only` is given, what the process says of itself, and of these
/// servers. Their services' sums count all servers; ports, drops and workers are left out.
struct ReportRequest {
  std::optional<std::vector<ServerName>> only{};
};
/// dp.sock "flows".
struct FlowsRequest {
  FlowFilter filter;
};
/// dp.sock "state": the state applied last; generation 0 and no services when there was none.
struct StateRequest {};
/// dp.sock "kill": end the flows that match, by RST to both sides. Reply: how many there were.
struct KillRequest {
  FlowFilter filter;
};
/// dp.sock "failures": the servers that fail real connections now.
struct FailuresRequest {};
/// dp.sock "alive": signs of life.
struct AliveRequest {
  std::vector<std::string> services;  ///< whose usable servers are to be counted
};
/// dp.sock "explain": what would become of a packet. Changes nothing. The same on cp.sock.
struct ExplainRequest {
  FiveTuple tuple;
};
using DpRequest = std::variant<ApplyRequest, ReportRequest, FlowsRequest, StateRequest, KillRequest,
                               FailuresRequest, AliveRequest, ExplainRequest>;

/// Reply to "flows".
struct FlowList {
  std::vector<FlowReport> flows;  ///< as many as the filter's limit allows
  std::uint64_t total = 0;        ///< how many match, listed or not
};

[[nodiscard]] std::string encode_request(const DpRequest& request);
[[nodiscard]] base::Result<DpRequest> decode_dp_request(std::string_view line);

[[nodiscard]] std::string encode_apply_reply(std::uint64_t generation);
[[nodiscard]] std::string encode_report_reply(const DataplaneReport& report);
[[nodiscard]] std::string encode_flows_reply(const FlowList& flows);
[[nodiscard]] std::string encode_state_reply(const ForwardingState& state);
[[nodiscard]] std::string encode_kill_reply(std::uint64_t killed);
[[nodiscard]] std::string encode_failures_reply(const std::vector<FailureReport>& failures);
[[nodiscard]] std::string encode_alive_reply(const AliveReport& report);
[[nodiscard]] std::string encode_explain_reply(const Explanation& explanation);
/// {"ok": false, "error": sentence}: the reply to any request that failed.
[[nodiscard]] std::string encode_error_reply(std::string_view sentence);

/// Whether the error of a reply says that the other side does not know the request: it is older.
[[nodiscard]] bool is_unknown_request(const base::Error& error);

/// These return the Error of the reply when the other side said {"ok": false}.
[[nodiscard]] base::Result<std::uint64_t> decode_apply_reply(std::string_view line);
[[nodiscard]] base::Result<DataplaneReport> decode_report_reply(std::string_view line);
[[nodiscard]] base::Result<FlowList> decode_flows_reply(std::string_view line);
[[nodiscard]] base::Result<ForwardingState> decode_state_reply(std::string_view line);
[[nodiscard]] base::Result<std::uint64_t> decode_kill_reply(std::string_view line);
[[nodiscard]] base::Result<std::vector<FailureReport>> decode_failures_reply(std::string_view line);
[[nodiscard]] base::Result<AliveReport> decode_alive_reply(std::string_view line);
[[nodiscard]] base::Result<Explanation> decode_explain_reply(std::string_view line);

/// cp.sock "show". "names": the services and their servers, nothing else; this, "health" and "info" need no
/// data plane. "metrics": MetricsReport; with as much as there is without one.
enum class ShowWhat : std::uint8_t {
  services,
  servers,
  flows,
  health,
  queue,
  info,
  ports,
  drops,
  workers,
  names,
  metrics
};
struct ShowRequest {
  ShowWhat what = ShowWhat::services;
  FlowFilter filter;  ///< for flows; service and server also narrow services, servers, health and queue
};

/// cp.sock "server": what an operator does to one server.
enum class ServerAction : std::uint8_t {
  ready,   ///< back to what configuration and health say; ends drain and maint
  drain,   ///< no new connections, open ones go on
  maint,   ///< as drain, and no health checks
  weight,  ///< value: 0..256, or with percent: of the configured weight
  maxconn,
  health_up,        ///< takes the server for healthy, until a check says otherwise
  health_stopping,  ///< as HAProxy's NOLB: no new connections, as long as the checks agree
  health_down,
  agent_up,
  agent_down,
};
struct ServerRequest {
  std::string service, server;  ///< server "*": all of the service
  ServerAction action = ServerAction::ready;
  std::uint32_t value = 0;  ///< of weight and maxconn
  bool percent = false;     ///< of weight
};
/// cp.sock "reload": read the configuration file anew.
struct ReloadRequest {};
/// cp.sock "wait": answer once the server is so, or with an error when the time is over.
enum class WaitFor : std::uint8_t { drained, up, down };
struct WaitRequest {
  std::string service, server;  ///< server "*": all of the service
  WaitFor what = WaitFor::drained;
  Milliseconds timeout{60'000};
};
/// "kill" is the same on both sockets, but cp.sock refuses a filter that matches all.
using CpRequest =
    std::variant<ShowRequest, ServerRequest, KillRequest, ReloadRequest, WaitRequest, ExplainRequest>;

/// An element of the reply to "show names".
struct ServiceNames {
  std::string name;
  std::vector<std::string> servers;
};
/// The reply to "show metrics".
struct MetricsReport {
  std::string text;         ///< of sluice-cp and sluice-dp, in Prometheus' exposition format
  bool data_plane = false;  ///< it answers
  bool vrrp = false;        ///< there are instances in the configuration
};
/// Reply to "reload".
struct ReloadReport {
  std::vector<Change> changes;  ///< empty: the file says what runs already
  std::string note;             ///< what else there is to know, as a sentence; may be empty
};

[[nodiscard]] std::string encode_cp_request(const CpRequest& request);
[[nodiscard]] base::Result<CpRequest> decode_cp_request(std::string_view line);

/// {"ok": true, "<what>": <json>}; `json` is a JSON text (of to_json() or the caller's own).
[[nodiscard]] std::string encode_show_reply(ShowWhat what, std::string_view json);
/// The JSON text under "<what>" of a show reply.
[[nodiscard]] base::Result<std::string> decode_show_reply(ShowWhat what, std::string_view line);
/// Reply to "server" and "wait": what was done or seen, a sentence a line. That to "kill": encode_kill_reply.
[[nodiscard]] std::string encode_done_reply(std::string_view message);
[[nodiscard]] base::Result<std::string> decode_done_reply(std::string_view line);
[[nodiscard]] std::string encode_reload_reply(const ReloadReport& report);
[[nodiscard]] base::Result<ReloadReport> decode_reload_reply(std::string_view line);

/// A value as JSON text and back. T: any struct of forwarding.h and report.h, FlowList, or a std::vector of
/// them.
template <typename T>
[[nodiscard]] std::string to_json(const T& value);
template <typename T>
[[nodiscard]] base::Result<T> from_json(std::string_view text);

template <>
inline constexpr auto kNames<ShowWhat> = std::to_array<std::pair<ShowWhat, std::string_view>>({
    {ShowWhat::services, "services"},
    {ShowWhat::servers, "servers"},
    {ShowWhat::flows, "flows"},
    {ShowWhat::health, "health"},
    {ShowWhat::queue, "queue"},
    {ShowWhat::info, "info"},
    {ShowWhat::ports, "ports"},
    {ShowWhat::drops, "drops"},
    {ShowWhat::workers, "workers"},
    {ShowWhat::names, "names"},
    {ShowWhat::metrics, "metrics"},
});
template <>
inline constexpr auto kNames<ServerAction> = std::to_array<std::pair<ServerAction, std::string_view>>({
    {ServerAction::ready, "ready"},
    {ServerAction::drain, "drain"},
    {ServerAction::maint, "maint"},
    {ServerAction::weight, "weight"},
    {ServerAction::maxconn, "maxconn"},
    {ServerAction::health_up, "health-up"},
    {ServerAction::health_stopping, "health-stopping"},
    {ServerAction::health_down, "health-down"},
    {ServerAction::agent_up, "agent-up"},
    {ServerAction::agent_down, "agent-down"},
});
template <>
inline constexpr auto kNames<WaitFor> = std::to_array<std::pair<WaitFor, std::string_view>>({
    {WaitFor::drained, "drained"},
    {WaitFor::up, "up"},
    {WaitFor::down, "down"},
});
template <>
inline constexpr auto kNames<ChangeKind> = std::to_array<std::pair<ChangeKind, std::string_view>>({
    {ChangeKind::added, "added"},
    {ChangeKind::removed, "removed"},
    {ChangeKind::changed, "changed"},
});

}  // namespace sluice::config
