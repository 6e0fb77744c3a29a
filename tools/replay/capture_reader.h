#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::replay {

/// Link types of captures (the LINKTYPE_ values of tcpdump.org) that have a name here.
inline constexpr std::uint32_t kLinkEthernet = 1;

/// Where frames of a capture were seen.
struct CaptureInterface {
  std::string name;  ///< pcapng's if_name; empty where the capture tells none
  std::uint32_t link_type = 0;
  std::uint32_t snap_length = 0;  ///< 0: no limit
  /// pcapng's if_tsresol: 10^-n s; with the highest bit set, 2^-n s.
  std::uint8_t resolution = 6;
  std::int64_t offset_s = 0;  ///< pcapng's if_tsoffset, added to each time stamp
};

struct CapturedFrame {
  std::uint64_t number = 0;           ///< from 1
  std::uint64_t time_ns = 0;          ///< since 1970
  std::uint32_t interface = 0;        ///< index in CaptureReader::interfaces()
  std::uint32_t original_length = 0;  ///< on the wire; at least bytes.size()
  std::span<const std::byte> bytes;   ///< as far as they were captured
};

/// Reads a capture that lies in memory: pcap (either byte order, micro- or nanoseconds) or pcapng (sections
/// of either byte order; enhanced, simple and obsolete packet blocks; other blocks are passed over). Written
/// here because libpcap does not tell which interface of a pcapng file a frame was seen on, nor its name.
///
/// Any bytes are allowed, and harmless: nothing outside the span is read, and each call consumes some of it.
/// Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Thread: one.
class CaptureReader {
 public:
  /// Looks at the head of `capture`, which must outlive the reader. Error: what is wrong with it, without
  /// the file's name.
  static base::Result<CaptureReader> open(std::span<const std::byte> capture);

  /// The next frame; nothing at the end. Error: names the record; the reader is then at its end.
  base::Result<std::optional<CapturedFrame>> next();

  /// Those seen so far: all that frames so far refer to.
  [[nodiscard]] const std::vector<CaptureInterface>& interfaces() const noexcept { return interfaces_; }

 private:
  enum class Format : std::uint8_t { pcap, pcapng };
  struct Block;

  explicit CaptureReader(std::span<const std::byte> capture) noexcept : rest_(capture) {}
  base::Result<void> open_pcap(std::uint32_t magic);
  base::Result<std::optional<CapturedFrame>> next_record();
  base::Result<std::optional<CapturedFrame>> next_block();
  base::Result<Block> take_block();
  base::Result<void> begin_section(const Block& block);
  base::Result<void> add_interface(const Block& block);
  base::Result<CapturedFrame> packet(const Block& block);
  base::Result<CapturedFrame> simple_packet(const Block& block);
  [[nodiscard]] base::Error bad(const std::string& what);

  [[nodiscard]] std::uint16_t u16(std::span<const std::byte> from, std::size_t at) const noexcept;
  [[nodiscard]] std::uint32_t u32(std::span<const std::byte> from, std::size_t at) const noexcept;

  std::span<const std::byte> rest_;
  Format format_ = Format::pcap;
  bool big_endian_ = false;   ///< of the file, or of the present section
  bool nanoseconds_ = false;  ///< pcap
  std::uint64_t frames_ = 0;
  std::uint64_t last_time_ns_ = 0;
  std::vector<CaptureInterface> interfaces_;
  std::size_t section_ = 0;  ///< index of the present section's first interface
};

}  // namespace sluice::replay
