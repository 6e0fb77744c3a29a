#include "config/interface_name.h"

#include <algorithm>
#include <cctype>

#include "config/suggest.h"

namespace sluice::config {

std::string interface_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > 15) return in_quotes(name) + " is longer than the 15 characters of an interface name";
  if (name == "." || name == "..") return in_quotes(name) + " cannot be the name of an interface";
  const bool bad = std::ranges::any_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '/' || c == ':' || std::isspace(byte) != 0 || std::iscntrl(byte) != 0;
  });
  if (bad) return in_quotes(name) + " has a character that interface names do not have (/, : or a space)";
  return {};
}

}  // namespace sluice::config
