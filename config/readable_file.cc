#include "config/readable_file.h"

#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "config/suggest.h"

namespace sluice::config {
namespace {

using base::Error;
using base::ErrorCode;
using base::Fd;
using base::Result;

std::string_view kind_of_file(mode_t mode) {
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

Result<Fd> open_regular_file(const std::string& path, const std::string& subject) {
  // O_NONBLOCK: a pipe would hold us until somebody writes into it.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return base::system_error(subject, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return base::system_error(subject, errno);
  if (S_ISDIR(status.st_mode))
    return Error{ErrorCode::invalid, subject + ": is a directory; name the file in it"};
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::invalid, subject + ": is " + std::string(kind_of_file(status.st_mode)) +
                                         ", not a file; write the text to a file and name that"};
  }
  return fd;
}

std::string file_fault(const std::string& path, FileAccess access) {
  const std::string subject = in_quotes(path);
  if (access == FileAccess::read) {
    const auto fd = open_regular_file(path, subject);
    return fd ? std::string() : fd.error().message;
  }
  // A program need not be readable, so what counts is the kind and the right.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return base::system_error(subject, errno).message;
  if (!S_ISREG(status.st_mode)) return subject + ": is not a program";
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) {
    return base::system_error(subject + ": is not executable", errno).message;
  }
  return {};
}

}  // namespace sluice::config
