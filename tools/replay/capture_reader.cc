#include "tools/replay/capture_reader.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace sluice::replay {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4, kNanoseconds = 0xa1b23c4d;  // of pcap, in its own order
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;                            // alike in both orders
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint32_t kInterfaceDescription = 1, kPacket = 2, kSimplePacket = 3, kEnhancedPacket = 6;
constexpr std::uint16_t kEndOfOptions = 0, kIfName = 2, kIfTsresol = 9, kIfTsoffset = 14;
constexpr std::size_t kFileHeader = 24, kRecordHeader = 16, kBlockHeader = 8, kBlockFrame = 12;

std::uint64_t word(Bytes from, std::size_t at, std::size_t size, bool big_endian) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t where = big_endian ? at + i : at + size - 1 - i;
    value = value << 8 | std::to_integer<std::uint64_t>(from[where]);
  }
  return value;
}

constexpr std::size_t padded(std::size_t length) noexcept {
  return (length + 3) & ~std::size_t{3};
}

/// Nanoseconds since 1970; nothing when they do not fit, or lie before.
std::optional<std::uint64_t> nanoseconds(std::uint64_t stamp, const CaptureInterface& interface) noexcept {
  __extension__ using Wide = __int128;
  const unsigned n = interface.resolution & 0x7fU;
  Wide ns = stamp;
  if ((interface.resolution & 0x80U) != 0) {
    if (n > 64) return std::nullopt;
    ns = static_cast<Wide>(ns * 1'000'000'000) >> n;
  } else {
    if (n > 27) return std::nullopt;
    for (unsigned i = n; i < 9; ++i) ns *= 10;
    for (unsigned i = 9; i < n; ++i) ns /= 10;
  }
  ns += Wide{interface.offset_s} * 1'000'000'000;
  if (ns < 0 || ns > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::uint64_t>(ns);
}

}  // namespace

/// A pcapng block, in between its two lengths.
struct CaptureReader::Block {
  std::uint32_t type = 0;
  Bytes body;
};

std::uint16_t CaptureReader::u16(Bytes from, std::size_t at) const noexcept {
  return static_cast<std::uint16_t>(word(from, at, 2, big_endian_));
}

std::uint32_t CaptureReader::u32(Bytes from, std::size_t at) const noexcept {
  return static_cast<std::uint32_t>(word(from, at, 4, big_endian_));
}

/// An error about the record that follows the frames told so far; nothing is read beyond it.
base::Error CaptureReader::bad(const std::string& what) {
  rest_ = {};
  return {base::ErrorCode::invalid, fmt::format("record {}: {}", frames_ + 1, what)};
}

base::Result<CaptureReader> CaptureReader::open(Bytes capture) {
  CaptureReader reader(capture);
  const base::Error unknown{base::ErrorCode::invalid,
                            "is neither a pcap nor a pcapng capture: write one by `tcpdump -w` or `dumpcap`"};
  if (capture.size() < sizeof(std::uint32_t)) return unknown;
  const std::uint32_t magic = reader.u32(capture, 0);
  if (magic == kSectionHeader) {
    reader.format_ = Format::pcapng;
    return reader;
  }
  if (auto opened = reader.open_pcap(magic); !opened) return std::move(opened).error();
  if (reader.interfaces_.empty()) return unknown;
  return reader;
}

/// Leaves the reader without an interface when that is no pcap.
base::Result<void> CaptureReader::open_pcap(std::uint32_t magic) {
  for (const bool big_endian : {false, true}) {
    const auto own = big_endian ? __builtin_bswap32(magic) : magic;
    if (own != kMicroseconds && own != kNanoseconds) continue;
    if (rest_.size() < kFileHeader) {
      return base::Error{base::ErrorCode::invalid, "is cut off within its file header: capture it anew"};
    }
    big_endian_ = big_endian;
    nanoseconds_ = own == kNanoseconds;
    // The upper half may say how long the frames' check sequences are.
    interfaces_.push_back({.name = {}, .link_type = u32(rest_, 20) & 0xffffU, .snap_length = u32(rest_, 16)});
    rest_ = rest_.subspan(kFileHeader);
  }
  return {};
}

base::Result<std::optional<CapturedFrame>> CaptureReader::next() {
  auto frame = format_ == Format::pcap ? next_record() : next_block();
  if (!frame || !*frame) return frame;
  CapturedFrame& found = **frame;
  if (found.original_length < found.bytes.size()) {
    found.original_length = static_cast<std::uint32_t>(found.bytes.size());
  }
  found.number = ++frames_;
  last_time_ns_ = found.time_ns;
  return frame;
}

base::Result<std::optional<CapturedFrame>> CaptureReader::next_record() {
  if (rest_.empty()) return std::optional<CapturedFrame>();
  if (rest_.size() < kRecordHeader) {
    return bad("the file ends within its header: cut it off there (`editcap`), or capture anew");
  }
  const std::uint64_t fraction = u32(rest_, 4);
  const std::size_t captured = u32(rest_, 8);
  CapturedFrame frame;
  frame.time_ns = u32(rest_, 0) * std::uint64_t{1'000'000'000} + fraction * (nanoseconds_ ? 1 : 1'000);
  frame.original_length = u32(rest_, 12);
  if (captured > rest_.size() - kRecordHeader) {
    return bad(
        fmt::format("says that it has {} bytes, but the file ends after {}: cut it off there (`editcap`), or "
                    "capture anew",
                    captured, rest_.size() - kRecordHeader));
  }
  frame.bytes = rest_.subspan(kRecordHeader, captured);
  rest_ = rest_.subspan(kRecordHeader + captured);
  return std::optional(frame);
}

base::Result<std::optional<CapturedFrame>> CaptureReader::next_block() {
  while (!rest_.empty()) {
    const auto block = take_block();
    if (!block) return block.error();
    switch (block->type) {
      case kSectionHeader:
        if (auto begun = begin_section(*block); !begun) return std::move(begun).error();
        break;
      case kInterfaceDescription:
        if (auto added = add_interface(*block); !added) return std::move(added).error();
        break;
      case kPacket:
      case kEnhancedPacket:
      case kSimplePacket: {
        auto frame = block->type == kSimplePacket ? simple_packet(*block) : packet(*block);
        if (!frame) return std::move(frame).error();
        return std::optional(*frame);
      }
      default: break;
    }
  }
  return std::optional<CapturedFrame>();
}

base::Result<CaptureReader::Block> CaptureReader::take_block() {
  constexpr std::string_view kCutOff =
      "the file ends within its block: cut it off there (`editcap`), or capture anew";
  if (rest_.size() < kBlockFrame) return bad(std::string(kCutOff));
  Block block;
  block.type = u32(rest_, 0);
  if (block.type == kSectionHeader) {
    if (u32(rest_, 8) != kByteOrderMagic) big_endian_ = !big_endian_;
    if (u32(rest_, 8) != kByteOrderMagic) return bad("a section of no known byte order: capture anew");
  }
  const std::size_t length = u32(rest_, 4);
  if (length < kBlockFrame || length % 4 != 0) {
    return bad(fmt::format("a block of {} bytes, which no block has: capture anew", length));
  }
  if (length > rest_.size()) return bad(std::string(kCutOff));
  if (u32(rest_, length - 4) != length) {
    return bad("the two lengths of its block differ: capture anew");
  }
  block.body = rest_.subspan(kBlockHeader, length - kBlockFrame);
  rest_ = rest_.subspan(length);
  return block;
}

base::Result<void> CaptureReader::begin_section(const Block& block) {
  if (block.body.size() < 16) return bad("a section header without its fields: capture anew");
  if (const unsigned major = u16(block.body, 4); major != 1) {
    return bad(fmt::format("a section of pcapng version {}, of which only 1 is known", major));
  }
  section_ = interfaces_.size();
  return {};
}

base::Result<void> CaptureReader::add_interface(const Block& block) {
  if (block.body.size() < 8) return bad("an interface without its fields: capture anew");
  CaptureInterface interface;
  interface.link_type = u16(block.body, 0);
  interface.snap_length = u32(block.body, 4);
  for (Bytes options = block.body.subspan(8); options.size() >= 4;) {
    const std::uint16_t code = u16(options, 0);
    const std::size_t length = u16(options, 2);
    if (code == kEndOfOptions) break;
    if (length > options.size() - 4)
      return bad("an interface with an option that it has no room for: capture anew");
    const Bytes value = options.subspan(4, length);
    if (code == kIfName) {
      interface.name.assign(reinterpret_cast<const char*>(value.data()), value.size());
      while (interface.name.ends_with('\0')) interface.name.pop_back();
    }
    if (code == kIfTsresol && length == 1) interface.resolution = std::to_integer<std::uint8_t>(value[0]);
    if (code == kIfTsoffset && length == 8) {
      interface.offset_s = static_cast<std::int64_t>(word(value, 0, 8, big_endian_));
    }
    options = options.subspan(std::min(4 + padded(length), options.size()));
  }
  interfaces_.push_back(std::move(interface));
  return {};
}

/// Enhanced, or obsolete: the one's interface is 32 bits wide, the other's 16 and followed by a drop count.
base::Result<CapturedFrame> CaptureReader::packet(const Block& block) {
  constexpr std::size_t kFields = 20;
  if (block.body.size() < kFields) return bad("a packet block without its fields: capture anew");
  const std::size_t interface = block.type == kPacket ? u16(block.body, 0) : u32(block.body, 0);
  if (interface >= interfaces_.size() - section_) {
    return bad(
        fmt::format("is of interface {}, which the capture does not describe: capture anew", interface));
  }
  const std::size_t captured = u32(block.body, 12);
  if (captured > block.body.size() - kFields) {
    return bad(fmt::format("says that it has {} bytes, but its block has room for {}: capture anew", captured,
                           block.body.size() - kFields));
  }
  CapturedFrame frame;
  frame.interface = static_cast<std::uint32_t>(section_ + interface);
  frame.original_length = u32(block.body, 16);
  frame.bytes = block.body.subspan(kFields, captured);
  const auto time =
      nanoseconds(std::uint64_t{u32(block.body, 4)} << 32 | u32(block.body, 8), interfaces_[frame.interface]);
  if (!time) return bad("its time is before 1970 or after 2262: capture anew");
  frame.time_ns = *time;
  return frame;
}

/// Has no time: counted as that of the frame before.
base::Result<CapturedFrame> CaptureReader::simple_packet(const Block& block) {
  if (block.body.size() < 4) return bad("a packet block without its fields: capture anew");
  if (interfaces_.size() == section_) {
    return bad("is of interface 0, which the capture does not describe: capture anew");
  }
  const CaptureInterface& interface = interfaces_[section_];
  CapturedFrame frame;
  frame.interface = static_cast<std::uint32_t>(section_);
  frame.original_length = u32(block.body, 0);
  frame.time_ns = last_time_ns_;
  std::size_t captured = frame.original_length;
  if (interface.snap_length != 0) captured = std::min<std::size_t>(captured, interface.snap_length);
  if (captured > block.body.size() - 4) {
    return bad(fmt::format("says that it has {} bytes, but its block has room for {}: capture anew", captured,
                           block.body.size() - 4));
  }
  frame.bytes = block.body.subspan(4, captured);
  return frame;
}

}  // namespace sluice::replay
