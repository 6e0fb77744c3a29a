#include "config/build_vrrp.h"

#include <algorithm>
#include <utility>

#include "config/build_server.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

using base::Family;
using base::IpAddress;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// "192.0.2.10/24" or "192.0.2.10/24 dev eth1".
void read_moving_address(const Section& element, const std::string& interface, VrrpAddress& out,
                         SectionReader& reader) {
  out.interface = interface;
  if (!element.object.isString()) return;
  const std::string text = element.object.asString();
  if (text.empty()) return;
  const std::vector<std::string> words = words_of(text);
  const bool form = words.size() == 1 || (words.size() == 3 && words[1] == "dev");
  const auto prefix = base::Prefix::parse(form ? words[0] : std::string());
  if (!form || !prefix) {
    return reader.refuse(element.path, in_quotes(text) +
                                           " is not an address such as \"192.0.2.10/24\" or \"192.0.2.10/24 "
                                           "dev eth1\"");
  }
  out.prefix = *prefix;
  if (words.size() == 3) out.interface = words[2];
}

std::vector<VrrpAddress> read_moving_addresses(const Section& section, std::string_view key,
                                               const std::string& interface, SectionReader& reader) {
  std::vector<VrrpAddress> all;
  for (const Section& element : section.elements(key)) {
    read_moving_address(element, interface, all.emplace_back(), reader);
  }
  return all;
}

/// A program, or an array of one and its arguments.
void read_command(const Section& section, std::string_view key, std::vector<std::string>& out,
                  SectionReader& reader) {
  const Section member = section.inner(key);
  if (member.object.isString()) {
    const std::string word = member.object.asString();
    const std::vector<std::string> words = words_of(word);
    if (word.empty()) return;
    // As keepalived has it; a program whose name has a blank stands in an array.
    if (word.starts_with('/') && words.size() > 1) {
      std::string array;
      for (const std::string& part : words) array.append(array.empty() ? "" : ", ").append(in_quotes(part));
      return reader.refuse(
          member.path,
          in_quotes(word) + " has blanks: arguments stand in an array (did you mean [" + array + "]?)");
    }
    if (reader.names_file(word, member.path, FileAccess::execute)) out = {word};
    return;
  }
  std::vector<std::string> command;
  for (const Section& element : section.elements(key)) {
    if (!element.object.isString()) return;
    command.push_back(element.object.asString());
    if (command.size() == 1 && !reader.names_file(command[0], element.path, FileAccess::execute)) return;
    if (command.back().find('\0') != std::string::npos) {
      return reader.refuse(element.path, "has a NUL character, which an argument cannot");
    }
  }
  out = std::move(command);
}

void read_announce(const Section& section, VrrpAnnounce& out, SectionReader& reader) {
  SectionReader::read_number(section, "garp_master_repeat", out.repeat);
  reader.read_duration_or_none(section, "garp_master_delay", out.delay);
  reader.read_duration_or_none(section, "garp_master_refresh", out.refresh);
  SectionReader::read_number(section, "garp_master_refresh_repeat", out.refresh_repeat);
  if (section.has("garp_lower_prio_repeat")) {
    SectionReader::read_number(section, "garp_lower_prio_repeat", out.lower_prio_repeat.emplace(out.repeat));
  }
  reader.read_duration_or_none(section, "garp_lower_prio_delay", out.lower_prio_delay);
  reader.read_duration_or_none(section, "garp_interval", out.interval);
}

void read_trackers(const Section& section, VrrpInstance& out, SectionReader& reader) {
  const Section dataplane = section.inner("track_dataplane");
  if (dataplane.object.isBool()) out.track_dataplane.enabled = dataplane.object.asBool();
  SectionReader::read_number(dataplane, "weight", out.track_dataplane.weight);
  reader.read_duration(dataplane, "timeout", out.track_dataplane.timeout);
  for (const Section& element : section.elements("track_interface")) {
    VrrpTrackInterface& tracked = out.track_interface.emplace_back();
    if (element.object.isString()) tracked.interface = element.object.asString();
    tracked.interface = SectionReader::text(element, "interface").value_or(tracked.interface);
    SectionReader::read_number(element, "weight", tracked.weight);
  }
  for (const Section& element : section.elements("track_script")) {
    VrrpTrackScript& script = out.track_script.emplace_back();
    read_object_name(element, script.name, reader);
    read_command(element, "script", script.command, reader);
    reader.read_duration(element, "interval", script.interval);
    reader.read_duration(element, "timeout", script.timeout);
    SectionReader::read_number(element, "rise", script.rise);
    SectionReader::read_number(element, "fall", script.fall);
    SectionReader::read_flag(element, "init_fail", script.init_fail);
    SectionReader::read_number(element, "weight", script.weight);
  }
  for (const Section& element : section.elements("track_service")) {
    VrrpTrackService& service = out.track_service.emplace_back();
    service.service = SectionReader::text(element, "service").value_or("");
    SectionReader::read_number(element, "min_usable", service.min_usable);
    SectionReader::read_number(element, "weight", service.weight);
  }
}

/// A source or peer: of IPv6 these are link-local addresses as a rule.
bool read_peer_address(const Section& element, IpAddress& out, SectionReader& reader) {
  if (!element.object.isString()) return false;
  const auto address = IpAddress::parse(element.object.asString());
  if (!address) {
    reader.refuse(element.path, in_quotes(element.object.asString()) + " is not an IPv4 or IPv6 address");
    return false;
  }
  out = *address;
  return true;
}

/// `mcast_src_ip`, `unicast_src_ip`: each for its own way of sending.
void read_source(const Section& section, VrrpInstance& out, SectionReader& reader) {
  const bool unicast = section.has("unicast_peer");
  const std::string_view key = unicast ? "unicast_src_ip" : "mcast_src_ip";
  const std::string_view other = unicast ? "mcast_src_ip" : "unicast_src_ip";
  if (section.has(other)) {
    reader.refuse_key(pointer(section.path, other),
                      unicast
                          ? "key \"mcast_src_ip\" does not go with \"unicast_peer\" (did you mean "
                            "\"unicast_src_ip\"?)"
                          : "key \"unicast_src_ip\" needs \"unicast_peer\", the addresses to send to (did "
                            "you mean \"mcast_src_ip\"?)");
  }
  IpAddress source;
  if (read_peer_address(section.inner(key), source, reader)) out.source = source;
}

void read_vmac(const Section& section, VrrpInstance& out) {
  const Section vmac = section.inner("use_vmac");
  SectionReader::read_flag(section, "use_vmac", out.use_vmac);
  if (vmac.object.isString()) {
    out.use_vmac = true;
    out.vmac_interface = vmac.object.asString();
  } else if (out.use_vmac) {
    out.vmac_interface =
        (out.family == Family::v4 ? "vrrp." : "vrrp6.") + std::to_string(out.virtual_router_id);
  }
  SectionReader::read_flag(section, "vmac_xmit_base", out.vmac_xmit_base);
}

/// The addresses advertised decide, before the rest is read: they are of one family.
Family family_of(const Section& section) {
  for (const Section& element : section.elements("addresses")) {
    if (!element.object.isString()) continue;
    const std::string text = element.object.asString();
    const auto prefix = base::Prefix::parse(text.substr(0, text.find(' ')));
    if (prefix) return prefix->address.family();
  }
  return Family::v4;
}

bool carries(const VrrpInstance& instance, const IpAddress& address) {
  const auto is_it = [&address](const VrrpAddress& a) { return a.prefix.address == address; };
  return std::ranges::any_of(instance.addresses, is_it) ||
         std::ranges::any_of(instance.addresses_excluded, is_it);
}

}  // namespace

VrrpInstance build_vrrp(const Section& section, SectionReader& reader) {
  VrrpInstance instance;
  read_object_name(section, instance.name, reader);
  instance.interface = SectionReader::text(section, "interface").value_or("");
  instance.family = family_of(section);
  SectionReader::read_name_of(section, "state", instance.start);
  std::uint8_t version = instance.family == Family::v6 ? 3 : 2;
  SectionReader::read_number(section, "version", version);
  instance.version = version == 3 ? VrrpVersion::v3 : VrrpVersion::v2;
  SectionReader::read_number(section, "virtual_router_id", instance.virtual_router_id);
  if (instance.start == VrrpStart::master) instance.priority = 255;
  SectionReader::read_number(section, "priority", instance.priority);
  reader.read_duration(section, "advert_int", instance.advert_int);
  SectionReader::read_number(section, "down_timer_adverts", instance.down_timer_adverts);
  instance.auth_pass = SectionReader::text(section, "auth_pass").value_or("");
  read_vmac(section, instance);
  const std::string& home = instance.use_vmac ? instance.vmac_interface : instance.interface;
  instance.addresses = read_moving_addresses(section, "addresses", home, reader);
  instance.addresses_excluded = read_moving_addresses(section, "addresses_excluded", home, reader);
  bool nopreempt = false;
  SectionReader::read_flag(section, "nopreempt", nopreempt);
  instance.preempt = !nopreempt;
  reader.read_duration_or_none(section, "preempt_delay", instance.preempt_delay);
  reader.read_duration_or_none(section, "startup_delay", instance.startup_delay);
  read_source(section, instance, reader);
  for (const Section& peer : section.elements("unicast_peer")) {
    read_peer_address(peer, instance.unicast_peer.emplace_back(), reader);
  }
  // Else peers would learn that the source address has the virtual router's MAC address.
  if (instance.use_vmac && !instance.unicast_peer.empty()) instance.vmac_xmit_base = true;
  SectionReader::read_flag(section, "check_unicast_src", instance.check_unicast_src);
  SectionReader::read_flag(section, "v3_checksum_as_v2", instance.v3_checksum_as_v2);
  SectionReader::read_flag(section, "lower_prio_no_advert", instance.lower_prio_no_advert);
  SectionReader::read_flag(section, "higher_prio_send_advert", instance.higher_prio_send_advert);
  read_object_name(section, instance.sync_group, reader, "sync_group");
  read_announce(section, instance.announce, reader);
  read_trackers(section, instance, reader);
  read_command(section, "notify", instance.notify.any, reader);
  read_command(section, "notify_master", instance.notify.master, reader);
  read_command(section, "notify_backup", instance.notify.backup, reader);
  read_command(section, "notify_fault", instance.notify.fault, reader);
  read_command(section, "notify_stop", instance.notify.stop, reader);
  read_command(section, "notify_master_rx_lower_pri", instance.notify.master_rx_lower_pri, reader);
  return instance;
}

void carry_local_addresses(Config& config) {
  for (const Service& service : config.services) {
    const auto carrier = std::ranges::find_if(config.vrrp, [&service](const VrrpInstance& instance) {
      return carries(instance, service.vip.address);
    });
    if (carrier == config.vrrp.end()) continue;
    for (const IpAddress& local : service.local_addresses) {
      if (std::ranges::any_of(config.vrrp, [&](const VrrpInstance& i) { return carries(i, local); }))
        continue;
      const std::uint8_t length = local.is_v4() ? 32 : 128;
      carrier->addresses_excluded.push_back(
          {.prefix = {local, length},
           .interface = carrier->use_vmac ? carrier->vmac_interface : carrier->interface,
           .implied = true});
    }
  }
}

}  // namespace sluice::config
