#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

namespace sluice::dp {

/// Sends what DPDK and its drivers log (warnings and worse) to base/log, a line a message, and remembers the
/// last complaint, so that an error that DPDK tells only by its log gets into our own sentence. Thread: any.
class EalLog {
 public:
  /// Takes over DPDK's log stream until destroyed; to be made before rte_eal_init().
  static base::Result<std::unique_ptr<EalLog>> open();
  EalLog(const EalLog&) = delete;
  EalLog& operator=(const EalLog&) = delete;
  ~EalLog();

  /// The last line logged since the last call; empty: none.
  [[nodiscard]] std::string take_last_line();

 private:
  EalLog() = default;
  static ssize_t write(void* self, const char* text, std::size_t length);

  std::FILE* stream_ = nullptr;
  std::mutex mutex_;
  std::string line_;  // not yet ended by a newline
  std::string last_line_;
};

}  // namespace sluice::dp
