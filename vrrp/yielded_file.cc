#include "vrrp/yielded_file.h"

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "base/atomic_file.h"

namespace sluice::vrrp {

base::Result<std::set<std::string>> YieldedFile::read() const {
  std::set<std::string> names;
  std::error_code error;
  if (!std::filesystem::exists(file_, error) && !error) return names;
  std::ifstream in(file_);
  for (std::string name; std::getline(in, name);) names.insert(name);
  if (error || !in.eof()) {
    return base::Error{base::ErrorCode::system, fmt::format("file \"{}\" cannot be read", file_.string())};
  }
  return names;
}

base::Result<void> YieldedFile::write(const std::set<std::string>& names) const {
  if (names.empty()) {
    std::error_code error;
    std::filesystem::remove(file_, error);
    if (!error) return {};
    return base::system_error(fmt::format("file \"{}\"", file_.string()), error.value());
  }
  std::string text;
  for (const std::string& name : names) text += name + '\n';
  return base::write_file_atomically(file_, text);
}

}  // namespace sluice::vrrp
