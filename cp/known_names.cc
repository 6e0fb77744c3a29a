#include "cp/known_names.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "config/suggest.h"

namespace sluice::cp {
namespace {

/// Names that an error lists; of more, their number is said.
constexpr std::size_t kListed = 20;

/// "a, b, c", "there is none".
std::string list_of(const std::vector<std::string_view>& known) {
  if (known.empty()) return "there is none";
  std::string list;
  for (std::size_t i = 0; i < std::min(known.size(), kListed); ++i) {
    if (i != 0) list += ", ";
    list += known[i];
  }
  return list;
}

/// For a list that is cut: how much is missing, and what was meant, most likely.
std::string rest_of(const std::string& name, const std::vector<std::string_view>& known) {
  if (known.size() <= kListed) return {};
  return fmt::format(" and {} more{}", known.size() - kListed, config::did_you_mean(name, known));
}

template <typename T>
std::vector<std::string_view> names_of(const std::vector<T>& objects) {
  std::vector<std::string_view> names;
  names.reserve(objects.size());
  for (const T& object : objects) names.emplace_back(object.name);
  return names;
}

}  // namespace

base::Result<const config::Service*> find_service(const config::Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.services, name, &config::Service::name);
  if (found != config.services.end()) return &*found;
  const auto known = names_of(config.services);
  const std::string rest = known.size() > kListed ? rest_of(name, known) : config::did_you_mean(name, known);
  return base::Error{base::ErrorCode::not_found,
                     fmt::format("no service {}: {}{}", config::in_quotes(name), list_of(known), rest)};
}

base::Result<std::vector<const config::Server*>> find_servers(const config::Service& service,
                                                              const std::string& name) {
  std::vector<const config::Server*> found;
  for (const config::Server& server : service.servers) {
    if (name == "*" || server.name == name) found.push_back(&server);
  }
  if (!found.empty()) return found;
  const auto known = names_of(service.servers);
  return base::Error{base::ErrorCode::not_found,
                     fmt::format("no server {} in {}: {}{}", config::in_quotes(name),
                                 config::in_quotes(service.name), list_of(known), rest_of(name, known))};
}

base::Result<void> find_server_anywhere(const config::Config& config, const std::string& name) {
  std::vector<std::string_view> known;
  std::unordered_set<std::string_view> seen;
  for (const config::Service& service : config.services) {
    for (const config::Server& server : service.servers) {
      if (server.name == name) return {};
      if (seen.insert(server.name).second) known.emplace_back(server.name);
    }
  }
  return base::Error{base::ErrorCode::not_found, fmt::format("no server {}: {}{}", config::in_quotes(name),
                                                             list_of(known), rest_of(name, known))};
}

}  // namespace sluice::cp
