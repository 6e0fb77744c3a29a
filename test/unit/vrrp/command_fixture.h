#pragma once

#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/event_loop.h"
#include "test/unit/base/temp_dir.h"
#include "vrrp/command.h"

namespace sluice::test {

/// Commands on a loop, and files by which they tell what they have done.
class CommandsFixture : public testing::Test {
 protected:
  static std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }
  [[nodiscard]] std::string file(const std::string& name) const { return files_.file(name); }
  /// Without the last line's end; empty: there is none.
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(file(name));
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  void touch(const std::string& name) const { std::ofstream(file(name)) << "1"; }
  /// Runs the loop until it is so.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_->run_once(std::chrono::milliseconds(20));
    }
    return true;
  }

  base::test::TempDir files_;
  std::unique_ptr<base::EventLoop> loop_ = *base::EventLoop::create();
  vrrp::Commands commands_{*loop_};
};

}  // namespace sluice::test
