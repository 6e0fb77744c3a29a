#include "vrrp/yielded_file.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "base/atomic_file.h"

namespace sluice::vrrp {

base::Result<std::set<std::string>> YieldedFile::read() {
  std::set<std::string> names;
  std::error_code error;
  if (!std::filesystem::exists(file_, error) && !error) {
    held_ = names;
    return names;
  }
  std::ifstream in(file_);
  for (std::string name; std::getline(in, name);) names.insert(name);
  if (error || !in.eof()) {
    return base::Error{base::ErrorCode::system, fmt::format("file \"{}\" cannot be read", file_.string())};
  }
  held_ = names;
  return names;
}

base::Result<void> YieldedFile::write(const std::set<std::string>& names) {
  if (held_ == names) return {};
  if (names.empty()) {
    std::error_code error;
    std::filesystem::remove(file_, error);
    if (error) return base::system_error(fmt::format("file \"{}\"", file_.string()), error.value());
  } else {
    std::string text;
    for (const std::string& name : names) text += name + '\n';
    if (auto written = base::write_file_atomically(file_, text); !written) return written;
  }
  held_ = names;
  return {};
}

}  // namespace sluice::vrrp
