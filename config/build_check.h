#pragma once

#include "config/model.h"
#include "config/section.h"

namespace sluice::config {

/// A check as far as the blocks from the outside in ("defaults", service, server) have described it. It may
/// hold settings of several types: an outer block's may be for other services than this one.
struct CheckDraft {
  Check check;
  std::string type_path;  ///< where the type was given; empty: nowhere yet
};

/// Reads one "check" block over what the outer ones have said. A key that the type does not use is refused
/// when it stands beside that type or in a block within.
void read_check(const Section& section, CheckDraft& draft, SectionReader& reader);

/// The check of a server: what its type does not use is at its default, what the type needs is there or
/// refused.
[[nodiscard]] Check finish_check(const CheckDraft& draft, const Section& server, const Section& service,
                                 SectionReader& reader);

/// Refuses keys of a block that need a type when none is given.
void refuse_typeless(const Section& section, const CheckDraft& draft, SectionReader& reader);

}  // namespace sluice::config
