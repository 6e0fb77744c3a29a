#pragma once

#include <memory>

#include "config/model.h"
#include "dp/client_table.h"
#include "dp/prefix_table.h"

namespace sluice::dp {

/// What a prefix says of the clients under it.
enum class ClientAccess : std::uint8_t { allowed, denied };

/// Who may begin connections to a service, and how many (config::Clients), as workers read it. Shared between
/// snapshots while it does not change.
struct ClientRules {
  PrefixTable<base::Family::v4, ClientAccess> v4;
  PrefixTable<base::Family::v6, ClientAccess> v6;
  ClientAccess unlisted = ClientAccess::allowed;  ///< of clients under no prefix
  bool answers = true;                            ///< who is refused; else silence
  bool counts = false;                            ///< there are limits
  ClientLimits limits;
  /// Of connections that were counted, though there may be no limits any more; null: there never were any.
  std::shared_ptr<ClientTable> table;

  /// All may come, as often as they like.
  [[nodiscard]] bool empty() const noexcept { return v4.empty() && v6.empty() && !counts; }

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

/// The rules of a configuration. `before`: those that the service had, of which it keeps the table, since
/// flows have places there; null: none. `table_id`: for a table, if one is made. Errors: another size, or
/// another length of prefix, than that table has; no memory.
[[nodiscard]] base::Result<std::shared_ptr<const ClientRules>> make_client_rules(
    const config::Clients& clients, base::Family family, const ClientRules* before, std::uint16_t table_id);

}  // namespace sluice::dp
