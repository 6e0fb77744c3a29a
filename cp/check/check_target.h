#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "config/model.h"
#include "cp/check/matcher.h"
#include "cp/check/tls_contexts.h"

namespace sluice::cp {

/// One server's check, made ready to be run any number of times: what can be wrong with it was found out.
/// Immutable; a check that runs holds on to its target, so that a reload may drop it.
struct CheckTarget {
  config::Check check;
  base::Endpoint endpoint;                  ///< what is checked: the server, or check.address and check.port
  config::Milliseconds timeout{0};          ///< check.timeout, else check.interval
  config::Milliseconds connect_timeout{0};  ///< of each connect, where check.timeout is given
  std::string tls_name;                     ///< for SNI and the certificate; may be empty
  TlsContexts::Context tls;                 ///< where the check, or a step of it, speaks TLS
  std::vector<Matcher> step_expect;         ///< by step; of steps that expect nothing: any
  std::optional<Matcher> expect;            ///< http's body, udp's answer

  // What an external command is told.
  std::string service, server;
  std::size_t service_position = 0, server_position = 0;  ///< in the configuration, from 1
  base::Endpoint vip, server_endpoint;
  config::Protocol protocol = config::Protocol::tcp;
  std::uint32_t maxconn = 0;
};

/// The checks of a configuration, by service, then server, in its order; null: that server has none.
using PreparedChecks = std::vector<std::vector<std::shared_ptr<const CheckTarget>>>;

/// Makes all checks of `config` ready, and loads the files that they need. Error: what in a check cannot be
/// used, with the server's name.
base::Result<PreparedChecks> prepare_checks(const config::Config& config);

}  // namespace sluice::cp
