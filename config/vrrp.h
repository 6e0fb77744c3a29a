#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"

/// What the user wants of VRRP: the `vrrp` array of the configuration, as values. Defaults are filled in;
/// every value is checked. The names are keepalived's, where it has them. Thread: plain data.
namespace sluice::config {

enum class VrrpVersion : std::uint8_t { v2 = 2, v3 = 3 };

/// What an instance wants to be as it starts. As with keepalived it begins as BACKUP all the same; MASTER
/// with priority 255 (the owner of the addresses) begins as MASTER.
enum class VrrpStart : std::uint8_t { backup, master };

/// An address that moves with an instance: "192.0.2.10/24", or "192.0.2.10/24 dev eth1".
struct VrrpAddress {
  base::Prefix prefix;    ///< an address and the length of its network; default: the address alone
  std::string interface;  ///< never empty; default: the instance's, which with use_vmac is the macvlan
  /// A service's local address that no instance names: it moves with the VIP, and stands where its network
  /// is.
  bool implied = false;
  /// "192.0.2.10/24 dev eth1".
  [[nodiscard]] std::string to_string() const { return prefix.to_string() + " dev " + interface; }
  friend bool operator==(const VrrpAddress&, const VrrpAddress&) = default;
};

/// Gratuitous ARP, or unsolicited neighbour advertisements, that tell the segment where an address is now.
struct VrrpAnnounce {
  std::uint16_t repeat = 5;                        ///< frames per address and burst
  std::chrono::milliseconds delay{5'000};          ///< from the first burst to the second; 0: no second
  std::chrono::milliseconds refresh{0};            ///< pause between bursts of a settled master; 0: none
  std::uint16_t refresh_repeat = 1;                ///< frames per address and burst of those
  std::optional<std::uint16_t> lower_prio_repeat;  ///< after a lower-priority advert; default: repeat
  std::optional<std::chrono::milliseconds>
      lower_prio_delay;                   ///< to the second of those bursts; default: delay
  std::chrono::milliseconds interval{0};  ///< least pause between two frames of one interface
  friend bool operator==(const VrrpAnnounce&, const VrrpAnnounce&) = default;
};

/// An interface that must be up. weight 0: FAULT while it is down; > 0: added to the priority while it is up;
/// < 0: added while it is down. So for all that is tracked.
struct VrrpTrackInterface {
  std::string interface;
  std::int16_t weight = 0;  ///< -253..253
  friend bool operator==(const VrrpTrackInterface&, const VrrpTrackInterface&) = default;
};

/// A command whose exit code 0 means that all is well.
struct VrrpTrackScript {
  std::string name;
  std::vector<std::string> command;  ///< absolute path, then its arguments
  std::chrono::milliseconds interval{1'000};
  std::optional<std::chrono::milliseconds> timeout;  ///< default: interval
  std::uint16_t rise = 1;
  std::uint16_t fall = 1;
  std::int16_t weight = 0;
  bool init_fail = false;  ///< taken for failed until it has run
  friend bool operator==(const VrrpTrackScript&, const VrrpTrackScript&) = default;
};

/// A service that must have so many usable servers.
struct VrrpTrackService {
  std::string service;
  std::uint16_t min_usable = 1;
  std::int16_t weight = 0;
  friend bool operator==(const VrrpTrackService&, const VrrpTrackService&) = default;
};

/// sluice's own data plane: its workers advance and its ports have link.
struct VrrpTrackDataplane {
  bool enabled = true;
  std::int16_t weight = 0;
  /// Without an answer for so long (at least 500 ms) it is taken for dead. One that ends is noticed at once.
  std::chrono::milliseconds timeout{3'000};
  friend bool operator==(const VrrpTrackDataplane&, const VrrpTrackDataplane&) = default;
};

/// Commands that are told of changes: absolute path, then arguments; empty: none.
struct VrrpNotify {
  std::vector<std::string> master, backup, fault, stop;
  std::vector<std::string> master_rx_lower_pri;  ///< a master has heard a lower priority
  std::vector<std::string> any;  ///< `notify`: gets INSTANCE, name, state and priority as further arguments
  friend bool operator==(const VrrpNotify&, const VrrpNotify&) = default;
};

struct VrrpInstance {
  std::string name;
  std::string interface;
  VrrpStart start = VrrpStart::backup;
  VrrpVersion version = VrrpVersion::v2;
  base::Family family = base::Family::v4;       ///< of the adverts: that of `addresses`; v6: version 3
  std::uint8_t virtual_router_id = 0;           ///< 1..255
  std::uint8_t priority = 100;                  ///< 1..255; 255: the owner, default with VrrpStart::master
  std::chrono::milliseconds advert_int{1'000};  ///< v2: whole seconds; v3: 10 ms .. 40,950 ms in steps of 10
  std::uint8_t down_timer_adverts = 3;          ///< missed adverts until the master is taken for dead, 1..100
  std::string auth_pass;                        ///< v2: at most 8 bytes; empty: no authentication
  std::vector<VrrpAddress> addresses;           ///< advertised; one family
  /// Move with them, but are not advertised; any family. The local addresses of services on `addresses` are
  /// here, too.
  std::vector<VrrpAddress> addresses_excluded;
  bool preempt = true;  ///< false: `nopreempt`
  std::chrono::milliseconds preempt_delay{
      0};  ///< up to 1,000 s: a lower-priority master is left alone for so long
  std::chrono::milliseconds startup_delay{
      0};  ///< nothing is done for so long after the process, or the link, came up
  /// mcast_src_ip or unicast_src_ip, of `family`; default: the interface's first.
  std::optional<base::IpAddress> source;
  std::vector<base::IpAddress> unicast_peer;  ///< none: multicast
  bool check_unicast_src = false;             ///< refuse adverts of others than unicast_peer
  bool v3_checksum_as_v2 = false;  ///< v3 over IPv4 is sent without pseudo-header (RFC 9568, Cisco, Juniper)
  bool lower_prio_no_advert = false;     ///< do not answer a lower-priority advert at once
  bool higher_prio_send_advert = false;  ///< one more advert before giving way to a higher priority
  bool use_vmac = false;        ///< the addresses live on a macvlan with the virtual router's MAC address
  std::string vmac_interface;   ///< its name; never empty with use_vmac: default "vrrp.61", "vrrp6.61"
  bool vmac_xmit_base = false;  ///< adverts have the interface's own MAC address; always with unicast
  std::string sync_group;       ///< instances with the same word change state together; empty: none
  VrrpAnnounce announce;
  VrrpTrackDataplane track_dataplane;
  std::vector<VrrpTrackInterface> track_interface;
  std::vector<VrrpTrackScript> track_script;
  std::vector<VrrpTrackService> track_service;
  VrrpNotify notify;
  friend bool operator==(const VrrpInstance&, const VrrpInstance&) = default;
};

}  // namespace sluice::config
