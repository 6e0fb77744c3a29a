#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <linux/netlink.h>
#include <memory>
#include <string_view>

#include "base/event_loop.h"
#include "base/result.h"

struct nl_msg;
struct nl_sock;

/// Netlink by libnl-3: sockets, requests, dumps and notifications. What is in the messages is for the users
/// to parse (linux/rtnetlink.h, linux/inet_diag.h; nlmsg_parse() of libnl).
///
/// How to mirror a part of the kernel: make a NetlinkMonitor first, then dump, then apply what the monitor
/// has collected. A change between the dump and its notification is seen twice, never missed; so applying has
/// to be idempotent. On `resync` forget everything and dump again.
namespace sluice::base {

/// `what` + ": " + libnl's text; the code by kind of failure. `nl_code`: what a libnl function returned (<
/// 0).
Error netlink_error(std::string_view what, int nl_code);

struct NlMessageDeleter {
  void operator()(nl_msg* message) const noexcept;
};
/// A message under construction; nlmsg_put() and nla_put() return an error when it is full.
using NlMessage = std::unique_ptr<nl_msg, NlMessageDeleter>;
/// An empty message of `type` (RTM_…) with NLM_F_REQUEST and `flags`; its protocol's fixed header follows by
/// nlmsg_append().
Result<NlMessage> make_message(std::uint16_t type, int flags);

/// A blocking socket for requests and dumps. Thread: one at a time.
class NetlinkSocket {
 public:
  using MessageCallback = std::function<void(const nlmsghdr& message)>;

  /// `protocol`: NETLINK_ROUTE, NETLINK_SOCK_DIAG, … It belongs to the network namespace that the calling
  /// thread is in now, and stays there.
  static Result<NetlinkSocket> open(int protocol);

  /// Sends `message` and waits for the kernel's acknowledgement. `what` names the action in the Error
  /// ("neighbour 10.0.0.1 on eth0").
  Result<void> request(nl_msg& message, std::string_view what);
  /// Sends `message` (made with NLM_F_DUMP) and hands every answer to `each`. A dump that the kernel's table
  /// changed under (NLM_F_DUMP_INTR) gives ErrorCode::unavailable: what `each` saw may be inconsistent; ask
  /// again.
  Result<void> dump(nl_msg& message, std::string_view what, const MessageCallback& each);
  [[nodiscard]] nl_sock* get() const noexcept { return socket_.get(); }

 private:
  struct Deleter {
    void operator()(nl_sock* socket) const noexcept;
  };
  friend class NetlinkMonitor;
  explicit NetlinkSocket(nl_sock* socket) noexcept : socket_(socket) {}
  Result<void> send(nl_msg& message, std::string_view what);

  std::unique_ptr<nl_sock, Deleter> socket_;
};

/// Follows notification groups from an event loop. Thread: the loop's. Callbacks must not destroy the
/// monitor.
class NetlinkMonitor {
 public:
  struct Callbacks {
    std::function<void(const nlmsghdr& message)> message;
    /// Notifications were lost (ENOBUFS: the buffer was full): dump everything again. None that is older
    /// than this call is told after it.
    std::function<void()> resync;
  };

  /// `groups`: RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, … `loop` must outlive the monitor.
  static Result<std::unique_ptr<NetlinkMonitor>> start(EventLoop& loop, int protocol,
                                                       std::initializer_list<int> groups,
                                                       Callbacks callbacks);
  NetlinkMonitor(const NetlinkMonitor&) = delete;
  NetlinkMonitor& operator=(const NetlinkMonitor&) = delete;
  ~NetlinkMonitor();

  /// Takes what has arrived, without waiting for the loop's turn.
  void drain();
  [[nodiscard]] int fd() const noexcept;
  /// Sets the kernel's buffer for it (bytes); beyond net.core.rmem_max only with CAP_NET_ADMIN. 4 MiB from
  /// the start.
  Result<void> set_buffer(int bytes);
  [[nodiscard]] std::uint64_t resyncs() const noexcept { return resyncs_; }

 private:
  NetlinkMonitor(EventLoop& loop, NetlinkSocket socket, Callbacks callbacks)
      : loop_(loop), socket_(std::move(socket)), callbacks_(std::move(callbacks)) {}
  /// Takes all that waits, and tells none of it.
  void discard() const noexcept;

  EventLoop& loop_;
  NetlinkSocket socket_;
  Callbacks callbacks_;
  std::uint64_t resyncs_ = 0;
};

}  // namespace sluice::base
