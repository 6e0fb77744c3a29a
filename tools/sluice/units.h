#pragma once

#include <cstdint>
#include <string>

/// Numbers as people read them.
namespace sluice::cli {

/// 999, 1,234, 98,765; from a million on 1.23M, 45.6G.
[[nodiscard]] std::string count_text(std::uint64_t count);
/// 512 B, 1.5 KiB, 23.4 MiB, …
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// 250ms, 12s, 3m20s, 5h10m, 4d3h.
[[nodiscard]] std::string duration_text(std::uint64_t milliseconds);
/// part of whole: 12.3%; "-" when the whole is 0.
[[nodiscard]] std::string percent_text(std::uint64_t part, std::uint64_t whole);

}  // namespace sluice::cli
