#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "config/report.h"
#include "config/wire.h"
#include "cp/controller.h"
#include "cp/line_socket.h"

namespace sluice::cp {

/// Keeps the data plane running what the controller wants, for ever.
///
/// One connection carries the state: on connecting it asks what runs there, lets the controller reconcile,
/// then sends the desired state whenever it is not the acknowledged one. However many changes come while an
/// acknowledgement is awaited, one request follows with the latest. A lost connection is tried again every 50
/// ms. Queries go over connections of their own: a long list of flows holds up no change. Thread: the
/// io_context's one. The controller must outlive the link.
class DpLink {
 public:
  DpLink(const boost::asio::any_io_executor& executor, std::filesystem::path socket_path,
         Controller& controller);

  /// Runs until the io_context stops.
  boost::asio::awaitable<void> run();
  /// The controller's desired state may have changed: send it if so.
  void wake();

  [[nodiscard]] bool connected() const noexcept { return connected_; }
  /// Why the data plane is not connected or does not take the state; empty when all is well.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

  /// Asks the data plane. Error: a sentence that says that it does not answer, and why.
  boost::asio::awaitable<base::Result<config::DataplaneReport>> report(
      std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<config::FlowList>> flows(const config::FlowFilter& filter,
                                                               std::chrono::milliseconds timeout) const;

 private:
  template <typename T>
  using Decoder = base::Result<T> (*)(std::string_view);
  template <typename T>
  boost::asio::awaitable<base::Result<T>> query(config::DpRequest request, Decoder<T> decode,
                                                std::chrono::milliseconds timeout) const;
  /// Serves one connection until it fails; returns why.
  boost::asio::awaitable<base::Error> serve(LineSocket socket);
  boost::asio::awaitable<base::Result<void>> reconcile(LineSocket& socket);
  /// Sends the desired state and waits for the acknowledgement.
  boost::asio::awaitable<base::Result<void>> push(LineSocket& socket);
  void set_trouble(std::string sentence);

  std::filesystem::path socket_path_;
  Controller& controller_;
  boost::asio::steady_timer wake_;   ///< cancelled by wake(); never expires by itself
  boost::asio::steady_timer pause_;  ///< between attempts
  bool connected_ = false;
  std::string trouble_;
};

}  // namespace sluice::cp
