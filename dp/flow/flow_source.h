#pragma once

#include <optional>

#include "dp/flow/flow.h"
#include "dp/port_pool.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

/// What a flow is known by towards its server: Flow::local and local_port.
///
/// Theory of operation. Full NAT takes a local address and a port from a pool (dp/port_pool.h), by which the
/// reply comes back to this host and to this worker. Mode "dnat" leaves the client's own address and port
/// where they are, so that the server sees who it serves; the reply comes back because the server's route to
/// the client leads here, and is known by the server's address and port (ServiceTables::dnat_servers). That
/// cannot be where the reply would not come this way, or would not be told from another's:
///
///  - the client is on the network that the chosen server shares with us: the server would answer it
///  directly,
///    with an address that the client has never asked;
///  - the client is one of the service's servers: a host drops what comes from its own address, and servers
///    reach one another without us;
///  - another flow of this client's port has the same server already, through another service.
///
/// Such a connection is given full NAT, as if the service had no other mode.
namespace sluice::dp {

/// Why a flow has full NAT though its service's mode is dnat.
enum class FullNat : std::uint8_t { none, shared_link, client_is_server, port_in_use };

/// Pre: service, server and the client's side of `flow` are set.
template <base::Family F>
[[nodiscard]] FullNat needs_full_nat(const Flow<F>& flow, const Snapshot& snapshot,
                                     const WorkerState& worker) noexcept;

/// Gives `flow` its source; `pool` (FlowDetail::pool) is kNoIndex when that is the client's own. Connections
/// that are over give their ports up early where there are no others. Nothing when all are in use. Pre: as of
/// needs_full_nat(). `hash`: of the client's key. Thread: worker.
template <base::Family F>
[[nodiscard]] std::optional<PortPool::Lease> take_source(Flow<F>& flow, std::uint16_t& pool,
                                                         std::uint64_t hash, const Snapshot& snapshot,
                                                         WorkerState& worker, base::Tick now) noexcept;
/// Gives back what take_source() took, of a connection that reached its end. Thread: worker.
template <base::Family F>
void give_source_back(const Flow<F>& flow, const FlowDetail& detail, const Snapshot& snapshot,
                      const WorkerState& worker, base::Tick now) noexcept;
/// The same, of one that never reached its server.
template <base::Family F>
void give_source_back(const Flow<F>& flow, std::uint16_t pool, const Snapshot& snapshot,
                      const WorkerState& worker) noexcept;

/// The source that a flow of `key`, with this hash, would get towards `server` now; takes nothing.
struct Source {
  base::Endpoint local;
  bool reused = false;               ///< the server may still hold the pair in TIME_WAIT
  FullNat full_nat = FullNat::none;  ///< in mode dnat only
};
template <base::Family F>
[[nodiscard]] std::optional<Source> foresee_source(const FlowKey<F>& key, std::uint16_t server,
                                                   std::uint64_t hash, const Snapshot& snapshot,
                                                   const WorkerState& worker, base::Tick now) noexcept;

}  // namespace sluice::dp
