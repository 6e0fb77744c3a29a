#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "config/report.h"
#include "config/wire.h"
#include "cp/controller.h"
#include "cp/line_socket.h"
#include "cp/side_thread.h"

namespace sluice::cp {

/// Keeps the data plane running what the controller wants, for ever.
///
/// One connection carries the state: on connecting it asks what runs there, lets the controller reconcile,
/// then sends the desired state whenever it is not the acknowledged one. However many changes come while an
/// acknowledgement is awaited, one request follows with the latest. A lost connection is tried again every 50
/// ms. Queries go over connections of their own: a long list of flows holds up no change. Long lines are put
/// together and read on side threads: on one what the control plane itself needs, on the other what is but
/// looked at. Thread: the io_context's one. Controller and side threads must outlive the link.
class DpLink {
 public:
  /// Who wants an answer.
  enum class For : std::uint8_t { duty, view };

  DpLink(const boost::asio::any_io_executor& executor, std::filesystem::path socket_path,
         Controller& controller, SideThread& duties, SideThread& views);

  /// Runs until the io_context stops.
  boost::asio::awaitable<void> run();
  /// The controller's desired state may have changed: send it if so.
  void wake();

  [[nodiscard]] bool connected() const noexcept { return connected_; }
  /// Why the data plane is not connected or does not take the state; empty when all is well.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

  /// Returns once it is known what the data plane runs, or that it is not there.
  boost::asio::awaitable<void> met();

  /// Returns true once the data plane's workers run what the controller wants now, or something newer; false
  /// when it is not there, refuses it, or has not got so far within `timeout`.
  boost::asio::awaitable<bool> caught_up(std::chrono::milliseconds timeout);

  /// Gives the controller another configuration, the data plane first: what that refuses leaves everything as
  /// it was. True: the data plane runs it. False: it is not there, and gets it when it comes. Error: the
  /// sentence with which it refused. One at a time.
  boost::asio::awaitable<base::Result<bool>> change_config(config::Config config);

  /// Asks the data plane. Error: a sentence that says that it does not answer, and why. Lists of flows and
  /// explanations are views; failures and kill are duties.
  boost::asio::awaitable<base::Result<config::DataplaneReport>> report(
      For whom, std::chrono::milliseconds timeout, config::ReportRequest request = {}) const;
  boost::asio::awaitable<base::Result<config::FlowList>> flows(const config::FlowFilter& filter,
                                                               std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<std::vector<config::FailureReport>>> failures(
      std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<config::Explanation>> explain(const config::FiveTuple& tuple,
                                                                    std::chrono::milliseconds timeout) const;
  boost::asio::awaitable<base::Result<std::uint64_t>> kill(const config::FlowFilter& filter,
                                                           std::chrono::milliseconds timeout) const;

  /// The data plane says that it runs `generation`: where that is not what it was given, somebody else has
  /// given it another state, and it is given ours again.
  void verify(std::uint64_t generation);

 private:
  /// A configuration that waits for the data plane's consent.
  struct Trial {
    const config::Config* config;
    boost::asio::steady_timer done;  ///< cancelled when there is an outcome
    std::optional<base::Result<bool>> outcome{};
  };
  template <typename T>
  using Decoder = base::Result<T> (*)(std::string_view);
  template <typename T>
  boost::asio::awaitable<base::Result<T>> query(For whom, config::DpRequest request, Decoder<T> decode,
                                                std::chrono::milliseconds timeout) const;
  /// Serves one connection until it fails; returns why.
  boost::asio::awaitable<base::Error> serve(LineSocket socket);
  boost::asio::awaitable<base::Result<void>> reconcile(LineSocket& socket);
  /// Sends the desired state and waits for the acknowledgement.
  boost::asio::awaitable<base::Result<void>> push(LineSocket& socket);
  /// Sends `state`; the generation that it acknowledged. The outer Error: the connection is lost; the inner
  /// one: it refused.
  boost::asio::awaitable<base::Result<base::Result<std::uint64_t>>> apply(LineSocket& socket,
                                                                          config::ForwardingState state);
  boost::asio::awaitable<base::Result<void>> attempt(LineSocket& socket);
  void finish(base::Result<bool> outcome);
  void set_met();
  /// Those who wait for the data plane to catch up look again.
  void tell_waiting() { told_.cancel(); }
  void set_trouble(std::string sentence);

  std::filesystem::path socket_path_;
  Controller& controller_;
  SideThread& duties_;
  SideThread& views_;
  boost::asio::steady_timer wake_;   ///< cancelled by wake(); never expires by itself
  boost::asio::steady_timer pause_;  ///< between attempts
  boost::asio::steady_timer met_;    ///< cancelled by set_met(); never expires by itself
  boost::asio::steady_timer told_;   ///< cancelled at each answer to push(); never expires by itself
  bool has_met_ = false;
  bool connected_ = false;
  bool doubted_ = false;    ///< what it runs is to be asked again
  Trial* trial_ = nullptr;  ///< on the stack of change_config()
  std::string trouble_;
};

}  // namespace sluice::cp
