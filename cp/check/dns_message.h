#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::cp {

/// A DNS query (RFC 1035 §4) with one question: `name`, of `type` ("A", "AAAA", "NS", "SOA", "TXT", "MX"), in
/// class IN, recursion desired. Error (invalid): the name is none, the type is not one of these.
base::Result<std::string> dns_query(std::uint16_t id, std::string_view name, std::string_view type);

/// The response code of `message`, where that is an answer to the query `id`; none where it is anything else.
std::optional<std::uint8_t> dns_rcode(std::string_view message, std::uint16_t id);

/// "NOERROR", "SERVFAIL", …; "RCODE11" for what has no name.
std::string dns_rcode_name(std::uint8_t rcode);

}  // namespace sluice::cp
