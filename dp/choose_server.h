#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

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

/// Why a server was not chosen.
enum class PassedOver : std::uint8_t {
  not_asked,       ///< the choice was made before its turn came
  full,            ///< maxconn is reached
  waited_for,      ///< others wait for this very server
  no_less_loaded,  ///< leastconn, random: the one chosen has fewer connections for its weight, or as few
};

/// How a choice came about.
struct ChoiceTrace {
  enum class Limit : std::uint8_t {
    none,
    queue,     ///< others wait already
    instance,  ///< maxconn of all services
    service,   ///< maxconn of the service
  };
  Limit limit = Limit::none;  ///< stood in the way before any server was looked at
  std::size_t start = 0;      ///< place in Choices::order where the look began
  std::array<std::uint16_t, 2> drawn{kNoIndex, kNoIndex};  ///< random: the two that were compared
  std::span<PassedOver> passed;                            ///< by server slot; given by who asks
};

/// The choice that choose_server() would make now for a packet that has not waited, by the same rules; takes
/// no place, and moves neither cursor nor random numbers. Pre: trace.passed has room for all slots of the
/// tables. Thread: worker.
template <base::Family F>
[[nodiscard]] Choice foresee_server(const ServiceTables& tables, std::uint16_t service, const FlowKey<F>& key,
                                    const Wish& wish, const WorkerState& worker, ChoiceTrace& trace) noexcept;

}  // namespace sluice::dp
