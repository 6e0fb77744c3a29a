#include "dp/eal_log.h"

#include <cerrno>
#include <string_view>
#include <utility>

#include <rte_log.h>

#include "base/log.h"

namespace sluice::dp {

base::Result<std::unique_ptr<EalLog>> EalLog::open() {
  std::unique_ptr<EalLog> log(new EalLog);
  const cookie_io_functions_t functions{
      .read = nullptr, .write = &EalLog::write, .seek = nullptr, .close = nullptr};
  log->stream_ = ::fopencookie(log.get(), "w", functions);
  if (log->stream_ == nullptr) return base::system_error("a log stream for DPDK cannot be opened", errno);
  std::setvbuf(log->stream_, nullptr, _IOLBF, BUFSIZ);
  ::rte_openlog_stream(log->stream_);
  return log;
}

EalLog::~EalLog() {
  ::rte_openlog_stream(nullptr);
  if (stream_ != nullptr) std::fclose(stream_);
}

void EalLog::release_locked() {
  for (const std::string& line : held_) base::log::warn("DPDK: {}", line);
  held_.clear();
}

void EalLog::release() {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void EalLog::follow() {
  const std::lock_guard lock(mutex_);
  release_locked();
  holding_ = false;
}

std::string EalLog::take_complaint() {
  const std::lock_guard lock(mutex_);
  std::string complaint;
  for (const std::string& line : std::exchange(held_, {}))
    complaint += (complaint.empty() ? "" : "; ") + line;
  return complaint;
}

ssize_t EalLog::write(void* cookie, const char* text, std::size_t length) {
  EalLog& self = *static_cast<EalLog*>(cookie);
  const std::lock_guard lock(self.mutex_);
  for (const char c : std::string_view(text, length)) {
    if (c != '\n') {
      self.line_ += c;
    } else if (!self.line_.empty()) {
      self.held_.push_back(std::exchange(self.line_, {}));
      if (!self.holding_) self.release_locked();
    }
  }
  return static_cast<ssize_t>(length);
}

}  // namespace sluice::dp
