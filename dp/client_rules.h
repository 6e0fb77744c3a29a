#pragma once

#include <memory>

#include "config/model.h"
#include "dp/client_table.h"
#include "dp/kernel/route_table.h"

namespace sluice::dp {

/// What a prefix says of the clients under it.
enum class ClientAccess : std::uint8_t { allowed, denied };

/// Who may begin connections to a service, and how many (config::Clients), as workers read it. Shared between
/// snapshots while it does not change.
struct ClientRules {
  RouteTable<base::Family::v4, ClientAccess> v4;
  RouteTable<base::Family::v6, ClientAccess> v6;
  ClientAccess unlisted = ClientAccess::allowed;  ///< of clients under no prefix
  bool answers = true;                            ///< who is refused; else silence
  bool counts = false;                            ///< there are limits
  ClientLimits limits;
  /// Of connections that were counted, though there may be no limits any more; null: there never were any.
  std::shared_ptr<ClientTable> table;

  /// Longest prefix first. Neither allocates nor locks.
  template <base::Family F>
  [[nodiscard]] ClientAccess access_of(const base::Address<F>& client) const noexcept {
    const ClientAccess* found = nullptr;
    if constexpr (F == base::Family::v4) {
      found = v4.lookup(client);
    } else {
      found = v6.lookup(client);
    }
    return found != nullptr ? *found : unlisted;
  }
};

/// The rules of a configuration, without a table.
[[nodiscard]] ClientRules make_client_rules(const config::Clients& clients);

}  // namespace sluice::dp
