#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "config/section.h"

/// "clients" of a service, and of "defaults". For .cc files of config/ alone.
namespace sluice::config {

/// What a service's Clients start from, before it is known whose service it is.
struct ClientsDraft {
  /// A network, and where it stands.
  struct Network {
    base::Prefix prefix;
    std::string path;
  };
  std::vector<Network> allow, deny;
  std::string allow_path;  ///< of the list; empty: there is none
  std::optional<std::uint32_t> burst;
  std::uint8_t ipv4_prefix = 32, ipv6_prefix = 128;
  Clients clients;  ///< all but the above
};

/// Reads what a "clients" object has; its lists take the place of those that the draft had.
void read_clients(const Section& section, ClientsDraft& draft, SectionReader& reader);

/// The clients of `service`, whose VIP is `vip`. What is of the other family is left out where it is
/// inherited, and refused where the service itself names it.
[[nodiscard]] Clients finish_clients(const ClientsDraft& draft, const Section& service,
                                     const base::IpAddress& vip, SectionReader& reader);

/// Networks of allow and deny that all services have together at most. dp is told all of them, in one line,
/// whenever a server's health changes: 12 MB of the 64 MiB that a line may have (base::LineStream).
inline constexpr std::size_t kMostNetworks = 262'144;

/// What can be said only of the clients of all services together.
class AllClients {
 public:
  /// Once for each service. Beyond kMostNetworks its lists are emptied, lest inherited ones fill the memory.
  void add(Clients& clients, const Section& service);
  /// After the last one.
  void check(const Section& defaults, SectionReader& reader) const;

 private:
  void check_burst(const Section& defaults, SectionReader& reader) const;

  std::size_t networks_ = 0;
  std::string beyond_;  ///< the "clients" by which there are too many networks; empty: there are not
  bool rate_ = false;   ///< a service has one
  std::vector<std::string> rate_paths_;
};

}  // namespace sluice::config
