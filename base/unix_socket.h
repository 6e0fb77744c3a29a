#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

/// Unix stream sockets by path (unix(7)). All descriptors are non-blocking and close-on-exec.
namespace sluice::base {

/// Listens on `path` with file mode `mode`. A socket file that nobody listens on is taken over; a live one
/// gives ErrorCode::exists, and anything else than a socket is left alone. Two processes that start at the
/// same moment cannot both win: the directory is locked (flock) meanwhile, so it must be readable.
Result<Fd> listen_unix(const std::string& path, unsigned mode);

/// Connects to `path`. Never blocks. ErrorCode::unavailable when nobody listens, exhausted when too many wait
/// there already.
Result<Fd> connect_unix(const std::string& path);

/// Sends `line` to the server at `path` and returns its answer, without the '\n'. Blocks for at most
/// `timeout` altogether. For one question; a process that stays connected has UnixClient.
Result<std::string> request(const std::string& path, std::string_view line,
                            std::chrono::milliseconds timeout);

}  // namespace sluice::base
