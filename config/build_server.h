#pragma once

#include <string>
#include <string_view>

#include "config/build_check.h"
#include "config/model.h"
#include "config/section.h"

namespace sluice::config {

/// A server as far as the blocks from the outside in ("defaults", service, server) have described it.
struct ServerDraft {
  Server server;  ///< its check is `check`
  CheckDraft check;
  bool has_agent_port = false;  ///< some block has given it
};

/// Reads what "server" of defaults and of a service and a server itself have in common: all but name,
/// address, port and check.
void read_server_settings(const Section& section, ServerDraft& draft, SectionReader& reader);

/// The server that element `element` of a service's "servers" describes, over what the service and "defaults"
/// say. `service`: the section of the service; `fallback_port`: its port.
[[nodiscard]] Server build_server(const Section& element, const Section& service, std::uint16_t fallback_port,
                                  ServerDraft draft, SectionReader& reader);

/// Tells of settings in the service's own blocks of which no server makes use for want of another setting.
/// `draft`: what holds for the service.
void check_server_settings(const Section& service, const ServerDraft& draft,
                           const std::vector<Server>& servers, SectionReader& reader);

/// Names go into logs, metrics and command lines, so their characters are those that HAProxy allows.
void read_object_name(const Section& section, std::string& out, SectionReader& reader,
                      std::string_view key = "name");

}  // namespace sluice::config
