#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::replay {

/// Writes Ethernet frames to a capture with times in nanoseconds: pcap for one port, pcapng with an interface
/// for each of several. What stands under `path` stays until finish(); a writer that goes without it leaves
/// nothing behind. Thread: one.
class CaptureWriter {
 public:
  /// Begins `path`.new. Errors: `path` is something other than a regular file, or cannot be written.
  static base::Result<CaptureWriter> create(const std::string& path, const std::vector<std::string>& ports);
  CaptureWriter(CaptureWriter&& other) noexcept;
  CaptureWriter& operator=(CaptureWriter&&) = delete;
  ~CaptureWriter();

  /// `original_length`: on the wire, where `frame` is only its beginning.
  void add(std::uint64_t time_ns, std::uint16_t port, std::span<const std::byte> frame,
           std::uint32_t original_length);
  /// Frames added so far.
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }

  /// Puts the capture in its place, as a whole. Errors: it could not be written.
  base::Result<void> finish();

 private:
  CaptureWriter(std::string path, bool is_pcapng) : path_(std::move(path)), is_pcapng_(is_pcapng) {}
  [[nodiscard]] std::string fresh() const { return path_ + ".new"; }
  void put(std::uint32_t word);
  void put_half(std::uint16_t half);
  void put(std::span<const std::byte> bytes);
  void pad();
  void begin(const std::vector<std::string>& ports);
  void flush();

  std::string path_;
  bool is_pcapng_;
  int fd_ = -1;
  int error_ = 0;  ///< errno of the first write that failed
  std::uint64_t frames_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace sluice::replay
