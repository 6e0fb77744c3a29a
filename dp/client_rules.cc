#include "dp/client_rules.h"

#include <vector>

namespace sluice::dp {

ClientRules make_client_rules(const config::Clients& clients) {
  std::vector<RouteTable<base::Family::v4, ClientAccess>::Entry> v4;
  std::vector<RouteTable<base::Family::v6, ClientAccess>::Entry> v6;
  const auto add = [&](const std::vector<base::Prefix>& prefixes, ClientAccess access) {
    for (const base::Prefix& prefix : prefixes) {
      if (prefix.address.is_v4()) {
        v4.push_back({prefix.address.v4(), prefix.length, access});
      } else {
        v6.push_back({prefix.address.v6(), prefix.length, access});
      }
    }
  };
  add(clients.deny, ClientAccess::denied);
  add(clients.allow, ClientAccess::allowed);
  ClientRules rules;
  rules.v4 = RouteTable<base::Family::v4, ClientAccess>(v4);
  rules.v6 = RouteTable<base::Family::v6, ClientAccess>(v6);
  rules.unlisted = clients.allow.empty() ? ClientAccess::allowed : ClientAccess::denied;
  rules.answers = clients.refuse == config::ClientRefusal::reset;
  rules.counts = clients.counts();
  rules.limits = {.rate = clients.rate, .burst = clients.burst, .maxconn = clients.maxconn};
  return rules;
}

}  // namespace sluice::dp
