#pragma once

#include <exception>

namespace sluice::cp {

/// How a coroutine that is to run for ever is spawned: what it throws (memory is short) leaves
/// io_context::run() and ends the process, whose restart nobody notices, instead of a part of it ending in
/// silence.
inline void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

}  // namespace sluice::cp
