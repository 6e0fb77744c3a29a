#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "config/explain.h"
#include "config/report.h"

/// Words of the command line as values. Errors are sentences that quote the word.
namespace sluice::cli {

struct Target {
  std::string service, server;
};

/// "k8s-api/master1"; "k8s-api/*" is all servers of a service.
[[nodiscard]] base::Result<Target> parse_target(const std::string& word);

/// What `server weight` takes: "50", "0", or "50%" of the configured weight.
struct Weight {
  std::uint32_t value = 0;
  bool percent = false;
};
[[nodiscard]] base::Result<Weight> parse_weight(const std::string& word);

/// "192.0.2.7", "192.0.2.7:40000", "2001:db8::7" or "[2001:db8::7]:40000", into `filter`.
[[nodiscard]] base::Result<void> parse_client(const std::string& word, config::FlowFilter& filter);

/// "tcp", "192.0.2.7:40000", "192.0.2.10:443", or the same of IPv6 with its addresses in brackets.
[[nodiscard]] base::Result<config::FiveTuple> parse_tuple(const std::string& protocol,
                                                          const std::string& source,
                                                          const std::string& destination);

/// The options that choose flows; empty: not given.
struct FlowWords {
  std::string service, server, client, state;
};
[[nodiscard]] base::Result<config::FlowFilter> parse_flow_filter(const FlowWords& words);

}  // namespace sluice::cli
