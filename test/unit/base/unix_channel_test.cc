#include "base/unix_channel.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <functional>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "test/unit/base/temp_dir.h"

namespace sluice::base {
namespace {

using std::chrono::milliseconds;

class UnixChannelTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  std::string path_ = dir_.file("test.sock");
  std::unique_ptr<EventLoop> loop_ = *EventLoop::create();
  std::unique_ptr<UnixServer> server_;

  std::vector<std::string> lines_;  ///< the client's
  int connects_ = 0;
  std::vector<std::string> disconnects_;
  std::unique_ptr<UnixClient> client_;

  Result<void> serve(UnixServer::LineCallback on_line, UnixServer::Options options) {
    auto server = UnixServer::listen(*loop_, path_, options, std::move(on_line));
    if (!server) return server.error();
    server_ = *std::move(server);
    return {};
  }
  /// A server that answers each line with "echo " before it.
  Result<void> serve_echo(UnixServer::Options options = {}) {
    return serve([this](UnixServer::ClientId id,
                        std::string_view line) { server_->send(id, "echo " + std::string{line}); },
                 options);
  }
  void start_client(LineStream::Limits limits = {}) {
    client_ = std::make_unique<UnixClient>(
        *loop_, path_,
        UnixClient::Callbacks{
            .connected = [this] { ++connects_; },
            .line = [this](std::string_view line) { lines_.emplace_back(line); },
            .disconnected = [this](const Error& why) { disconnects_.push_back(why.message); }},
        limits);
  }
  /// Runs the loop until `condition`; false when it does not come in 10 s.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = EventLoop::Clock::now() + std::chrono::seconds{10};
    while (!condition()) {
      if (EventLoop::Clock::now() > deadline) return false;
      loop_->run_once(milliseconds{50});
    }
    return true;
  }
  /// A bare connection, for what a well-behaved client does not do.
  Fd raw() { return *connect_unix(path_); }
  static void put(const Fd& fd, std::string_view text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// All that the other side sends until it closes.
  std::string read_all(const Fd& fd) {
    std::string all;
    EXPECT_TRUE(until([&] {
      char buffer[4096];
      for (;;) {
        const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return true;
        if (got < 0) return false;
        all.append(buffer, static_cast<std::size_t>(got));
      }
    }));
    return all;
  }
};

TEST_F(UnixChannelTest, AnswersInOrder) {
  ASSERT_TRUE(serve_echo());
  start_client();
  ASSERT_TRUE(until([&] { return client_->is_connected(); }));
  EXPECT_TRUE(client_->send("one"));
  EXPECT_TRUE(client_->send(""));
  EXPECT_TRUE(client_->send("two"));
  ASSERT_TRUE(until([&] { return lines_.size() == 3; }));
  EXPECT_EQ(lines_, (std::vector<std::string>{"echo one", "echo ", "echo two"}));
  EXPECT_EQ(connects_, 1);
}

TEST_F(UnixChannelTest, CarriesLinesOfManyMegabytes) {
  ASSERT_TRUE(serve_echo());
  start_client();
  ASSERT_TRUE(until([&] { return client_->is_connected(); }));
  const std::string big(std::size_t{20} << 20, 'x');
  EXPECT_TRUE(client_->send(big));
  EXPECT_TRUE(client_->send("small"));
  ASSERT_TRUE(until([&] { return lines_.size() == 2; }));
  EXPECT_EQ(lines_[0], "echo " + big);
  EXPECT_EQ(lines_[1], "echo small");
}

TEST_F(UnixChannelTest, AnswersMayComeLater) {
  std::vector<UnixServer::ClientId> asked;
  ASSERT_TRUE(serve([&](UnixServer::ClientId id, std::string_view) { asked.push_back(id); }, {}));
  const Fd a = raw();
  const Fd b = raw();
  put(a, "question\n");
  put(b, "question\n");
  ::shutdown(a.get(), SHUT_WR);  // as `echo … | socat - UNIX:…` does: the answer is still wanted
  ASSERT_TRUE(until([&] { return asked.size() == 2; }));
  EXPECT_FALSE(loop_->run_once(milliseconds{0}));  // a half-closed client costs nothing while it waits
  EXPECT_EQ(server_->clients(), 2U);
  EXPECT_TRUE(server_->send(asked[0], "for a"));
  EXPECT_TRUE(server_->send(asked[1], "for b"));
  EXPECT_EQ(read_all(a), "for a\n");
  EXPECT_EQ(server_->clients(), 1U);
  EXPECT_FALSE(server_->send(asked[0], "gone"));
}

TEST_F(UnixChannelTest, ClientSurvivesTheServersRestart) {
  start_client();
  ASSERT_TRUE(until([&] { return !client_->last_error().empty(); }));
  EXPECT_FALSE(client_->send("nobody there"));
  for (int life = 1; life <= 3; ++life) {
    ASSERT_TRUE(serve_echo());
    ASSERT_TRUE(until([&] { return client_->is_connected(); }));
    EXPECT_EQ(connects_, life);
    EXPECT_TRUE(client_->send("life " + std::to_string(life)));
    ASSERT_TRUE(until([&] { return lines_.size() == static_cast<std::size_t>(life); }));
    EXPECT_EQ(lines_.back(), "echo life " + std::to_string(life));
    server_.reset();
    ASSERT_TRUE(until([&] { return disconnects_.size() == static_cast<std::size_t>(life); }));
    EXPECT_FALSE(client_->is_connected());
  }
  EXPECT_EQ(disconnects_[0], "socket \"" + path_ + "\": the server has closed the connection");
}

TEST_F(UnixChannelTest, ServerSurvivesItsClientsRestarts) {
  ASSERT_TRUE(serve_echo());
  for (std::size_t life = 1; life <= 3; ++life) {
    start_client();
    ASSERT_TRUE(until([&] { return client_->is_connected(); }));
    EXPECT_TRUE(client_->send("hello"));
    ASSERT_TRUE(until([&] { return lines_.size() == life; }));
    client_.reset();
    ASSERT_TRUE(until([&] { return server_->clients() == 0; }));
  }
  EXPECT_EQ(server_->stats().accepted, 3U);
}

TEST_F(UnixChannelTest, ServesManyClientsAndRefusesThoseAboveTheLimit) {
  ASSERT_TRUE(serve_echo({.max_clients = 3}));
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(raw());
  ASSERT_TRUE(until([&] { return server_->clients() == 3; }));
  const Fd above = raw();
  EXPECT_EQ(read_all(above), "");
  EXPECT_EQ(server_->stats().refused, 1U);
  clients.pop_back();
  ASSERT_TRUE(until([&] { return server_->clients() == 2; }));
  EXPECT_TRUE(server_->stats().accepted == 3U);
}

TEST_F(UnixChannelTest, GarbageIsALineLikeAnyOther) {
  std::vector<std::string> seen;
  ASSERT_TRUE(serve([&](UnixServer::ClientId, std::string_view line) { seen.emplace_back(line); }, {}));
  const Fd fd = raw();
  const std::string garbage{"\0\xff\x01{\r\n\n\r\nend", 12};
  put(fd, garbage);
  ASSERT_TRUE(until([&] { return seen.size() == 3; }));
  EXPECT_EQ(seen, (std::vector<std::string>{std::string{"\0\xff\x01{", 4}, "", ""}));  // "end" has no end
}

TEST_F(UnixChannelTest, AServerMayAnswerAndHangUp) {
  ASSERT_TRUE(serve(
      [&](UnixServer::ClientId id, std::string_view) {
        server_->send(id, "that was nonsense");
        server_->finish(id);
      },
      {}));
  const Fd fd = raw();
  put(fd, "nonsense\nmore of it\n");
  EXPECT_EQ(read_all(fd), "that was nonsense\n");
  EXPECT_EQ(server_->clients(), 0U);
}

TEST_F(UnixChannelTest, TheSilentAreDropped) {
  std::vector<UnixServer::ClientId> asked;
  ASSERT_TRUE(serve(
      [&](UnixServer::ClientId id, std::string_view line) {
        if (line == "hold") asked.push_back(id);
        if (line == "keep") server_->keep(id);
        if (line != "hold") server_->send(id, "ok");
      },
      {.silence = milliseconds{200}}));
  const Fd kept = raw(), waits = raw();
  put(kept, "keep\n");
  put(waits, "hold\n");
  ASSERT_TRUE(until([&] { return asked.size() == 1; }));
  const Fd silent = raw(), slow = raw();
  put(slow, "a line that never e");
  EXPECT_EQ(read_all(silent), "");
  EXPECT_EQ(read_all(slow), "") << "bytes are no line";
  EXPECT_EQ(server_->stats().silent, 2U);
  EXPECT_EQ(server_->clients(), 2U) << "the one that may be silent, and the one that waits for its answer";
  server_->send(asked[0], "late");
  EXPECT_EQ(read_all(waits), "late\n");
  EXPECT_EQ(server_->clients(), 1U);
}

TEST_F(UnixChannelTest, WhoReadsALongAnswerSlowlyIsNotSilent) {
  const std::string answer(std::size_t{4} << 20, 'x');
  ASSERT_TRUE(serve([&](UnixServer::ClientId id, std::string_view) { server_->send(id, answer); },
                    {.silence = milliseconds{200}}));
  const Fd slow = raw();
  put(slow, "all\n");
  std::size_t got = 0;
  const auto began = std::chrono::steady_clock::now();
  // Much longer than one may be silent, and never so long without reading.
  while (got < answer.size()) {
    std::array<char, std::size_t{128} << 10> bytes{};
    ASSERT_TRUE(until([&] {
      const ssize_t length = ::recv(slow.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (length > 0) got += static_cast<std::size_t>(length);
      return length >= 0 || errno != EAGAIN;
    }));
    ASSERT_EQ(server_->stats().silent, 0U) << got;
    const auto pause = std::chrono::steady_clock::now() + milliseconds{20};
    ASSERT_TRUE(until([&] { return std::chrono::steady_clock::now() > pause; }));
  }
  EXPECT_GT(std::chrono::steady_clock::now() - began, milliseconds{400});
}

TEST_F(UnixChannelTest, AHugeLineIsAnsweredWithAnErrorAndTheClientDropped) {
  std::vector<std::string> seen;
  ASSERT_TRUE(serve(
      [&](UnixServer::ClientId id, std::string_view line) {
        seen.emplace_back(line);
        server_->send(id, "ok");
      },
      {.limits = {.line = 1000, .output = 1 << 20}}));
  const Fd good = raw();
  const std::string longest(1000, 'a');
  put(good, longest + "\n");
  ASSERT_TRUE(until([&] { return seen.size() == 1; }));
  EXPECT_EQ(seen[0], longest);

  const Fd bad = raw();
  put(bad, "short\n" + std::string(1001, 'b') + "\nnever\n");
  EXPECT_EQ(read_all(bad), "ok\n{\"ok\":false,\"error\":\"request: the line is longer than 1000 bytes\"}\n");
  EXPECT_EQ(seen.size(), 2U);  // the line before it counts
  EXPECT_EQ(server_->stats().too_long, 1U);
  EXPECT_EQ(server_->clients(), 1U);
}

TEST_F(UnixChannelTest, ASlowReaderIsCutOffAndTheOthersAreServed) {
  ASSERT_TRUE(serve_echo({.limits = {.line = 1 << 16, .output = 1 << 18}}));
  start_client();
  ASSERT_TRUE(until([&] { return client_->is_connected(); }));
  const Fd slow = raw();
  const std::string line = std::string(10'000, 'x') + "\n";
  ASSERT_TRUE(until([&] {
    // Asks and asks, but never reads.
    static_cast<void>(::send(slow.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    return server_->stats().cut_off == 1;
  }));
  EXPECT_EQ(server_->clients(), 1U);
  EXPECT_TRUE(client_->send("still there?"));
  ASSERT_TRUE(until([&] { return lines_.size() == 1; }));
}

TEST_F(UnixChannelTest, AClientDropsAServerThatSendsTooMuch) {
  ASSERT_TRUE(serve(
      [&](UnixServer::ClientId id, std::string_view) { server_->send(id, std::string(2000, 'x')); }, {}));
  start_client({.line = 1000, .output = 1 << 20});
  ASSERT_TRUE(until([&] { return client_->is_connected(); }));
  EXPECT_TRUE(client_->send("go on"));
  ASSERT_TRUE(until([&] { return disconnects_.size() == 1; }));
  EXPECT_EQ(disconnects_[0], "socket \"" + path_ + "\": the server sent a line longer than 1000 bytes");
  EXPECT_TRUE(until([&] { return connects_ == 2; }));
}

TEST_F(UnixChannelTest, AClientMayGiveUpOnAConnectionInItsLineCallback) {
  ASSERT_TRUE(serve(
      [&](UnixServer::ClientId id, std::string_view) {
        server_->send(id, "first");
        server_->send(id, "second");
      },
      {}));
  int disconnects = 0;
  std::vector<std::string> lines;
  std::unique_ptr<UnixClient> client;
  client = std::make_unique<UnixClient>(
      *loop_, path_,
      UnixClient::Callbacks{.connected = [&] { client->send("hello"); },
                            .line =
                                [&](std::string_view line) {
                                  client->reset("nonsense");
                                  lines.emplace_back(line);
                                },
                            .disconnected =
                                [&](const Error& why) {
                                  EXPECT_EQ(why.message, "socket \"" + path_ + "\": nonsense");
                                  EXPECT_FALSE(client->is_connected());
                                  ++disconnects;
                                }});
  ASSERT_TRUE(until([&] { return disconnects == 2; }));
  EXPECT_EQ(lines, (std::vector<std::string>{"first", "first"}));
}

TEST_F(UnixChannelTest, ASecondServerIsRefusedAndTheFirstGoesOn) {
  ASSERT_TRUE(serve_echo());
  const auto second = UnixServer::listen(*loop_, path_, {}, [](UnixServer::ClientId, std::string_view) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::exists);
  EXPECT_EQ(second.error().message,
            "socket \"" + path_ + "\": another sluice runs on this runtime directory");
  start_client();
  ASSERT_TRUE(until([&] { return client_->is_connected(); }));
}

TEST_F(UnixChannelTest, AStaleSocketIsTakenOver) {
  { const Fd dead = *listen_unix(path_, 0600); }  // closed without unlink, as by a killed process
  ASSERT_EQ(::access(path_.c_str(), F_OK), 0);
  EXPECT_EQ(connect_unix(path_).error().code, ErrorCode::unavailable);
  ASSERT_TRUE(serve_echo());
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
  server_.reset();
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);  // it cleans up behind itself
}

TEST_F(UnixChannelTest, OnlySocketsAreTakenOver) {
  std::ofstream{path_} << "precious";
  const auto refused = serve_echo();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "socket \"" + path_ + "\": a file of this name exists and is no socket; remove it");
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixChannelTest, AServerLeavesAnothersSocketAlone) {
  ASSERT_TRUE(serve_echo());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const Fd other = *listen_unix(path_, 0600);
  server_.reset();
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixChannelTest, OfManyThatStartAtOnceOneWins) {
  { const Fd dead = *listen_unix(path_, 0600); }
  std::vector<Result<Fd>> results;
  for (int i = 0; i < 8; ++i) results.emplace_back(Error{});
  std::vector<std::thread> starters;
  for (auto& result : results) starters.emplace_back([&] { result = listen_unix(path_, 0600); });
  for (auto& starter : starters) starter.join();
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& result) { return result.has_value(); }), 1);
  EXPECT_TRUE(connect_unix(path_));
}

TEST_F(UnixChannelTest, APathThatIsTooLongIsSaidSo) {
  path_ = "/tmp/" + std::string(104, 'x');
  const auto refused = serve_echo();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "socket \"" + path_ +
                "\": the path has 109 bytes, a Unix socket's may have at most 107; choose a "
                "shorter runtime directory");
  path_ = dir_.file("missing/dir.sock");
  EXPECT_EQ(serve_echo().error().code, ErrorCode::not_found);
}

TEST_F(UnixChannelTest, OutOfDescriptorsTheServerWaitsInsteadOfSpinning) {
  ASSERT_TRUE(serve_echo());
  const Fd waiting = raw();
  put(waiting, "hello\n");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Fd probe{::dup(waiting.get())};  // the lowest free number: with the limit here, none is left
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(probe.get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  loop_->run_once(milliseconds{0});
  EXPECT_FALSE(loop_->run_once(milliseconds{0}));  // nothing to do, for now
  EXPECT_EQ(server_->clients(), 0U);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(until([&] { return server_->clients() == 1; }));
}

class RequestTest : public UnixChannelTest {
 protected:
  /// Asks from another thread while the loop serves.
  Result<std::string> ask(std::string_view line, milliseconds timeout = milliseconds{10'000}) {
    Result<std::string> answer = Error{};
    std::atomic<bool> done = false;
    std::thread asker{[&] {
      answer = request(path_, line, timeout);
      done = true;
    }};
    EXPECT_TRUE(until([&] { return done.load(); }));
    asker.join();
    return answer;
  }
};

TEST_F(RequestTest, ReturnsTheAnswer) {
  ASSERT_TRUE(serve_echo());
  EXPECT_EQ(*ask("hello"), "echo hello");
  const std::string big(std::size_t{5} << 20, 'y');
  EXPECT_EQ(*ask(big), "echo " + big);
}

TEST_F(RequestTest, TellsWhyThereIsNoAnswer) {
  const auto nobody = request(path_, "hello", milliseconds{100});
  EXPECT_EQ(nobody.error().code, ErrorCode::unavailable);
  EXPECT_EQ(nobody.error().message, "socket \"" + path_ + "\": nobody listens there (is sluice running?)");

  ASSERT_TRUE(serve([](UnixServer::ClientId, std::string_view) {}, {}));
  EXPECT_EQ(ask("hello", milliseconds{30}).error().message,
            "socket \"" + path_ + "\": no answer within 30 ms");

  server_.reset();
  ASSERT_TRUE(serve([this](UnixServer::ClientId id, std::string_view) { server_->finish(id); }, {}));
  EXPECT_EQ(ask("hello").error().message,
            "socket \"" + path_ + "\": the connection was closed before an answer came");
}

TEST_F(RequestTest, WaitsItsTurnWhereManyWait) {
  ASSERT_TRUE(serve_echo({.max_clients = 200}));
  std::vector<Fd> crowd;  // nobody is taken in before the loop runs
  auto next = connect_unix(path_);
  for (; next; next = connect_unix(path_)) crowd.push_back(*std::move(next));
  EXPECT_EQ(next.error().code, ErrorCode::exhausted);
  EXPECT_EQ(request(path_, "hello", milliseconds{20}).error().code, ErrorCode::exhausted);
  EXPECT_EQ(*ask("hello"), "echo hello");
}

TEST_F(RequestTest, HearsWhyItsLineWasRefused) {
  ASSERT_TRUE(serve_echo({.limits = {.line = 1000, .output = 1 << 20}}));
  EXPECT_EQ(*ask(std::string(std::size_t{4} << 20, 'z')),
            "{\"ok\":false,\"error\":\"request: the line is longer than 1000 bytes\"}");
}

}  // namespace
}  // namespace sluice::base
