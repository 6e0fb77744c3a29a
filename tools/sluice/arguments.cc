#include "tools/sluice/arguments.h"

#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "config/names.h"
#include "config/suggest.h"

namespace sluice::cli {
namespace {

base::Error refuse(const std::string& word, std::string_view reason) {
  return {base::ErrorCode::invalid, fmt::format("{}: {}", config::in_quotes(word), reason)};
}

}  // namespace

base::Result<Target> parse_target(const std::string& word) {
  const std::size_t slash = word.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == word.size())
    return refuse(word, "expected SERVICE/SERVER, as in \"k8s-api/master1\"");
  return Target{word.substr(0, slash), word.substr(slash + 1)};
}

base::Result<Weight> parse_weight(const std::string& word) {
  constexpr std::string_view kForm =
      "expected a weight from 0 to 256, or a share of the configured one, as in \"50%\"";
  Weight weight;
  std::string_view digits = word;
  if (digits.ends_with('%')) {
    weight.percent = true;
    digits.remove_suffix(1);
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), weight.value);
  if (error != std::errc() || end != digits.data() + digits.size()) return refuse(word, kForm);
  if (!weight.percent && weight.value > 256) return refuse(word, kForm);
  return weight;
}

base::Result<void> parse_client(const std::string& word, config::FlowFilter& filter) {
  if (const auto address = base::IpAddress::parse(word)) {
    filter.client = *address;
    return {};
  }
  const auto endpoint = base::Endpoint::parse(word);
  if (!endpoint) {
    return refuse(word,
                  "expected a client's address, with its port or without: 192.0.2.7, "
                  "192.0.2.7:40000, 2001:db8::7 or [2001:db8::7]:40000");
  }
  filter.client = endpoint->address;
  filter.client_port = endpoint->port;
  return {};
}

base::Result<config::FiveTuple> parse_tuple(const std::string& protocol, const std::string& source,
                                            const std::string& destination) {
  const auto named = config::named<config::Protocol>(protocol);
  if (!named) return refuse(protocol, "expected tcp or udp");
  config::FiveTuple tuple{.protocol = *named, .source = {}, .destination = {}};
  for (const auto& [word, endpoint] :
       {std::pair{&source, &tuple.source}, std::pair{&destination, &tuple.destination}}) {
    const auto parsed = base::Endpoint::parse(*word);
    if (!parsed)
      return refuse(*word, "expected an address with its port: 192.0.2.7:40000 or [2001:db8::7]:40000");
    *endpoint = *parsed;
  }
  if (tuple.source.address.family() != tuple.destination.address.family()) {
    return base::Error{base::ErrorCode::invalid,
                       fmt::format("{} and {}: a packet has two addresses of one family",
                                   config::in_quotes(source), config::in_quotes(destination))};
  }
  return tuple;
}

base::Result<config::FlowFilter> parse_flow_filter(const FlowWords& words) {
  config::FlowFilter filter;
  if (!words.service.empty()) filter.service = words.service;
  if (!words.server.empty()) filter.server = words.server;
  if (!words.state.empty()) filter.state = words.state;
  if (!words.client.empty()) {
    const auto client = parse_client(words.client, filter);
    if (!client) return base::Error{client.error().code, "--client " + client.error().message};
  }
  // "--server web/s1" says both, as other commands write it.
  if (const std::size_t slash = words.server.find('/'); slash != std::string::npos) {
    const auto target = parse_target(words.server);
    if (!target) return base::Error{target.error().code, "--server " + target.error().message};
    if (filter.service && *filter.service != target->service) {
      return base::Error{base::ErrorCode::invalid,
                         fmt::format("--service {} and --server {} name different services",
                                     config::in_quotes(words.service), config::in_quotes(words.server))};
    }
    filter.service = target->service;
    if (target->server == "*") {
      filter.server.reset();
    } else {
      filter.server = target->server;
    }
  }
  return filter;
}

}  // namespace sluice::cli
