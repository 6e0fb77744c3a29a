#include "config/build_clients.h"

#include <map>
#include <string_view>
#include <utility>

#include "config/suggest.h"

namespace sluice::config {
namespace {

using base::IpAddress;
using base::Prefix;

void read_networks(const Section& section, std::string_view key, std::vector<ClientsDraft::Network>& out,
                   SectionReader& reader) {
  if (!section.inner(key).object.isArray()) return;
  out.clear();
  for (const Section& element : section.elements(key)) {
    if (!element.object.isString()) continue;
    const std::string word = element.object.asString();
    const auto prefix = Prefix::parse(word);
    if (!prefix) {
      reader.refuse(element.path,
                    in_quotes(word) + " is not a network, such as \"10.0.0.0/8\", nor an address");
    } else if (const Prefix network = prefix->network(); network != *prefix) {
      reader.refuse(element.path, in_quotes(word) + " has bits behind its length (did you mean " +
                                      in_quotes(network.to_string()) + "?)");
    } else {
      out.push_back({*prefix, element.path});
    }
  }
}

/// A network has one meaning.
void refuse_repeated(const ClientsDraft& draft, SectionReader& reader) {
  std::map<Prefix, std::string> allowed, denied;
  for (const auto& [prefix, path] : draft.allow) {
    if (const auto [first, is_new] = allowed.emplace(prefix, path); !is_new)
      reader.refuse(path, prefix.to_string() + " is given twice", {first->second});
  }
  for (const auto& [prefix, path] : draft.deny) {
    if (const auto both = allowed.find(prefix); both != allowed.end()) {
      reader.refuse(path, prefix.to_string() + " is in allow, too: leave it out of one of the two",
                    {both->second});
    } else if (const auto [first, is_new] = denied.emplace(prefix, path); !is_new) {
      reader.refuse(path, prefix.to_string() + " is given twice", {first->second});
    }
  }
}

}  // namespace

void read_clients(const Section& section, ClientsDraft& draft, SectionReader& reader) {
  read_networks(section, "allow", draft.allow, reader);
  read_networks(section, "deny", draft.deny, reader);
  if (section.has("allow")) draft.allow_path = pointer(section.path, "allow");
  SectionReader::read_number(section, "rate", draft.clients.rate);
  if (section.has("burst")) SectionReader::read_number(section, "burst", draft.burst.emplace(1));
  SectionReader::read_number(section, "maxconn", draft.clients.maxconn);
  SectionReader::read_number(section, "table", draft.clients.table);
  SectionReader::read_name_of(section, "refuse", draft.clients.refuse);
  SectionReader::read_number(section, "ipv4_prefix", draft.ipv4_prefix);
  SectionReader::read_number(section, "ipv6_prefix", draft.ipv6_prefix);
}

Clients finish_clients(const ClientsDraft& draft, const Section& service, const IpAddress& vip,
                       SectionReader& reader) {
  const std::string vip_path = pointer(service.path, "vip");
  const Section own = service.inner("clients");
  refuse_repeated(draft, reader);
  std::vector<std::string> depends{vip_path};
  const auto take = [&](const std::vector<ClientsDraft::Network>& from, std::vector<Prefix>& to) {
    for (const auto& [prefix, path] : from) {
      if (prefix.address.family() == vip.family()) {
        to.push_back(prefix);
      } else if (path.starts_with(own.path + "/")) {
        reader.refuse(path,
                      prefix.to_string() + " is an " + std::string(family_name(prefix.address.family())) +
                          " network, but the vip " + vip.to_string() + " is an " +
                          std::string(family_name(vip.family())) + " address",
                      {vip_path});
        depends.push_back(path);
      }
    }
  };
  Clients clients = draft.clients;
  take(draft.allow, clients.allow);
  take(draft.deny, clients.deny);
  if (!draft.allow.empty() && clients.allow.empty()) {
    reader.refuse(draft.allow_path,
                  "holds no " + std::string(family_name(vip.family())) +
                      " network, and so would let no client reach the vip " + vip.to_string(),
                  std::move(depends));
  }
  if (own.has("burst") && clients.rate == 0) {
    reader.refuse(pointer(own.path, "burst"), "needs a rate, by which it fills up again: give \"rate\"",
                  {pointer(own.path, "rate"), "/defaults/clients/rate"});
  }
  clients.prefix = vip.is_v4() ? draft.ipv4_prefix : draft.ipv6_prefix;
  const std::string_view foreign = vip.is_v4() ? "ipv6_prefix" : "ipv4_prefix";
  if (own.has(foreign)) {
    reader.refuse(pointer(own.path, foreign),
                  "has no meaning here, for the vip " + vip.to_string() + " is an " +
                      std::string(family_name(vip.family())) + " address: leave it out, or give " +
                      in_quotes(vip.is_v4() ? "ipv4_prefix" : "ipv6_prefix"),
                  {vip_path});
  }
  clients.burst = clients.rate == 0 ? 0 : draft.burst.value_or(clients.rate);
  return clients;
}

void AllClients::add(Clients& clients, const Section& service) {
  rate_ = rate_ || clients.rate != 0;
  rate_paths_.push_back(pointer(pointer(service.path, "clients"), "rate"));
  networks_ += clients.allow.size() + clients.deny.size();
  if (networks_ <= kMostNetworks) return;
  if (beyond_.empty()) beyond_ = pointer(service.path, "clients");
  clients.allow = std::vector<Prefix>();  // clear() would keep the memory
  clients.deny = std::vector<Prefix>();
}

/// A burst of "defaults" is for the services that have a rate, of which there is to be one.
void AllClients::check_burst(const Section& defaults, SectionReader& reader) const {
  const Section clients = defaults.inner("clients");
  std::uint32_t rate = 0;
  SectionReader::read_number(clients, "rate", rate);
  if (!clients.has("burst") || rate_ || rate != 0) return;
  std::vector<std::string> depends = rate_paths_;
  depends.push_back(pointer(clients.path, "rate"));
  reader.refuse(pointer(clients.path, "burst"),
                "needs a rate, by which it fills up again, and no service has one: give \"rate\"",
                std::move(depends));
}

void AllClients::check(const Section& defaults, SectionReader& reader) const {
  check_burst(defaults, reader);
  if (beyond_.empty()) return;
  reader.refuse(beyond_, "allow and deny of all services hold " + std::to_string(networks_) +
                             " networks together, more than " + std::to_string(kMostNetworks) +
                             ": shorten the lists, or let fewer services inherit those of defaults");
}

}  // namespace sluice::config
