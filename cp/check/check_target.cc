#include "cp/check/check_target.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sluice::cp {
namespace {

bool speaks_tls(const config::Check& check) {
  return check.type == config::CheckType::https || check.type == config::CheckType::tls ||
         std::ranges::any_of(check.steps, &config::CheckStep::tls);
}

/// "kube.example:6443" is known by the certificate as "kube.example"; "[2001:db8::1]:6443" as 2001:db8::1.
std::string without_port(const std::string& host) {
  if (!host.empty() && host.front() == '[') {
    const std::size_t end = host.find(']');
    return end == std::string::npos ? host : host.substr(1, end - 1);
  }
  const std::size_t colon = host.find(':');
  // More than one: an IPv6 address without brackets.
  if (colon == std::string::npos || host.find(':', colon + 1) != std::string::npos) return host;
  return host.substr(0, colon);
}

base::Result<void> compile_expectations(CheckTarget& target) {
  for (const config::CheckStep& step : target.check.steps) {
    auto matcher = Matcher::compile(step.expect);
    if (!matcher) return std::move(matcher).error();
    target.step_expect.push_back(*std::move(matcher));
  }
  const bool http =
      target.check.type == config::CheckType::http || target.check.type == config::CheckType::https;
  const std::optional<config::Expect>& expect = http ? target.check.http.body : target.check.expect;
  if (!expect) return {};
  auto matcher = Matcher::compile(*expect);
  if (!matcher) return std::move(matcher).error();
  target.expect = *std::move(matcher);
  return {};
}

/// Makes the check of server number `server_index` of service number `service_index` ready.
base::Result<std::shared_ptr<const CheckTarget>> prepare_check(const config::Config& config,
                                                               std::size_t service_index,
                                                               std::size_t server_index, TlsContexts& tls) {
  const config::Service& service = config.services[service_index];
  const config::Server& server = service.servers[server_index];
  auto target = std::make_shared<CheckTarget>();
  target->check = server.check;
  target->endpoint.address = server.check.address.value_or(server.endpoint.address);
  target->endpoint.port = server.check.port != 0 ? server.check.port : server.endpoint.port;
  target->timeout = server.check.timeout.value_or(server.check.interval);
  target->connect_timeout = std::min(service.timeouts.connect, server.check.interval);
  target->service = service.name;
  target->server = server.name;
  target->service_position = service_index + 1;
  target->server_position = server_index + 1;
  target->vip = service.vip;
  target->server_endpoint = server.endpoint;
  target->protocol = service.protocol;
  target->maxconn = server.maxconn;

  const auto unusable = [&](const base::Error& error) {
    return base::Error{error.code,
                       fmt::format("check of server {}/{}: {}", service.name, server.name, error.message)};
  };
  if (const auto done = compile_expectations(*target); !done) return unusable(done.error());
  if (speaks_tls(server.check)) {
    auto context = tls.get(server.check.tls);
    if (!context) return unusable(context.error());
    target->tls = *std::move(context);
    target->tls_name =
        server.check.tls.sni.empty() ? without_port(server.check.http.host) : server.check.tls.sni;
  }
  return std::shared_ptr<const CheckTarget>(std::move(target));
}

}  // namespace

base::Result<PreparedChecks> prepare_checks(const config::Config& config) {
  TlsContexts tls;
  PreparedChecks all;
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const std::vector<config::Server>& servers = config.services[i].servers;
    auto& checks = all.emplace_back(servers.size());
    for (std::size_t j = 0; j < servers.size(); ++j) {
      if (servers[j].check.type == config::CheckType::none) continue;
      auto check = prepare_check(config, i, j, tls);
      if (!check) return std::move(check).error();
      checks[j] = *std::move(check);
    }
  }
  return all;
}

}  // namespace sluice::cp
