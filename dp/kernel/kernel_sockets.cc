#include "dp/kernel/kernel_sockets.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/fd.h"

namespace sluice::dp {
namespace {

using base::Error;
using base::ErrorCode;
using base::Family;
using base::IpAddress;
using base::Result;
using config::PortRange;
using config::Protocol;

constexpr const char* kRangeFile = "/proc/sys/net/ipv4/ip_local_port_range";
constexpr const char* kReservedFile = "/proc/sys/net/ipv4/ip_local_reserved_ports";

Result<std::string> read_file(const char* path) {
  const base::Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return base::system_error(std::string(path) + ": cannot open", errno);
  std::string text;
  std::array<char, 4096> chunk{};
  while (true) {
    const ssize_t count = read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::system_error(std::string(path) + ": cannot read", errno);
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

/// Takes a port off the front of `text`.
std::optional<std::uint16_t> take_port(std::string_view& text) {
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return port;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// ::ffff:a.b.c.d (RFC 4291 §2.5.5.2) as a.b.c.d.
std::optional<base::Ipv4> mapped_v4(const base::Ipv6& address) {
  constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!std::equal(kPrefix.begin(), kPrefix.end(), address.bytes.begin())) return std::nullopt;
  const IpAddress whole(address);
  return IpAddress::from_wire(whole.wire().substr(kPrefix.size())).v4();
}

void add_socket(const nlmsghdr& message, Protocol protocol, KernelPorts& ports) {
  if (message.nlmsg_type != SOCK_DIAG_BY_FAMILY || !nlmsg_valid_hdr(&message, sizeof(inet_diag_msg))) return;
  const auto* socket = static_cast<const inet_diag_msg*>(nlmsg_data(&message));
  const std::uint16_t port = ntohs(socket->id.idiag_sport);
  if (port == 0) return;
  const auto* source = reinterpret_cast<const char*>(socket->id.idiag_src);
  if (socket->idiag_family == AF_INET) {
    ports.add(protocol, IpAddress::from_wire({source, 4}), port);
    return;
  }
  const base::Ipv6 address = IpAddress::from_wire({source, 16}).v6();
  if (const auto v4 = mapped_v4(address)) {
    ports.add(protocol, *v4, port);
    return;
  }
  ports.add(protocol, address, port);
  if (!address.is_unspecified()) return;
  const nlattr* v6_only =
      nlmsg_find_attr(const_cast<nlmsghdr*>(&message), sizeof(inet_diag_msg), INET_DIAG_SKV6ONLY);
  // Without a word on it, the cautious reading.
  if (v6_only == nullptr || nla_get_u8(v6_only) == 0) ports.add(protocol, base::Ipv4{}, port);
}

}  // namespace

KernelPorts::KernelPorts(PortRange ephemeral, std::vector<PortRange> reserved) {
  for (std::uint32_t port = ephemeral.first; port <= ephemeral.last; ++port) {
    const auto holds = [port](const PortRange& range) {
      return range.contains(static_cast<std::uint16_t>(port));
    };
    if (std::ranges::none_of(reserved, holds)) ephemeral_.set(port);
  }
}

void KernelPorts::add(Protocol protocol, const IpAddress& address, std::uint16_t port) {
  bound_[{protocol, address}].set(port);
}

std::vector<std::uint16_t> KernelPorts::excluded(Protocol protocol, const IpAddress& address) const {
  PortBits bits = ephemeral_;
  const IpAddress any = address.is_v4() ? IpAddress(base::Ipv4{}) : IpAddress(base::Ipv6{});
  for (const IpAddress& place : {any, address}) {
    if (const auto bound = bound_.find({protocol, place}); bound != bound_.end()) bits |= bound->second;
  }
  std::vector<std::uint16_t> ports;
  ports.reserve(bits.count());
  for (std::size_t port = 0; port < bits.size(); ++port) {
    if (bits.test(port)) ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

Result<PortRange> parse_local_port_range(std::string_view text) {
  std::string_view rest = trim(text);
  const auto first = take_port(rest);
  rest = trim(rest);
  const auto last = take_port(rest);
  if (!first || !last || !rest.empty()) {
    return Error{ErrorCode::invalid,
                 std::string(kRangeFile) + ": \"" + std::string(trim(text)) + "\": not a range of ports"};
  }
  return PortRange{*first, *last};
}

Result<std::vector<PortRange>> parse_reserved_ports(std::string_view text) {
  std::vector<PortRange> ranges;
  std::string_view rest = trim(text);
  while (!rest.empty()) {
    const auto first = take_port(rest);
    auto last = first;
    if (first && rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = take_port(rest);
    }
    if (!first || !last || !(rest.empty() || (rest.starts_with(',') && rest.size() > 1))) {
      return Error{ErrorCode::invalid,
                   std::string(kReservedFile) + ": \"" + std::string(trim(text)) + "\": not a list of ports"};
    }
    ranges.push_back({*first, *last});
    if (!rest.empty()) rest.remove_prefix(1);
  }
  return ranges;
}

Result<KernelSockets> KernelSockets::open() {
  auto socket = base::NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!socket) return std::move(socket).error();
  return KernelSockets(std::move(*socket));
}

Result<KernelPorts> KernelSockets::read() {
  auto range_text = read_file(kRangeFile);
  if (!range_text) return std::move(range_text).error();
  auto range = parse_local_port_range(*range_text);
  if (!range) return std::move(range).error();
  auto reserved_text = read_file(kReservedFile);
  if (!reserved_text) return std::move(reserved_text).error();
  auto reserved = parse_reserved_ports(*reserved_text);
  if (!reserved) return std::move(reserved).error();

  KernelPorts ports(*range, std::move(*reserved));
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    for (const Family family : {Family::v4, Family::v6}) {
      if (auto done = dump(protocol, family, ports); !done) return std::move(done).error();
    }
  }
  return ports;
}

Result<void> KernelSockets::dump(Protocol protocol, Family family, KernelPorts& ports) {
  inet_diag_req_v2 request{};
  request.sdiag_family = family == Family::v4 ? AF_INET : AF_INET6;
  request.sdiag_protocol = protocol == Protocol::tcp ? IPPROTO_TCP : IPPROTO_UDP;
  request.idiag_states = ~0U;  // every state
  auto message = base::make_message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  if (!message) return std::move(message).error();
  if (nlmsg_append(message->get(), &request, sizeof(request), NLMSG_ALIGNTO) < 0) {
    return Error{ErrorCode::exhausted, "the kernel's sockets: no memory to ask for them"};
  }
  const std::string what = std::string("the kernel's ") + (protocol == Protocol::tcp ? "TCP" : "UDP") +
                           " sockets (kernel module " +
                           (protocol == Protocol::tcp ? "tcp_diag" : "udp_diag") + ")";
  auto done =
      socket_.dump(**message, what, [&](const nlmsghdr& answer) { add_socket(answer, protocol, ports); });
  // Sockets that come and go meanwhile are seen the next time; those that stay are all there.
  if (!done && done.error().code == ErrorCode::unavailable) return {};
  return done;
}

}  // namespace sluice::dp
