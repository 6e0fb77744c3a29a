// What the kernel may say of links, addresses, routes and neighbours, or something like it: a message is a
// value or nothing. The input is what follows the message's header.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <linux/rtnetlink.h>
#include <vector>

#include "dp/kernel/rtnetlink_parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::dp;
  if (size == 0) return 0;
  // The first byte chooses the message; what follows is its own, aligned, and no longer than it is.
  constexpr std::uint16_t kTypes[]{RTM_NEWLINK,  RTM_DELLINK,  RTM_NEWADDR,  RTM_DELADDR,
                                   RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH, RTM_DELNEIGH};
  nlmsghdr header{};
  header.nlmsg_type = kTypes[data[0] % std::size(kTypes)];
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + size - 1);
  std::vector<std::uint8_t> message(header.nlmsg_len);
  std::memcpy(message.data(), &header, sizeof(header));
  if (size > 1) std::memcpy(message.data() + NLMSG_HDRLEN, data + 1, size - 1);
  const auto* parsed = reinterpret_cast<const nlmsghdr*>(message.data());
  switch (header.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: (void)parse_link(parsed); break;
    case RTM_NEWADDR:
    case RTM_DELADDR: (void)parse_address(parsed); break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE: (void)parse_route(parsed); break;
    default: (void)parse_neighbour(parsed); break;
  }
  return 0;
}
