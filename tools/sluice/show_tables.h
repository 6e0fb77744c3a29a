#pragma once

#include <string>

#include <json/forwards.h>

#include "config/wire.h"

namespace sluice::cli {

/// What a show reply holds, as text for people: columns aligned, numbers with units. Members that are missing
/// (another version answered) are shown as "-".
[[nodiscard]] std::string table_text(config::ShowWhat what, const Json::Value& content);

}  // namespace sluice::cli
