#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/checksum.h"
#include "base/headers.h"

/// TCP options (RFC 9293 §3.2, RFC 7323, RFC 2018): the few that sluice must understand.
namespace sluice::dp {

/// Window scale shift of a SYN or SYN-ACK, at most 14 (RFC 7323 §2.3); nothing when it has none.
/// `segment`: the TCP header with its options. Malformed options end the walk.
[[nodiscard]] std::optional<std::uint8_t> window_scale(std::span<const std::byte> segment) noexcept;

/// What the options of a SYN say of its sender.
struct SynOptions {
  std::uint16_t mss = 0;  ///< maximum segment size
  std::optional<std::uint8_t> window_scale;
  bool sack = false;  ///< permits selective acknowledgements
  friend constexpr bool operator==(const SynOptions&, const SynOptions&) noexcept = default;
};
/// Reads them; `default_mss` is what a SYN without the option means (RFC 9293 §3.7.1).
[[nodiscard]] SynOptions syn_options(std::span<const std::byte> segment, std::uint16_t default_mss) noexcept;

/// The bytes of options, padded with NOPs to whole words.
struct SynOptionBytes {
  std::array<std::byte, 12> bytes;
  std::size_t size = 0;
};
[[nodiscard]] SynOptionBytes encode(const SynOptions& options) noexcept;

/// Whether it carries a signature that covers the addresses: MD5 (RFC 2385) or TCP-AO (RFC 5925).
[[nodiscard]] bool is_signed(std::span<const std::byte> segment) noexcept;

/// Lowers the MSS option (RFC 9293 §3.2) to `limit` where it says more; the delta for the checksum. Options
/// of the wrong length, and what stands behind a malformed one, stay as they are.
[[nodiscard]] base::ChecksumDelta clamp_mss(std::span<std::byte> segment, std::uint16_t limit) noexcept;

/// Overwrites the timestamps option by NOPs; the delta for the checksum. Nothing changes when there is none.
[[nodiscard]] base::ChecksumDelta strip_timestamps(std::span<std::byte> segment) noexcept;

/// Overwrites all options by NOPs; the delta for the checksum.
[[nodiscard]] base::ChecksumDelta strip_options(std::span<std::byte> segment) noexcept;

/// Adds `delta` to every SACK edge; the delta for the checksum.
[[nodiscard]] base::ChecksumDelta shift_sack(std::span<std::byte> segment, std::uint32_t delta) noexcept;

}  // namespace sluice::dp
