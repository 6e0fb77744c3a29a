#include "tools/sluice/explain_text.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "config/names.h"
#include "dp/drop_reason.h"
#include "tools/sluice/units.h"

namespace sluice::cli {
namespace {

using config::Balance;
using config::Claim;
using config::Fate;
using config::Obstacle;
using config::SourceKind;
using config::Standing;

/// Lines of a label and a sentence.
class Lines {
 public:
  void add(std::string_view label, std::string_view sentence) {
    fmt::format_to(std::back_inserter(text_), "{:<15} {}\n", label, sentence);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// `no_server: the service has no usable server`; a reason of a newer sluice stands alone.
std::string reason_text(const std::string& reason) {
  const auto known = std::ranges::find(dp::kDropReasons, std::string_view(reason), &dp::DropReasonInfo::name);
  return known == dp::kDropReasons.end() ? reason : fmt::format("{}: {}", reason, known->description);
}

std::string connections_text(std::uint32_t connections, std::uint32_t maxconn) {
  if (maxconn == 0) return fmt::format("{} connections", count_text(connections));
  return fmt::format("{} of {} connections", count_text(connections), count_text(maxconn));
}

std::string hop_text(const config::HopReport& hop) {
  const std::string gateway = hop.gateway.empty() ? "" : fmt::format(" ({})", hop.gateway);
  if (hop.state == "reachable") {
    std::string vlans;
    for (const std::uint16_t vlan : hop.vlans) vlans += fmt::format(", VLAN {}", vlan);
    return fmt::format("to {}{} by port {}{}, MTU {}", hop.mac, gateway, hop.port, vlans, hop.mtu);
  }
  if (hop.state == "incomplete" || hop.state == "unknown")
    return fmt::format("{}: the next hop's link address{} is asked for, packets wait", hop.state, gateway);
  if (hop.state == "failed")
    return fmt::format("failed: the next hop{} does not answer ARP or neighbour discovery", gateway);
  return fmt::format("{}: there is no way out on a port of sluice's", hop.state);
}

std::string_view hashed_text(config::HashKey key) {
  switch (key) {
    case config::HashKey::source: return "the client's address";
    case config::HashKey::source_port: return "the client's address and port";
    case config::HashKey::five_tuple: return "both addresses and ports";
  }
  return {};
}

std::string schedule_text(const config::ExplainedSchedule& schedule) {
  const std::string_view name = config::name_of(schedule.balance);
  switch (schedule.balance) {
    case Balance::roundrobin:
      return fmt::format("{}: the turn is at place {} of {}", name, schedule.slot + 1, schedule.slots);
    case Balance::source:
    case Balance::hash:
      return fmt::format("{}: {} lead to slot {} of {}", name, hashed_text(schedule.hash_key), schedule.slot,
                         schedule.slots);
    case Balance::leastconn: return fmt::format("{}: the fewest connections for its weight", name);
    case Balance::random:
      if (schedule.drawn.size() < 2) return std::string(name);
      return fmt::format("{}: the less loaded of two that are drawn, {} and {}", name, schedule.drawn[0],
                         schedule.drawn[1]);
    case Balance::first: return fmt::format("{}: the first that has room", name);
  }
  return std::string(name);
}

std::string standing_text(const config::ExplainedServer& server) {
  switch (server.standing) {
    case Standing::chosen: return "chosen";
    case Standing::full: return "passed over, full";
    case Standing::waited_for: return "passed over, others wait for it";
    case Standing::no_less_loaded: return "no less loaded";
    case Standing::not_asked: return "not asked";
    case Standing::no_weight: break;
  }
  if (server.draining) return "none: no longer configured";
  if (!server.known || server.known->why_no_weight.empty()) return "none: its weight is 0";
  return fmt::format("none: {}", server.known->why_no_weight);
}

std::string server_text(const config::ExplainedServer& server) {
  std::string text =
      fmt::format("{} {}: {}; weight {}, {}", server.name, server.endpoint.to_string(), standing_text(server),
                  server.weight, connections_text(server.connections, server.maxconn));
  if (server.waiting != 0) text += fmt::format(", {} wait for it", count_text(server.waiting));
  if (server.known && server.known->backup) text += ", backup";
  return text;
}

std::string obstacle_text(const config::ExplainedStart& start) {
  switch (start.obstacle) {
    case Obstacle::none: return {};
    case Obstacle::client_denied: return "the service's prefixes keep the client out";
    case Obstacle::client_rate: return "the client has begun as many connections as its rate lets it";
    case Obstacle::client_maxconn: return "the client has as many connections as it may";
    case Obstacle::queue: return "others wait already, and who comes later stands behind them";
    case Obstacle::instance_maxconn:
      return fmt::format("global.maxconn is reached: {}", connections_text(start.connections, start.maxconn));
    case Obstacle::service_maxconn:
      return fmt::format("the service's maxconn is reached: {}",
                         connections_text(start.connections, start.maxconn));
    case Obstacle::no_usable_server: return "no server takes new connections";
    case Obstacle::servers_full: return start.server.empty() ? "all servers are full" : "that server is full";
  }
  return {};
}

std::string client_text(const config::ExplainedClient& client) {
  std::string text = client.denied ? "kept out" : "let in";
  text += client.prefix.empty() ? ", under no prefix" : fmt::format(" by {}", client.prefix);
  if (client.denied || (client.rate == 0 && client.maxconn == 0)) return text;
  if (client.untracked) return text + "; uncounted: there is no room for it in the table of clients";
  if (!client.tracked) return text + "; not known yet";
  text += "; " + connections_text(client.connections, client.maxconn);
  if (client.rate != 0)
    text += fmt::format(", {} new ones in a second, {} at once", client.rate, client.burst);
  return text;
}

std::string endpoint_of(const config::ExplainedStart& start) {
  const auto server = std::ranges::find(start.servers, Standing::chosen, &config::ExplainedServer::standing);
  return server == start.servers.end() ? std::string() : " " + server->endpoint.to_string();
}

/// Empty: there is nothing to say of it.
std::string source_text(SourceKind kind) {
  switch (kind) {
    case SourceKind::local: return {};
    case SourceKind::client: return "the client's own address and port are kept (mode dnat)";
    case SourceKind::shared_link:
      return "full NAT in spite of mode dnat: the client is on the link to the server, and would be answered "
             "directly";
    case SourceKind::client_is_server:
      return "full NAT in spite of mode dnat: the client is one of the service's servers";
    case SourceKind::port_in_use:
      return "full NAT in spite of mode dnat: that port of the client has a connection to this server "
             "already, "
             "through another service";
  }
  return {};
}

std::string start_text(const config::ExplainedStart& start) {
  switch (start.fate) {
    case Fate::forward:
    case Fate::park: {
      std::string text = fmt::format("begins a connection to {}{}", start.server, endpoint_of(start));
      if (start.source) {
        text += fmt::format(" from {}", start.source->to_string());
      } else {
        text += ", once a connection that is over has given its source port up";
      }
      return text + (start.fate == Fate::park ? ", when the next hop's address is known" : "");
    }
    case Fate::hold:
      return fmt::format("waits for a place at {}, for {} at most; {} wait there",
                         start.server.empty() ? "any server" : start.server, duration_text(start.queue_ms),
                         count_text(start.waiting));
    case Fate::answer: return fmt::format("is refused ({})", reason_text(start.reason));
    case Fate::drop:
      if (start.reason == "retried")
        return fmt::format("is tried elsewhere, or anew: {} cannot be reached", start.server);
      return fmt::format("is dropped ({})", reason_text(start.reason));
    case Fate::kernel: return "is the kernel's";
  }
  return {};
}

void add_start(Lines& lines, const config::Explanation& explanation) {
  const config::ExplainedStart& start = *explanation.start;
  if (start.client) lines.add("client", client_text(*start.client));
  if (start.schedule) lines.add("schedule", schedule_text(*start.schedule));
  for (const config::ExplainedServer& server : start.servers) lines.add("server", server_text(server));
  if (start.obstacle != Obstacle::none) lines.add("obstacle", obstacle_text(start));
  const bool tcp = explanation.tuple.protocol == config::Protocol::tcp;
  if (start.by_cookie) lines.add("a first SYN", "is answered by a SYN cookie");
  lines.add(start.by_cookie ? "the ACK after it" : tcp ? "a first SYN" : "a datagram", start_text(start));
  if (start.evicts && start.source)
    lines.add("", "a half-open connection, or one that is over, is forgotten for it");
  if (const std::string text = source_text(start.source_kind); start.source && !text.empty())
    lines.add("", text);
  if (start.reuses_port) lines.add("", "numbered anew: the server may hold that source port in TIME_WAIT");
  if (!start.towards_server.state.empty()) lines.add("towards server", hop_text(start.towards_server));
}

void add_flow(Lines& lines, const config::ExplainedFlow& explained) {
  const config::FlowReport& flow = explained.flow;
  lines.add("flow", fmt::format("{}, begun {} ago; the packet goes to the {}", flow.state,
                                duration_text(flow.age_ms), explained.to_server ? "server" : "client"));
  lines.add("client side", fmt::format("{} <> {}", flow.client.to_string(), flow.vip.to_string()));
  lines.add("server side",
            fmt::format("{} <> {} ({})", flow.local.to_string(), flow.real.to_string(), flow.server));
  lines.add("last seen", fmt::format("{} ago", duration_text(flow.idle_ms)));
  lines.add("expires", explained.ending ? "as soon as its resets can be sent: it was killed"
                                        : fmt::format("in {}", duration_text(flow.expires_ms)));
  if (explained.connecting != 0) {
    lines.add("attempt", fmt::format("{} of {} at most", explained.connecting, explained.retries + 1));
  }
  if (explained.bytes_from_client)
    lines.add("from client", fmt::format("{} sent", bytes_text(*explained.bytes_from_client)));
  if (explained.bytes_from_server)
    lines.add("from server", fmt::format("{} sent", bytes_text(*explained.bytes_from_server)));
  if (explained.sequence_delta != 0) {
    lines.add("numbering", fmt::format("{} is added to the client's sequence numbers, modulo 2^32",
                                       explained.sequence_delta));
  }
  lines.add("towards server", hop_text(explained.towards_server));
}

std::string held_text(const config::HeldSyn& held) {
  if (held.between_attempts)
    return fmt::format("a SYN waits for the next attempt, {} having failed", count_text(held.attempts));
  return fmt::format("a SYN waits for a place at {}, since {} of {} at most; {} wait there",
                     held.wait_for.empty() ? "any server" : held.wait_for, duration_text(held.waited_ms),
                     duration_text(held.timeout_ms), count_text(held.waiting));
}

std::string kernel_text(const config::Explanation& explanation) {
  const base::Endpoint& to = explanation.tuple.destination;
  switch (explanation.claim) {
    case Claim::service:
    case Claim::reply: break;
    case Claim::sent:
      return fmt::format(
          "nobody's: {} is an address of sluice's own, such packets leave; ask for the other "
          "direction, `sluice explain {} {} {}`",
          explanation.tuple.source.address.to_string(), config::name_of(explanation.tuple.protocol),
          to.to_string(), explanation.tuple.source.to_string());
    case Claim::foreign_address:
      return fmt::format("the kernel: {} is no virtual IP, nor a local address", to.address.to_string());
    case Claim::foreign_port:
      return fmt::format("the kernel: no service has {} port {}, nor is it a source port",
                         config::name_of(explanation.tuple.protocol), to.port);
    case Claim::kernel_port:
      return fmt::format("the kernel: port {} is none that sluice takes, and there is no flow", to.port);
  }
  return {};
}

}  // namespace

std::string explanation_text(const config::Explanation& explanation) {
  Lines lines;
  const config::FiveTuple& tuple = explanation.tuple;
  lines.add("packet", fmt::format("{} {} > {}", config::name_of(tuple.protocol), tuple.source.to_string(),
                                  tuple.destination.to_string()));
  const std::string address = tuple.destination.address.to_string();
  lines.add("address", explanation.held_by.empty()
                           ? fmt::format("{} is on no interface of this host", address)
                           : fmt::format("{} is on {}", address, explanation.held_by));
  if (!explanation.worker) {
    lines.add("belongs to", kernel_text(explanation));
    return lines.take();
  }
  if (!explanation.service.empty()) {
    lines.add("service", explanation.vip
                             ? fmt::format("{} ({})", explanation.service, explanation.vip->to_string())
                             : explanation.service);
  } else {
    lines.add("service", "none: it came as a server's reply");
  }
  lines.add("worker", fmt::to_string(*explanation.worker));
  if (explanation.flow) {
    add_flow(lines, *explanation.flow);
  } else {
    lines.add("flow", "none");
  }
  if (explanation.held) lines.add("waits", held_text(*explanation.held));
  if (explanation.start) add_start(lines, explanation);
  if (explanation.towards_client) lines.add("towards client", hop_text(*explanation.towards_client));
  if (explanation.others) {
    const bool answered = explanation.others->fate == Fate::answer;
    lines.add(
        explanation.start || explanation.held ? "other segments" : "the packet",
        fmt::format("{} ({})", answered ? "get a RST" : "dropped", reason_text(explanation.others->reason)));
  }
  return lines.take();
}

}  // namespace sluice::cli
