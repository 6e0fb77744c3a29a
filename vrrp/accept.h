#pragma once

#include <optional>
#include <vector>

#include "base/address.h"
#include "vrrp/advert.h"

/// What the configuration of an instance decides about adverts that decode() has passed (RFC 9568 §7.1, RFC
/// 3768 §7.1). Pure. Thread: any.
namespace sluice::vrrp {

struct AcceptRules {
  std::uint8_t version = 2;
  Centis advert_int{100};                  ///< our own
  std::vector<base::IpAddress> addresses;  ///< advertised; sorted
  std::vector<base::IpAddress> peers;      ///< unicast_peer; sorted; empty: multicast
  bool check_unicast_src = false;          ///< take adverts of `peers` only
  friend bool operator==(const AcceptRules&, const AcceptRules&) = default;
};

/// Sorts what has to be sorted.
[[nodiscard]] AcceptRules accept_rules(std::uint8_t version, Centis advert_int,
                                       std::vector<base::IpAddress> addresses,
                                       std::vector<base::IpAddress> peers, bool check_unicast_src);

/// Nothing: it is to be obeyed. `own`: the address that our adverts come from. Allocates nothing.
///
/// Another list of addresses than ours is no reason to refuse an advert as long as they have one in common:
/// both routers would become master and fight for it. (keepalived before 2.3.3 refuses it, RFC 9568 §7.1 only
/// wants it logged: see lists_differ().) With none in common it belongs to another virtual router that has
/// been given our number, and obeying it would leave our addresses to nobody.
[[nodiscard]] std::optional<Refusal> accept(const ReceivedPacket& packet, const Advert& advert,
                                            const AcceptRules& rules, const base::IpAddress& own) noexcept;

/// The advert's addresses are not exactly ours: a fault of the configuration, here or there.
[[nodiscard]] bool lists_differ(const Advert& advert, const AcceptRules& rules) noexcept;

}  // namespace sluice::vrrp
