#include "dp/client_rules.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace sluice::dp {
namespace {

using base::Family;

template <Family F>
PrefixTable<F, ClientAccess> access_table(const config::Clients& clients) {
  std::vector<typename PrefixTable<F, ClientAccess>::Entry> entries;
  const auto add = [&](const std::vector<base::Prefix>& prefixes, ClientAccess access) {
    for (const base::Prefix& prefix : prefixes) {
      if (prefix.address.family() == F) entries.push_back({prefix.address.as<F>(), prefix.length, access});
    }
  };
  add(clients.deny, ClientAccess::denied);
  add(clients.allow, ClientAccess::allowed);
  return PrefixTable<F, ClientAccess>(entries);
}

base::Error fixed(const std::string& what, const std::string& key, std::size_t value) {
  return {base::ErrorCode::invalid, what +
                                        " until sluice-dp starts anew, since connections are counted by "
                                        "it: restart sluice, or leave " +
                                        key + " at " + std::to_string(value)};
}

}  // namespace

base::Result<std::shared_ptr<const ClientRules>> make_client_rules(const config::Clients& clients,
                                                                   Family family, const ClientRules* before,
                                                                   std::uint16_t table_id) {
  using Made = base::Result<std::shared_ptr<const ClientRules>>;
  auto rules = std::make_shared<ClientRules>();
  rules->v4 = access_table<Family::v4>(clients);
  rules->v6 = access_table<Family::v6>(clients);
  rules->unlisted = clients.allow.empty() ? ClientAccess::allowed : ClientAccess::denied;
  rules->answers = clients.refuse == config::ClientRefusal::reset;
  rules->counts = clients.counts();
  rules->limits = {clients.rate, clients.burst, clients.maxconn};
  if (before != nullptr) rules->table = before->table;
  if (!rules->counts) return Made(std::move(rules));
  const auto prefix = std::min<std::uint8_t>(clients.prefix, family == Family::v4 ? 32 : 128);
  if (rules->table == nullptr) {
    auto table = ClientTable::create(clients.table, prefix, table_id);
    if (!table) return std::move(table).error();
    rules->table = std::move(*table);
  }
  const ClientTable& table = *rules->table;
  if (table.capacity() != ClientTable::capacity_for(clients.table)) {
    const std::string room = std::to_string(table.capacity());
    return fixed("its table has room for " + room + " clients", "clients.table", table.capacity());
  }
  if (table.prefix() != prefix) {
    const std::string key = family == Family::v4 ? "clients.ipv4_prefix" : "clients.ipv6_prefix";
    return fixed("its clients are told apart by " + std::to_string(table.prefix()) + " bits", key,
                 table.prefix());
  }
  return Made(std::move(rules));
}

}  // namespace sluice::dp
