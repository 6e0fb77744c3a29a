#include <algorithm>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/unix_channel.h"

namespace sluice::base {
namespace {

constexpr EventLoop::Milliseconds kAcceptPause{100};
constexpr int kAcceptsPerEvent = 64;

}  // namespace

Result<std::unique_ptr<UnixServer>> UnixServer::listen(EventLoop& loop, const std::string& path,
                                                       Options options, LineCallback on_line) {
  std::unique_ptr<UnixServer> server{new UnixServer{loop, path, options, std::move(on_line)}};
  if (auto started = server->start(); !started) return std::move(started).error();
  return server;
}

Result<void> UnixServer::start() {
  auto listener = listen_unix(path_, options_.mode);
  if (!listener) return std::move(listener).error();
  listener_ = *std::move(listener);
  if (struct stat status{}; ::lstat(path_.c_str(), &status) == 0) {
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  if (options_.silence.count() > 0) {
    const auto period = std::max(options_.silence / 4, EventLoop::Milliseconds{1});
    sweep_ = loop_.every(period, [this] { drop_silent(); });
  }
  return loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_all(); });
}

UnixServer::~UnixServer() {
  loop_.cancel(resume_);
  loop_.cancel(sweep_);
  for (const auto& [id, client] : clients_) loop_.remove(client->stream.fd());
  if (!listener_) return;
  loop_.remove(listener_.get());
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    static_cast<void>(::unlink(path_.c_str()));  // left behind, it would be taken for what it is: stale
  }
}

void UnixServer::accept_all() {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    Fd fd{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) pause_accepting();
      return;
    }
    if (clients_.size() >= options_.max_clients) {
      ++stats_.refused;
      continue;
    }
    const ClientId id{++last_client_};
    const int number = fd.get();
    const auto client = std::make_shared<Client>(Client{LineStream{std::move(fd), options_.limits}});
    client->watched = EPOLLIN;
    if (!loop_.add(number, EPOLLIN, [this, id](std::uint32_t events) { on_event(id, events); })) {
      ++stats_.refused;  // no kernel memory for one more watch
      continue;
    }
    clients_.emplace(id, client);
    ++stats_.accepted;
  }
}

void UnixServer::pause_accepting() {
  // Out of descriptors: the waiting client would wake the loop without end.
  if (!loop_.modify(listener_.get(), 0)) return;
  resume_ = loop_.after(kAcceptPause, [this] {
    resume_ = EventLoop::TimerId::none;
    if (!loop_.modify(listener_.get(), EPOLLIN)) pause_accepting();
  });
}

void UnixServer::on_event(ClientId id, std::uint32_t events) {
  const ClientRef client =
      clients_.at(id);  // keeps the line in hand alive when the client is closed meanwhile
  if ((events & EPOLLOUT) != 0) {
    const std::size_t waited = client->stream.waiting();
    if (client->stream.flush() == LineStream::Output::failed) {
      close(id);
      return;
    }
    // It reads a long answer, however slowly.
    if (client->stream.waiting() < waited) client->heard = EventLoop::Clock::now();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    if (client->taking) {
      take_lines(id, client);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {  // nobody is left to read what it asked for
      close(id);
      return;
    }
  }
  if (has(id)) settle(id, *client);
}

void UnixServer::take_lines(ClientId id, const ClientRef& client) {
  const LineStream::Input input = client->stream.receive();
  std::string_view line;
  while (client->taking && client->stream.next_line(line)) {
    ++client->unanswered;
    client->heard = EventLoop::Clock::now();
    on_line_(id, line);
    if (!has(id)) return;
  }
  if (!client->taking) return;
  switch (input) {
    case LineStream::Input::open: break;
    case LineStream::Input::ended: client->taking = false; break;
    case LineStream::Input::too_long:
      ++stats_.too_long;
      if (send(id, R"({"ok":false,"error":"request: the line is longer than )" +
                       std::to_string(options_.limits.line) + R"( bytes"})")) {
        finish(id);
      }
      break;
    case LineStream::Input::failed: close(id); break;
  }
}

bool UnixServer::send(ClientId id, std::string_view line) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return false;
  const ClientRef client = found->second;
  switch (client->stream.send(line)) {
    case LineStream::Output::sent:
    case LineStream::Output::waiting: break;
    case LineStream::Output::full:
      ++stats_.cut_off;
      close(id);
      return false;
    case LineStream::Output::failed: close(id); return false;
  }
  if (client->unanswered > 0) --client->unanswered;
  settle(id, *client);
  return true;
}

void UnixServer::finish(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  const ClientRef client = found->second;
  client->taking = false;
  client->finishing = true;
  settle(id, *client);
}

void UnixServer::keep(ClientId id) {
  const auto found = clients_.find(id);
  if (found != clients_.end()) found->second->kept = true;
}

void UnixServer::drop_silent() {
  const auto since = EventLoop::Clock::now() - options_.silence;
  std::vector<ClientId> silent;
  for (const auto& [id, client] : clients_) {
    if (!client->kept && client->unanswered == 0 && client->heard <= since) silent.push_back(id);
  }
  for (const ClientId id : silent) {
    ++stats_.silent;
    close(id);
  }
}

void UnixServer::settle(ClientId id, Client& client) {
  const bool waiting = client.stream.waiting() != 0;
  if (!client.taking && !waiting && (client.finishing || client.unanswered == 0)) {
    close(id);
    return;
  }
  const std::uint32_t wanted =
      (client.taking ? std::uint32_t{EPOLLIN} : 0U) | (waiting ? std::uint32_t{EPOLLOUT} : 0U);
  if (wanted == client.watched) return;
  if (!loop_.modify(client.stream.fd(), wanted)) {
    close(id);
    return;
  }
  client.watched = wanted;
}

void UnixServer::close(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  loop_.remove(found->second->stream.fd());
  clients_.erase(found);
}

}  // namespace sluice::base
