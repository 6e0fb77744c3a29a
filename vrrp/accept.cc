#include "vrrp/accept.h"

#include <algorithm>
#include <utility>

namespace sluice::vrrp {
namespace {

/// How many of the advert's addresses are ours.
std::size_t common_addresses(const Advert& advert, const AcceptRules& rules) noexcept {
  std::size_t common = 0;
  for (std::size_t i = 0; i < advert.count(); ++i) {
    common += std::ranges::binary_search(rules.addresses, advert.address(i)) ? 1 : 0;
  }
  return common;
}

}  // namespace

AcceptRules accept_rules(std::uint8_t version, Centis advert_int, std::vector<base::IpAddress> addresses,
                         std::vector<base::IpAddress> peers, bool check_unicast_src) {
  std::ranges::sort(addresses);
  std::ranges::sort(peers);
  return {.version = version,
          .advert_int = advert_int,
          .addresses = std::move(addresses),
          .peers = std::move(peers),
          .check_unicast_src = check_unicast_src};
}

std::optional<Refusal> accept(const ReceivedPacket& packet, const Advert& advert, const AcceptRules& rules,
                              const base::IpAddress& own) noexcept {
  if (packet.source == own) return Refusal::own;
  const bool unicast = !rules.peers.empty();
  if (packet.destination.is_multicast() == unicast) return Refusal::destination;
  if (unicast && rules.check_unicast_src && !std::ranges::binary_search(rules.peers, packet.source)) {
    return Refusal::source;
  }
  if (rules.version == 2) {
    if (advert.max_advert != rules.advert_int) return Refusal::interval;  // RFC 3768 §7.1
  } else if (advert.max_advert == Centis::zero() && advert.priority != kPriorityStop) {
    return Refusal::interval;  // we would wait for nothing
  }
  if (common_addresses(advert, rules) == 0) return Refusal::addresses;
  return std::nullopt;
}

bool lists_differ(const Advert& advert, const AcceptRules& rules) noexcept {
  return advert.count() != rules.addresses.size() || common_addresses(advert, rules) != advert.count();
}

}  // namespace sluice::vrrp
