#include "tools/replay/capture_writer.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

#include "tools/replay/capture_reader.h"

namespace sluice::replay {
namespace {

constexpr std::size_t kFlushAt = 1U << 20;
constexpr std::uint32_t kSnapLength = 262'144;

base::Error failed(const std::string& path, int error) {
  return base::system_error(fmt::format("file \"{}\"", path), error);
}

}  // namespace

base::Result<CaptureWriter> CaptureWriter::create(const std::string& path,
                                                  const std::vector<std::string>& ports) {
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    return base::Error{base::ErrorCode::invalid,
                       fmt::format("file \"{}\": is not a regular file: name another one", path)};
  }
  CaptureWriter writer(path, ports.size() > 1);
  writer.fd_ = ::open(writer.fresh().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (writer.fd_ < 0) return failed(writer.fresh(), errno);
  writer.begin(ports);
  return writer;
}

CaptureWriter::CaptureWriter(CaptureWriter&& other) noexcept
    : path_(std::move(other.path_)),
      is_pcapng_(other.is_pcapng_),
      fd_(std::exchange(other.fd_, -1)),
      error_(other.error_),
      frames_(other.frames_),
      buffer_(std::move(other.buffer_)) {}

CaptureWriter::~CaptureWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(fresh().c_str());
}

// Both formats say by their magic numbers which byte order they are in: the machine's own will do.
void CaptureWriter::put(std::uint32_t word) {
  put(std::as_bytes(std::span(&word, 1)));
}
void CaptureWriter::put_half(std::uint16_t half) {
  put(std::as_bytes(std::span(&half, 1)));
}
void CaptureWriter::put(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}
/// Blocks and their parts are multiples of four bytes long, and flushed whole.
void CaptureWriter::pad() {
  buffer_.resize((buffer_.size() + 3) & ~std::size_t{3});
}

void CaptureWriter::begin(const std::vector<std::string>& ports) {
  if (!is_pcapng_) {
    put(0xa1b23c4d);
    put_half(2);
    put_half(4);
    for (const std::uint32_t field : {std::uint32_t{0}, std::uint32_t{0}, kSnapLength, kLinkEthernet})
      put(field);
    return;
  }
  constexpr std::uint32_t kSectionLength = 28;
  for (const std::uint32_t field : {0x0a0d0d0aU, kSectionLength, 0x1a2b3c4dU}) put(field);
  put_half(1);
  put_half(0);
  for (const std::uint32_t field : {0xffff'ffffU, 0xffff'ffffU, kSectionLength}) put(field);
  for (const std::string& name : ports) {
    const auto padded = static_cast<std::uint32_t>((name.size() + 3) & ~std::size_t{3});
    const std::uint32_t length = 12 + 8 + 4 + padded + 8 + 4;
    put(1U);
    put(length);
    put_half(kLinkEthernet);
    put_half(0);
    put(kSnapLength);
    put_half(2);  // if_name
    put_half(static_cast<std::uint16_t>(name.size()));
    put(std::as_bytes(std::span(name)));
    pad();
    put_half(9);  // if_tsresol: nanoseconds
    put_half(1);
    buffer_.push_back(std::byte{9});
    pad();
    put(0U);  // end of options
    put(length);
  }
}

void CaptureWriter::add(std::uint64_t time_ns, std::uint16_t port, std::span<const std::byte> frame,
                        std::uint32_t original_length) {
  const auto captured = static_cast<std::uint32_t>(frame.size());
  ++frames_;
  if (is_pcapng_) {
    const std::uint32_t length = 32 + ((captured + 3) & ~3U);
    for (const std::uint32_t field :
         {6U, length, std::uint32_t{port}, static_cast<std::uint32_t>(time_ns >> 32),
          static_cast<std::uint32_t>(time_ns), captured, original_length}) {
      put(field);
    }
    put(frame);
    pad();
    put(length);
  } else {
    put(static_cast<std::uint32_t>(time_ns / 1'000'000'000));
    put(static_cast<std::uint32_t>(time_ns % 1'000'000'000));
    put(captured);
    put(original_length);
    put(frame);
  }
  if (buffer_.size() >= kFlushAt) flush();
}

void CaptureWriter::flush() {
  for (std::size_t at = 0; at < buffer_.size() && error_ == 0;) {
    const ssize_t written = ::write(fd_, buffer_.data() + at, buffer_.size() - at);
    if (written >= 0) {
      at += static_cast<std::size_t>(written);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

base::Result<void> CaptureWriter::finish() {
  flush();
  if (error_ == 0 && ::close(std::exchange(fd_, -1)) != 0) error_ = errno;
  if (error_ == 0 && ::rename(fresh().c_str(), path_.c_str()) != 0) error_ = errno;
  if (error_ == 0) return {};
  ::unlink(fresh().c_str());
  return failed(path_, error_);
}

}  // namespace sluice::replay
