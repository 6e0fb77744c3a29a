#pragma once

#include <string>
#include <string_view>

#include <json/forwards.h>

namespace sluice::config {

/// What the user calls the place of a problem: `object` with its name, and the key within it (may be empty).
struct Subject {
  std::string object, key;
};

/// The subject at a JSON pointer: "/services/0/servers/1/weight" is {`server "web/s2"`, "weight"},
/// "/defaults/timeouts/udp" is {"defaults.timeouts", "udp"}. Elements without a name are counted:
/// "services[0]". The path need not exist in `root`. With `about_key` the last key is left out: the sentence
/// names it.
[[nodiscard]] Subject subject_of(const Json::Value& root, std::string_view path, bool about_key);

}  // namespace sluice::config
