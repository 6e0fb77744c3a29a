#include "config/build_server.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/suggest.h"

namespace sluice::config {
namespace {

void read_agent(const Section& section, ServerDraft& draft, SectionReader& reader) {
  Agent& agent = draft.server.agent;
  SectionReader::read_number(section, "port", agent.port);
  draft.has_agent_port = draft.has_agent_port || section.has("port");
  reader.read_host(section, "address", agent.address);
  reader.read_duration(section, "interval", agent.interval);
  if (auto send = SectionReader::text(section, "send")) agent.send = *std::move(send);
}

constexpr std::string_view kAgentWithoutPort = "key \"port\" is missing: where the agent listens";

/// `check_type`: where the type of the check was given, if anywhere.
void refuse_observe(const Section& section, const std::string& check_type, SectionReader& reader) {
  reader.refuse(pointer(section.path, "observe"),
                "needs a health check, by which a server that it took down comes back: give \"check\"",
                {check_type.empty() ? pointer(section.path, "check") : check_type});
}

}  // namespace

void read_object_name(const Section& section, std::string& out, SectionReader& reader, std::string_view key) {
  out = SectionReader::text(section, key).value_or("");
  const bool good = std::ranges::all_of(out, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:").find(c) != std::string_view::npos;
  });
  if (!good) {
    reader.refuse(
        pointer(section.path, key),
        in_quotes(out) + " has a character that names do not have (allowed: letters, digits and - _ . :)");
  }
}

void read_server_settings(const Section& section, ServerDraft& draft, SectionReader& reader) {
  Server& server = draft.server;
  SectionReader::read_number(section, "weight", server.weight);
  SectionReader::read_number(section, "maxconn", server.maxconn);
  SectionReader::read_number(section, "maxqueue", server.maxqueue);
  reader.read_duration_or_none(section, "slowstart", server.slowstart);
  SectionReader::read_name_of(section, "observe", server.observe);
  SectionReader::read_number(section, "error_limit", server.error_limit);
  SectionReader::read_name_of(section, "on_error", server.on_error);
  SectionReader::read_name_of(section, "on_marked_down", server.on_marked_down);
  SectionReader::read_name_of(section, "on_marked_up", server.on_marked_up);
  read_agent(section.inner("agent"), draft, reader);
}

Server build_server(const Section& element, const Section& service, std::uint16_t fallback_port,
                    ServerDraft draft, SectionReader& reader) {
  read_server_settings(element, draft, reader);
  read_check(element.inner("check"), draft.check, reader);
  Server server = std::move(draft.server);
  server.endpoint.port = fallback_port;
  read_object_name(element, server.name, reader);
  const Section address = element.inner("address");
  reader.read_address(address.object, address.path, server.endpoint.address);
  SectionReader::read_number(element, "port", server.endpoint.port);
  SectionReader::read_flag(element, "backup", server.backup);
  SectionReader::read_flag(element, "disabled", server.disabled);
  server.check = finish_check(draft.check, element, service, reader);
  const Section agent = element.inner("agent");
  if (agent.object.isObject() && !draft.has_agent_port) {
    reader.refuse_key(pointer(agent.path, "port"), std::string(kAgentWithoutPort));
  }
  if (element.has("observe") && server.observe != Observe::none && server.check.type == CheckType::none) {
    refuse_observe(element, draft.check.type_path, reader);
  }
  return server;
}

void check_server_settings(const Section& service, const ServerDraft& draft,
                           const std::vector<Server>& servers, SectionReader& reader) {
  if (servers.empty()) return;
  const auto none = [&servers](auto used) { return std::ranges::none_of(servers, used); };
  if (none([](const Server& server) { return server.check.type != CheckType::none; })) {
    refuse_typeless(service.inner("check"), draft.check, reader);
    const Section settings = service.inner("server");
    if (settings.has("observe") && draft.server.observe != Observe::none) {
      refuse_observe(settings, draft.check.type_path, reader);
    }
  }
  const Section agent = service.inner("server").inner("agent");
  if (agent.object.isObject() && !draft.has_agent_port &&
      none([](const Server& server) { return server.agent.port != 0; })) {
    reader.refuse_key(pointer(agent.path, "port"), std::string(kAgentWithoutPort));
  }
}

}  // namespace sluice::config
