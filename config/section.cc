#include "config/section.h"

#include <utility>

#include "config/duration.h"
#include "config/host_address.h"
#include "config/suggest.h"

namespace sluice::config {

std::vector<Section> Section::elements(std::string_view key) const {
  std::vector<Section> all;
  const Section array = inner(key);
  if (!array.object.isArray()) return all;
  for (Json::ArrayIndex i = 0; i < array.object.size(); ++i) {
    all.push_back({array.object[i], pointer(array.path, i)});
  }
  return all;
}

std::optional<Milliseconds> SectionReader::duration_of(const Section& section, std::string_view key) {
  const auto word = text(section, key);
  if (!word) return std::nullopt;
  const auto duration = parse_duration(*word);
  if (duration) return *duration;
  refuse(pointer(section.path, key), duration.error().message);
  return std::nullopt;
}

void SectionReader::read_address(const Json::Value& value, const std::string& path, base::IpAddress& out) {
  if (!value.isString()) return;
  const auto address = base::IpAddress::parse(value.asString());
  if (address) {
    out = *address;
  } else {
    refuse(path, in_quotes(value.asString()) + " is not an IPv4 or IPv6 address");
  }
}

void SectionReader::read_host(const Section& section, std::string_view key,
                              std::optional<base::IpAddress>& out) {
  const auto word = text(section, key);
  if (!word) return;
  const std::string path = pointer(section.path, key);
  const auto address = base::IpAddress::parse(*word);
  if (!address) return refuse(path, in_quotes(*word) + " is not an IPv4 or IPv6 address");
  if (const auto fault = not_a_host(*address); !fault.empty()) {
    return refuse(path, address->to_string() + " " + std::string(fault));
  }
  out = *address;
}

bool SectionReader::names_file(const std::string& word, const std::string& path, FileAccess access) {
  if (!word.starts_with('/') || word.find('\0') != std::string::npos) {
    refuse(path, in_quotes(word) + " is not an absolute path: it begins with /");
    return false;
  }
  if (named_files_ == NamedFiles::trusted) return true;
  if (auto fault = file_fault(word, access); !fault.empty()) refuse(path, std::move(fault));
  return true;
}

}  // namespace sluice::config
