#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::base {
namespace {

ErrorCode code_of(int error_number) noexcept {
  switch (error_number) {
    case EPERM:
    case EACCES: return ErrorCode::permission;
    case ENOENT:
    case ENODEV: return ErrorCode::not_found;
    case EEXIST:
    case EBUSY:
    case EADDRINUSE: return ErrorCode::exists;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC: return ErrorCode::exhausted;
    case ECONNREFUSED: return ErrorCode::unavailable;
    default: return ErrorCode::system;
  }
}

}  // namespace

Error system_error(std::string message, int error_number) {
  std::array<char, 128> buffer{};
  message += ": ";
  message +=
      ::strerror_r(error_number, buffer.data(), buffer.size());  // the GNU one: returns the text, never fails
  return {code_of(error_number), std::move(message)};
}

}  // namespace sluice::base
