#include "base/netlink.h"

#include <cerrno>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utility>

#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

namespace sluice::base {
namespace {

constexpr int kMonitorBuffer = 4 << 20;
constexpr int kReceivesPerDrain = 256;
/// More than the buffer holds of the smallest messages.
constexpr int kMostWaiting = 65'536;

ErrorCode code_of(int nl_code) noexcept {
  switch (nl_code < 0 ? -nl_code : nl_code) {
    case NLE_PERM:
    case NLE_NOACCESS: return ErrorCode::permission;
    case NLE_OBJ_NOTFOUND:
    case NLE_NODEV: return ErrorCode::not_found;
    case NLE_EXIST:
    case NLE_BUSY: return ErrorCode::exists;
    case NLE_NOMEM: return ErrorCode::exhausted;
    case NLE_INVAL:
    case NLE_RANGE: return ErrorCode::invalid;
    case NLE_AGAIN:
    case NLE_DUMP_INTR: return ErrorCode::unavailable;
    default: return ErrorCode::system;
  }
}

struct CallbackDeleter {
  void operator()(nl_cb* callbacks) const noexcept { nl_cb_put(callbacks); }
};
using NlCallbacks = std::unique_ptr<nl_cb, CallbackDeleter>;

/// What one dump's callbacks share.
struct DumpState {
  const NetlinkSocket::MessageCallback& each;
  bool done = false;
  int error = 0;  ///< the kernel's, negative errno
};

}  // namespace

Error netlink_error(std::string_view what, int nl_code) {
  std::string message{what};
  message.append(": ").append(nl_geterror(nl_code));
  return {code_of(nl_code), std::move(message)};
}

void NlMessageDeleter::operator()(nl_msg* message) const noexcept {
  nlmsg_free(message);
}

Result<NlMessage> make_message(std::uint16_t type, int flags) {
  NlMessage message{nlmsg_alloc_simple(type, NLM_F_REQUEST | flags)};
  if (!message) return netlink_error("netlink message", -NLE_NOMEM);
  return message;
}

void NetlinkSocket::Deleter::operator()(nl_sock* socket) const noexcept {
  nl_socket_free(socket);
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  NetlinkSocket socket{nl_socket_alloc()};
  if (socket.get() == nullptr) return netlink_error("netlink socket", -NLE_NOMEM);
  if (const int code = nl_connect(socket.get(), protocol); code < 0)
    return netlink_error("netlink socket", code);
  return socket;
}

Result<void> NetlinkSocket::send(nl_msg& message, std::string_view what) {
  if (const int code = nl_send_auto(socket_.get(), &message); code < 0) return netlink_error(what, code);
  return {};
}

Result<void> NetlinkSocket::request(nl_msg& message, std::string_view what) {
  nlmsg_hdr(&message)->nlmsg_flags |= NLM_F_ACK;
  if (auto sent = send(message, what); !sent) return sent;
  if (const int code = nl_wait_for_ack(socket_.get()); code < 0) return netlink_error(what, code);
  return {};
}

Result<void> NetlinkSocket::dump(nl_msg& message, std::string_view what, const MessageCallback& each) {
  // libnl stops at an interrupted message and leaves the rest in the socket, to confuse the next request.
  // Here the dump is read to its end, whatever happens on the way.
  bool interrupted = false;
  const MessageCallback watched = [&](const nlmsghdr& header) {
    interrupted |= (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    each(header);
  };
  DumpState state{watched};
  const NlCallbacks callbacks{nl_cb_alloc(NL_CB_DEFAULT)};
  if (!callbacks) return netlink_error(what, -NLE_NOMEM);
  if (auto sent = send(message, what); !sent) return sent;
  nl_cb_set(
      callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* answer, void* context) -> int {
        static_cast<DumpState*>(context)->each(*nlmsg_hdr(answer));
        return NL_OK;
      },
      &state);
  nl_cb_set(
      callbacks.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM, [](nl_msg*, void*) -> int { return NL_OK; }, nullptr);
  nl_cb_set(
      callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM,
      [](nl_msg*, void* context) -> int {
        static_cast<DumpState*>(context)->done = true;
        return NL_STOP;
      },
      &state);
  nl_cb_err(
      callbacks.get(), NL_CB_CUSTOM,
      [](sockaddr_nl*, nlmsgerr* error, void* context) -> int {
        auto& shared = *static_cast<DumpState*>(context);
        shared.error = error->error;
        shared.done = true;
        return NL_STOP;
      },
      &state);
  while (!state.done) {
    if (const int code = nl_recvmsgs(socket_.get(), callbacks.get()); code < 0)
      return netlink_error(what, code);
  }
  if (state.error != 0) return system_error(std::string{what}, -state.error);
  if (interrupted) return netlink_error(what, -NLE_DUMP_INTR);
  return {};
}

Result<std::unique_ptr<NetlinkMonitor>> NetlinkMonitor::start(EventLoop& loop, int protocol,
                                                              std::initializer_list<int> groups,
                                                              Callbacks callbacks) {
  auto socket = NetlinkSocket::open(protocol);
  if (!socket) return std::move(socket).error();
  nl_sock* const handle = socket->get();
  nl_socket_disable_seq_check(handle);  // notifications answer nothing
  if (const int code = nl_socket_set_nonblocking(handle); code < 0)
    return netlink_error("netlink monitor", code);

  std::unique_ptr<NetlinkMonitor> monitor{new NetlinkMonitor{loop, *std::move(socket), std::move(callbacks)}};
  const int code = nl_socket_modify_cb(
      handle, NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* message, void* context) -> int {
        static_cast<NetlinkMonitor*>(context)->callbacks_.message(*nlmsg_hdr(message));
        return NL_OK;
      },
      monitor.get());
  if (code < 0) return netlink_error("netlink monitor", code);
  if (auto sized = monitor->set_buffer(kMonitorBuffer); !sized) return std::move(sized).error();
  for (const int group : groups) {
    if (const int failure = nl_socket_add_membership(handle, group); failure < 0) {
      return netlink_error("netlink group " + std::to_string(group), failure);
    }
  }
  auto watched = loop.add(monitor->fd(), EPOLLIN, [self = monitor.get()](std::uint32_t) { self->drain(); });
  if (!watched) return std::move(watched).error();
  return monitor;
}

NetlinkMonitor::~NetlinkMonitor() {
  loop_.remove(fd());
}

int NetlinkMonitor::fd() const noexcept {
  return nl_socket_get_fd(socket_.get());
}

Result<void> NetlinkMonitor::set_buffer(int bytes) {
  if (::setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return {};
  // Without the right to exceed net.core.rmem_max, take as much as that allows; resync makes up for the rest.
  if (::setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0) return {};
  return system_error("netlink monitor: receive buffer of " + std::to_string(bytes) + " bytes", errno);
}

void NetlinkMonitor::discard() const noexcept {
  char first = 0;
  for (int i = 0; i < kMostWaiting; ++i) {
    if (::recv(fd(), &first, sizeof first, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno != ENOBUFS &&
        errno != EINTR)
      return;
  }
}

void NetlinkMonitor::drain() {
  bool lost = false;
  for (int i = 0; i < kReceivesPerDrain; ++i) {
    const int code = nl_recvmsgs_default(socket_.get());
    if (code >= 0) continue;
    if (code == -NLE_AGAIN) break;
    lost = true;  // NLE_NOMEM is ENOBUFS; anything else that cannot be read is lost as well
    if (code != -NLE_NOMEM) break;
  }
  if (!lost) return;
  // What still waits is older than the picture that is read now, and its sequel may be what was lost: whoever
  // applied it would believe in it for good.
  discard();
  ++resyncs_;
  callbacks_.resync();
}

}  // namespace sluice::base
