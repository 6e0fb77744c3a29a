#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/event_loop.h"
#include "base/fd.h"
#include "base/line_stream.h"
#include "base/result.h"
#include "base/unix_socket.h"

/// One line a message over Unix stream sockets: the two ends of a channel between processes. Either end may
/// restart at any time. What a line means is the users' affair (JSON, by config/wire.h).
///
/// Thread: the event loop's. Callbacks may call everything of their channel, but must not destroy it.
namespace sluice::base {

/// Listens on a path, takes lines from any number of clients, sends each its answers.
class UnixServer {
 public:
  /// Never used twice.
  enum class ClientId : std::uint64_t {};
  /// `line` is valid during the call. The answer may be sent at once or later, by send().
  using LineCallback = std::function<void(ClientId client, std::string_view line)>;

  struct Options {
    unsigned mode = 0660;
    std::size_t max_clients = 64;
    /// A client that sends no line and reads nothing of an answer for so long, and waits for none, is
    /// dropped, so that the silent cannot take all places; 0: never.
    EventLoop::Milliseconds silence{0};
    LineStream::Limits limits{};
  };
  struct Stats {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;   ///< above max_clients
    std::uint64_t cut_off = 0;   ///< read their answers too slowly for limits.output
    std::uint64_t too_long = 0;  ///< sent a line above limits.line
    std::uint64_t silent = 0;    ///< sent nothing for Options::silence
  };

  /// Errors: listen_unix(). `loop` must outlive the server.
  static Result<std::unique_ptr<UnixServer>> listen(EventLoop& loop, const std::string& path, Options options,
                                                    LineCallback on_line);
  UnixServer(const UnixServer&) = delete;
  UnixServer& operator=(const UnixServer&) = delete;
  /// Closes all connections; removes the socket's file unless it is another server's by now.
  ~UnixServer();

  /// Sends one line (without '\n'). False: the client has gone, or was cut off because it does not read.
  bool send(ClientId client, std::string_view line);
  /// Takes no more from the client, sends what waits, then closes: for the last word to one that talks
  /// nonsense.
  void finish(ClientId client);
  /// Lets the client be silent for as long as it likes.
  void keep(ClientId client);
  [[nodiscard]] std::size_t clients() const noexcept { return clients_.size(); }
  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }

 private:
  struct Client {
    LineStream stream;
    std::uint64_t unanswered = 0;  ///< lines taken from it less lines sent to it
    bool taking = true;            ///< its lines are read
    bool finishing = false;        ///< closes when all is sent
    bool kept = false;             ///< may be silent
    EventLoop::Clock::time_point heard = EventLoop::Clock::now();  ///< last line, or the connection
    std::uint32_t watched = 0;                                     ///< events
  };
  using ClientRef = std::shared_ptr<Client>;

  UnixServer(EventLoop& loop, std::string path, Options options, LineCallback on_line)
      : loop_(loop), path_(std::move(path)), options_(options), on_line_(std::move(on_line)) {}
  Result<void> start();
  void accept_all();
  void pause_accepting();
  void on_event(ClientId id, std::uint32_t events);
  void take_lines(ClientId id, const ClientRef& client);
  /// Watches for what the client's state calls for, or closes it when there is nothing left to do.
  void settle(ClientId id, Client& client);
  void close(ClientId id);
  void drop_silent();
  [[nodiscard]] bool has(ClientId id) const { return clients_.contains(id); }

  EventLoop& loop_;
  std::string path_;
  Options options_;
  LineCallback on_line_;
  Fd listener_;
  std::uint64_t device_ = 0, inode_ = 0;  ///< of the socket's file, to know it again
  EventLoop::TimerId resume_ = EventLoop::TimerId::none;
  EventLoop::TimerId sweep_ = EventLoop::TimerId::none;
  std::uint64_t last_client_ = 0;
  std::unordered_map<ClientId, ClientRef> clients_;
  Stats stats_;
};

/// Keeps a connection to a server: connects, and connects again after 20 ms, 40 ms … 1 s for as long as it
/// lives.
class UnixClient {
 public:
  struct Callbacks {
    std::function<void()> connected;
    std::function<void(std::string_view line)> line;
    /// An established connection has ended; lines that were on their way, either way, may be lost.
    std::function<void(const Error& why)> disconnected;
  };

  /// The first attempt is made from the loop, at once. `loop` must outlive the client.
  UnixClient(EventLoop& loop, std::string path, Callbacks callbacks, LineStream::Limits limits = {});
  UnixClient(const UnixClient&) = delete;
  UnixClient& operator=(const UnixClient&) = delete;
  ~UnixClient();

  /// Sends one line (without '\n'). False: not connected (any more); ask again when connected() is called
  /// back. `disconnected` is called from the loop, never from here.
  bool send(std::string_view line);
  /// Drops the connection, as after an answer that makes no sense; connects again after the back-off.
  void reset(std::string why);
  [[nodiscard]] bool is_connected() const noexcept { return stream_ != nullptr; }
  /// Why the last attempt failed; empty when it did not.
  [[nodiscard]] const std::string& last_error() const noexcept { return last_error_; }

 private:
  void connect();
  void retry_later();
  void on_event(std::uint32_t events);
  void watch_output(bool waiting);

  EventLoop& loop_;
  std::string path_;
  Callbacks callbacks_;
  LineStream::Limits limits_;
  std::shared_ptr<LineStream> stream_;  ///< null: not connected; shared with the line callback in progress
  bool output_watched_ = false;
  std::chrono::milliseconds backoff_;
  EventLoop::TimerId timer_ = EventLoop::TimerId::none;       ///< next attempt
  EventLoop::TimerId drop_timer_ = EventLoop::TimerId::none;  ///< tells `disconnected` from the loop
  std::string last_error_;
};

}  // namespace sluice::base
