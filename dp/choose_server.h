#pragma once

#include "dp/flow/flow.h"
#include "dp/snapshot.h"
#include "dp/worker_state.h"

namespace sluice::dp {

/// What is to be minded in choosing a server.
struct Wish {
  std::uint16_t only = kNoIndex;   ///< this server and no other
  std::uint16_t avoid = kNoIndex;  ///< this one only if no other has room
  bool may_wait = true;            ///< where affinity chooses: for the server chosen, though others have room
  bool has_waited = false;         ///< need not stand behind those that wait
};

/// What came of it.
struct Choice {
  enum class Kind : std::uint8_t {
    chosen,  ///< `server`, where a place has been taken: Load::give_back() when nothing comes of it
    none,    ///< the service has no usable server
    full,    ///< no place is free; `server`: the one to wait for, kNoIndex: any
  };
  Kind kind = Kind::none;
  std::uint16_t server = kNoIndex;
};

/// The server that a new connection of a service goes to, by the service's scheduler, and a place there
/// within the limits of server, service and instance. `key` is the client's. Thread: worker; moves the
/// worker's own cursor. Servers that are full or avoided are passed over, and the others keep their order, as
/// in HAProxy. source and hash: every host and every worker choose the same (Maglev, Eisenbud et al. 2016
/// §3.4). leastconn and random count the connections of all workers.
template <base::Family F>
[[nodiscard]] Choice choose_server(const ServiceTables& tables, std::uint16_t service, const FlowKey<F>& key,
                                   const Wish& wish, WorkerState& worker) noexcept;

}  // namespace sluice::dp
