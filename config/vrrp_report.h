#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// What sluice-vrrp tells of itself, as values: sent as JSON over vrrp.sock, shown by the CLI, exported as
/// metrics.
namespace sluice::config {

enum class VrrpState : std::uint8_t { init, fault, backup, master };

/// Adverts that were refused, by reason.
struct VrrpRefusal {
  std::string reason;       ///< stable name, e.g. "ttl"
  std::string description;  ///< one sentence
  std::uint64_t packets = 0;
};

/// Something that stands in the way of an instance, or lowers its priority.
struct VrrpTrouble {
  std::string tracker;  ///< stable name: "interface", "link", "address", "dataplane", "script", "service",
                        ///< "socket", "operator", "group"
  std::string reason;   ///< one sentence: "interface lan is down"
  std::int16_t weight = 0;  ///< 0: FAULT
};

struct VrrpTroubleCount {
  std::string tracker;  ///< as in VrrpTrouble
  std::uint64_t times = 0;
};

struct VrrpPeer {
  std::string address;
  std::uint8_t priority = 0;
  std::uint32_t advert_ms = 0;  ///< interval that it announces
  std::uint64_t adverts = 0;
  std::uint64_t last_ms_ago = 0;
  std::string checksum;          ///< v3 over IPv4: "pseudo-header" or "plain"; else empty
  bool other_addresses = false;  ///< those that it advertises are not exactly the instance's
};

struct VrrpInstanceReport {
  std::string name, interface;
  std::uint8_t version = 2, virtual_router_id = 0;
  VrrpState state = VrrpState::init;
  std::string reason;          ///< why it is in that state: "no advert for 3.648 s", "interface lan is down"
  std::uint64_t state_ms = 0;  ///< for how long
  std::uint8_t priority = 0;   ///< as configured
  std::uint8_t effective_priority = 0;  ///< as advertised
  bool yielded = false;                 ///< an operator gave the addresses away
  std::string source;                   ///< address that adverts come from; empty: none
  std::string master;  ///< address of the master that is heard; empty: none, or it is this one
  std::uint32_t advert_ms = 0;
  std::uint32_t master_down_ms = 0;
  std::vector<std::string> addresses;          ///< "192.0.2.10/24 dev lan"
  std::vector<std::string> addresses_missing;  ///< of a master: those that the kernel does not have (yet)
  std::vector<VrrpTrouble> troubles;
  std::vector<VrrpTroubleCount> trouble_counts;  ///< since the instance began, of those that there have been
  std::vector<VrrpPeer> peers;
  std::uint64_t adverts_sent = 0, adverts_received = 0, send_errors = 0;
  std::uint64_t became_master = 0, became_backup = 0, became_fault = 0;
  std::uint64_t priority_zero_sent = 0, priority_zero_received = 0;
  std::uint64_t addresses_repaired = 0;  ///< taken away by someone else and put back
  std::uint64_t announcements = 0;       ///< gratuitous ARP and neighbour advertisements sent
  std::uint64_t announce_errors = 0;     ///< those that could not be sent
  std::uint64_t timer_late_us = 0;       ///< how late the last timer was served
  std::uint64_t timer_late_max_us = 0;   ///< the latest since the start
  std::vector<VrrpRefusal> refusals;
};

struct VrrpReport {
  std::string version;
  std::uint64_t pid = 0, uptime_ms = 0;
  bool realtime = false;  ///< the timers run with SCHED_FIFO
  bool memory_locked = false;
  std::vector<VrrpInstanceReport> instances;
  std::uint64_t unknown_vrid = 0;  ///< adverts for a virtual router that is not configured here
};

}  // namespace sluice::config
