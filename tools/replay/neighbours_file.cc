#include "tools/replay/neighbours_file.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "config/suggest.h"

namespace sluice::replay {
namespace {

using Words = std::span<const std::string_view>;

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(kBlank); at != std::string_view::npos;
       at = line.find_first_not_of(kBlank, at)) {
    const std::size_t end = std::min(line.find_first_of(kBlank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

base::Error wrong(std::string sentence) {
  return {base::ErrorCode::invalid, std::move(sentence)};
}

base::Result<std::uint16_t> number(std::string_view what, std::string_view word, unsigned least,
                                   unsigned most) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < least || value > most) {
    return wrong(
        fmt::format("{} {}: expected a number from {} to {}", what, config::in_quotes(word), least, most));
  }
  return static_cast<std::uint16_t>(value);
}

base::Result<NamedRoute> route(Words words) {
  const auto gateway = base::IpAddress::parse(words[2]);
  if (!gateway) return wrong(gateway.error().message);
  if (words[0] == "default") {
    const base::IpAddress any =
        gateway->is_v4() ? base::IpAddress(base::Ipv4{}) : base::IpAddress(base::Ipv6{});
    return NamedRoute{{any, 0}, *gateway};
  }
  const auto destination = base::Prefix::parse(words[0]);
  if (!destination) return wrong(destination.error().message);
  if (destination->address.family() != gateway->family()) {
    return wrong(fmt::format("{} via {}: both must be of one family", words[0], words[2]));
  }
  return NamedRoute{*destination, *gateway};
}

base::Result<NamedNeighbour> neighbour(Words words) {
  if (words.size() < 3) {
    return wrong("expected ADDRESS MAC PORT [vlan ID [ID]] [mtu BYTES], or PREFIX via ADDRESS");
  }
  NamedNeighbour out;
  const auto address = base::IpAddress::parse(words[0]);
  if (!address) return wrong(address.error().message);
  out.address = *address;
  if (words[1] == "incomplete") {
    out.state = NamedNeighbour::State::incomplete;
  } else if (words[1] == "failed") {
    out.state = NamedNeighbour::State::failed;
  } else {
    const auto mac = base::Mac::parse(words[1]);
    if (!mac) {
      return wrong(fmt::format("{}: expected a MAC address, \"incomplete\" or \"failed\"",
                               config::in_quotes(words[1])));
    }
    out.mac = *mac;
  }
  out.port = words[2];
  for (Words rest = words.subspan(3); !rest.empty();) {
    const std::string_view key = rest[0];
    rest = rest.subspan(1);
    if (key != "vlan" && key != "mtu")
      return wrong(fmt::format("{}: expected \"vlan\" or \"mtu\"", config::in_quotes(key)));
    if (rest.empty()) return wrong(fmt::format("\"{}\": say which", key));
    if (key == "mtu") {
      const auto mtu = number("mtu", rest[0], 68, 65'535);
      if (!mtu) return mtu.error();
      out.mtu = *mtu;
      rest = rest.subspan(1);
      continue;
    }
    for (out.tags.clear(); !rest.empty() && rest[0] != "mtu" && out.tags.size() < 2; rest = rest.subspan(1)) {
      const auto id = number("vlan", rest[0], 1, 4094);
      if (!id) return id.error();
      out.tags.push_back(*id);
    }
    if (out.tags.empty()) return wrong("\"vlan\": say which");
  }
  return out;
}

}  // namespace

base::Result<NeighboursFile> parse_neighbours(std::string_view text, const std::string& path) {
  NeighboursFile file;
  std::vector<std::size_t> route_lines;
  std::size_t line_number = 0;
  const auto at_line = [&](std::size_t line, const std::string& what) {
    return wrong(fmt::format("{}:{}: {}", path, line, what));
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (words.empty()) continue;
    if (words.size() == 3 && words[1] == "via") {
      auto read = route(words);
      if (!read) return at_line(line_number, read.error().message);
      file.routes.push_back(*read);
      route_lines.push_back(line_number);
      continue;
    }
    auto read = neighbour(words);
    if (!read) return at_line(line_number, read.error().message);
    if (std::ranges::find(file.neighbours, read->address, &NamedNeighbour::address) != file.neighbours.end())
      return at_line(line_number, fmt::format("{} stands in the file before", words[0]));
    file.neighbours.push_back(*std::move(read));
  }
  for (std::size_t i = 0; i < file.routes.size(); ++i) {
    const base::IpAddress& gateway = file.routes[i].gateway;
    if (std::ranges::find(file.neighbours, gateway, &NamedNeighbour::address) == file.neighbours.end()) {
      return at_line(route_lines[i], fmt::format("via {}: no line of the file says how that is reached",
                                                 gateway.to_string()));
    }
  }
  return file;
}

}  // namespace sluice::replay
