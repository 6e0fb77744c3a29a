#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::dp {

/// Sends what DPDK and its drivers log (warnings and worse) to base/log, a line a message. While ports are
/// opened the lines are held back: DPDK tells the reason for an error only by its log, so the reason goes
/// into our own one sentence in place of several lines before it. Thread: any.
class EalLog {
 public:
  /// Takes over DPDK's log stream until destroyed; to be made before rte_eal_init(). Holds lines back at
  /// first.
  static base::Result<std::unique_ptr<EalLog>> open();
  EalLog(const EalLog&) = delete;
  EalLog& operator=(const EalLog&) = delete;
  ~EalLog();

  /// Logs the lines held back.
  void release();
  /// The same, and later lines are logged as they come.
  void follow();
  /// The lines held back, in one, instead of logging them; empty: none.
  [[nodiscard]] std::string take_complaint();

 private:
  EalLog() = default;
  static ssize_t write(void* self, const char* text, std::size_t length);
  void release_locked();

  std::FILE* stream_ = nullptr;
  std::mutex mutex_;
  std::string line_;  // not yet ended by a newline
  std::vector<std::string> held_;
  bool holding_ = true;
};

}  // namespace sluice::dp
