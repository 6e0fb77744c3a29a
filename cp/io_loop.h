#pragma once

#include <boost/asio/io_context.hpp>

namespace sluice::cp {

/// An io_context of one thread whose suspended coroutines can be destroyed before it is: while what they
/// refer to, itself made with this loop, is still there.
class IoLoop : public boost::asio::io_context {
 public:
  IoLoop() : boost::asio::io_context(1) {}
  /// Destroys all coroutines and handlers that wait, in no particular order. Pre: run() has returned, and
  /// will not be called again.
  void abandon() { shutdown(); }
};

}  // namespace sluice::cp
