#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "dp/client_table.h"
#include "dp/flow/flow.h"
#include "dp/packet.h"
#include "dp/snapshot.h"
#include "dp/syn_store.h"
#include "dp/worker_state.h"

/// Theory of operation. A new connection is judged by its client before it looks for a server: by the
/// service's prefixes, by how many connections the client has, by how fast it begins them. Judged is a first
/// SYN, a UDP flow's first datagram, or the ACK that brings a SYN cookie back, since only that shows that the
/// client is where it says; the SYN that a cookie answers is judged by prefixes alone. Who is let in holds a
/// place among its client's connections, and that has one holder at each time, which gives it back or passes
/// it on: a ClientPlace while the packet is at hand, the stored SYN while it waits for a server or for
/// another attempt (StoredSyn::client_table), then the flow (FlowDetail::client_counted) until it leaves the
/// half-open and open classes. Packets of known flows and repeated SYNs do not come here.
namespace sluice::dp {

/// A place among a client's connections, or none. Given back at the end of its life unless it was passed on;
/// so is the token that it has cost, if it was taken in this life: its connection has come to nothing.
class ClientPlace {
 public:
  ClientPlace() noexcept = default;
  /// One that a stored SYN had.
  ClientPlace(ClientTable& table, const ClientId& client) noexcept : table_(&table), client_(client) {}
  /// One that enter() has given.
  ClientPlace(const ClientRules& rules, const ClientId& client, base::Tick now) noexcept
      : table_(rules.table.get()), client_(client), paid_(&rules.limits), now_(now) {}
  ClientPlace(ClientPlace&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)),
        client_(other.client_),
        paid_(other.paid_),
        now_(other.now_) {}
  ClientPlace& operator=(ClientPlace&&) = delete;
  ~ClientPlace() {
    if (table_ == nullptr) return;
    if (paid_ != nullptr) {
      table_->withdraw(client_, *paid_, now_);
    } else {
      table_->leave(client_);
    }
  }

  void pass_to(FlowDetail& flow) noexcept { flow.client_counted = release() != nullptr; }
  void pass_to(StoredSyn& syn) noexcept {
    const ClientTable* table = release();
    syn.client_table = table != nullptr ? table->id() : std::uint16_t{0};
  }

 private:
  ClientTable* release() noexcept { return std::exchange(table_, nullptr); }

  ClientTable* table_ = nullptr;
  ClientId client_;
  const ClientLimits* paid_ = nullptr;  ///< by which a token was taken
  base::Tick now_;
};

/// Whether the prefixes of a service keep a client out.
template <base::Family F>
[[nodiscard]] bool is_denied(const base::Address<F>& client, const Service& service) noexcept {
  return service.clients != nullptr && service.clients->access_of<F>(client) == ClientAccess::denied;
}

/// Has a client that its service's limits keep out meet what the service wants of it. Counted under `reason`,
/// and as the service's.
void refuse_client(Packet& packet, DropReason reason, const Service& service, WorkerState& worker,
                   base::Tick now) noexcept;

/// Judges the connection that a packet would begin, unless it is of a stored SYN that has been judged before,
/// of which it takes the place over. Nothing: the client is refused, and the verdict set.
template <base::Family F>
[[nodiscard]] std::optional<ClientPlace> admit_client(Packet& packet, const base::Address<F>& client,
                                                      const ServiceTables& tables, WorkerState& worker,
                                                      base::Tick now) noexcept;

/// Gives back the place of a flow that leaves the half-open and open classes, if it has one.
template <base::Family F>
void leave_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables,
                  WorkerState& worker) noexcept;
/// Gives back the place of a stored SYN, if it has one.
void leave_client(StoredSyn& syn, const ServiceTables& tables, WorkerState& worker) noexcept;

/// Passes a flow's place on to the SYN that outlives it. Pre: the SYN is the flow's.
template <base::Family F>
void pass_client_on(const Flow<F>& flow, FlowDetail& detail, StoredSyn& syn,
                    const ServiceTables& tables) noexcept;

/// Judges the connection that a first SYN would begin in a flow that is closing, should the server take it:
/// by prefixes, and by a token. False: it is refused, and the verdict set.
template <base::Family F>
[[nodiscard]] bool admit_successor(Packet& packet, const Flow<F>& flow, const ServiceTables& tables,
                                   WorkerState& worker, base::Tick now) noexcept;

/// A flow that was over goes on: its connection counts again, whatever the limits. False: it is one too many.
template <base::Family F>
[[nodiscard]] bool recount_client(const Flow<F>& flow, FlowDetail& detail, const ServiceTables& tables,
                                  WorkerState& worker, base::Tick now) noexcept;

/// What admit_client() would make of a client's new connection now; takes nothing.
template <base::Family F>
[[nodiscard]] ClientTable::Sight foresee_client(const base::Address<F>& client, const ClientRules& rules,
                                                const WorkerState& worker, base::Tick now) noexcept;

/// The reason of a refusal by limits; none: it is let in.
[[nodiscard]] constexpr DropReason refusal_of(ClientEntry entry) noexcept {
  switch (entry) {
    case ClientEntry::counted:
    case ClientEntry::untracked: break;
    case ClientEntry::over_rate: return DropReason::client_rate;
    case ClientEntry::over_maxconn: return DropReason::client_maxconn;
  }
  return DropReason::none;
}

}  // namespace sluice::dp
