#include "dp/kernel/rtnetlink_parse.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <memory>
#include <net/if.h>
#include <random>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <gtest/gtest.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

namespace sluice::dp {
namespace {

/// Writes a message as the kernel would.
class MessageWriter {
 public:
  template <typename Header>
  MessageWriter(int type, Header header) : message_(nlmsg_alloc_simple(type, 0), nlmsg_free) {
    nlmsg_append(message_.get(), &header, sizeof(header), NLMSG_ALIGNTO);
  }
  MessageWriter& text(int type, const char* value) {
    nla_put_string(message_.get(), type, value);
    return *this;
  }
  MessageWriter& u16(int type, std::uint16_t value) {
    nla_put_u16(message_.get(), type, value);
    return *this;
  }
  MessageWriter& u32(int type, std::uint32_t value) {
    nla_put_u32(message_.get(), type, value);
    return *this;
  }
  MessageWriter& bytes(int type, std::string_view value) {
    nla_put(message_.get(), type, static_cast<int>(value.size()), value.data());
    return *this;
  }
  MessageWriter& address(int type, const std::string& value) {
    return bytes(type, base::IpAddress::parse(value)->wire());
  }
  MessageWriter& begin(int type) {
    nests_.push_back(nla_nest_start(message_.get(), type));
    return *this;
  }
  MessageWriter& end() {
    nla_nest_end(message_.get(), nests_.back());
    nests_.pop_back();
    return *this;
  }
  [[nodiscard]] nlmsghdr* get() const { return nlmsg_hdr(message_.get()); }

 private:
  std::unique_ptr<nl_msg, void (*)(nl_msg*)> message_;
  std::vector<nlattr*> nests_;
};

constexpr std::string_view kMac("\x02\x00\x00\x00\x00\x07", 6);

MessageWriter vlan_link() {
  ifinfomsg header{};
  header.ifi_index = 12;
  header.ifi_flags = IFF_UP | IFF_RUNNING;
  MessageWriter message(RTM_NEWLINK, header);
  message.text(IFLA_IFNAME, "lan.7").u32(IFLA_MTU, 1496).bytes(IFLA_ADDRESS, kMac).u32(IFLA_LINK, 3);
  message.begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "vlan").begin(IFLA_INFO_DATA);
  message.u16(IFLA_VLAN_ID, 7).u16(IFLA_VLAN_PROTOCOL, base::Be16(0x88a8).raw()).end().end();
  return message;
}

rtmsg route_header(unsigned char family, unsigned char length, unsigned char type) {
  rtmsg header{};
  header.rtm_family = family;
  header.rtm_dst_len = length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = type;
  return header;
}

TEST(RtnetlinkParse, ReadsAVlanInterface) {
  const auto link = parse_link(vlan_link().get());
  ASSERT_TRUE(link);
  EXPECT_EQ(*link, (Link{12, "lan.7", *base::Mac::parse("02:00:00:00:00:07"), 1496, true, true, 3,
                         VlanTag{base::EtherType::qinq, 7}}));
}

TEST(RtnetlinkParse, AVlanWhoseParentIsInAnotherNamespaceHasNone) {
  MessageWriter message = vlan_link();
  message.u32(IFLA_LINK_NETNSID, 1);
  const auto link = parse_link(message.get());
  ASSERT_TRUE(link);
  EXPECT_FALSE(link->vlan);
  EXPECT_EQ(link->parent, 0U);
}

TEST(RtnetlinkParse, ReadsWhatAMacvlanStandsOn) {
  ifinfomsg header{};
  header.ifi_index = 13;
  MessageWriter message(RTM_NEWLINK, header);
  message.text(IFLA_IFNAME, "vrrp.61").bytes(IFLA_ADDRESS, kMac).u32(IFLA_LINK, 3);
  message.begin(IFLA_LINKINFO).text(IFLA_INFO_KIND, "macvlan").end();
  const auto link = parse_link(message.get());
  ASSERT_TRUE(link);
  EXPECT_EQ(link->parent, 3U);
  EXPECT_FALSE(link->vlan);
}

TEST(RtnetlinkParse, LeavesBridgePortsAlone) {
  ifinfomsg header{};
  header.ifi_family = AF_BRIDGE;
  header.ifi_index = 4;
  EXPECT_FALSE(parse_link(MessageWriter(RTM_DELLINK, header).get()));
}

TEST(RtnetlinkParse, ReadsTheNearEndOfAPointToPointAddress) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_index = 5;
  MessageWriter message(RTM_NEWADDR, header);
  message.address(IFA_ADDRESS, "10.0.0.2").address(IFA_LOCAL, "10.0.0.1");
  EXPECT_EQ(parse_address(message.get()), (InterfaceAddress{5, *base::Prefix::parse("10.0.0.1/32")}));
}

TEST(RtnetlinkParse, ReadsAGatewayWithMetricAndMtu) {
  MessageWriter message(RTM_NEWROUTE, route_header(AF_INET, 24, RTN_UNICAST));
  message.address(RTA_DST, "198.51.100.0")
      .address(RTA_GATEWAY, "10.0.0.2")
      .u32(RTA_OIF, 3)
      .u32(RTA_PRIORITY, 50);
  message.begin(RTA_METRICS).u32(RTAX_MTU, 1400).end();
  const auto route = parse_route(message.get());
  ASSERT_TRUE(route);
  EXPECT_EQ(route->key, (RouteKey{*base::Prefix::parse("198.51.100.0/24"), RouteOrigin::main_table, 50}));
  EXPECT_EQ(route->route,
            (Route{RouteType::unicast, 1400, {{3, *base::IpAddress::parse("10.0.0.2"), false}}}));
}

TEST(RtnetlinkParse, LeavesOtherTablesCachedAndSourceSpecificRoutesAlone) {
  rtmsg other = route_header(AF_INET, 24, RTN_UNICAST);
  EXPECT_FALSE(parse_route(MessageWriter(RTM_NEWROUTE, other).u32(RTA_TABLE, 1000).get()));
  rtmsg cached = route_header(AF_INET6, 128, RTN_UNICAST);
  cached.rtm_flags = RTM_F_CLONED;
  EXPECT_FALSE(parse_route(MessageWriter(RTM_NEWROUTE, cached).get()));
  rtmsg specific = route_header(AF_INET6, 64, RTN_UNICAST);
  specific.rtm_src_len = 64;
  EXPECT_FALSE(parse_route(MessageWriter(RTM_NEWROUTE, specific).get()));
}

TEST(RtnetlinkParse, ReadsNeighboursButNotProxies) {
  ndmsg header{};
  header.ndm_family = AF_INET6;
  header.ndm_ifindex = 3;
  header.ndm_state = NUD_STALE;
  MessageWriter message(RTM_NEWNEIGH, header);
  message.address(NDA_DST, "fe80::1").bytes(NDA_LLADDR, kMac);
  const auto neighbour = parse_neighbour(message.get());
  ASSERT_TRUE(neighbour);
  EXPECT_EQ(neighbour->key, (NeighbourKey{3, *base::IpAddress::parse("fe80::1")}));
  EXPECT_EQ(neighbour->neighbour, (Neighbour{NeighbourState::stale, *base::Mac::parse("02:00:00:00:00:07")}));
  header.ndm_flags = NTF_PROXY;
  EXPECT_FALSE(parse_neighbour(MessageWriter(RTM_NEWNEIGH, header).address(NDA_DST, "fe80::1").get()));
}

TEST(RtnetlinkParse, SurvivesMutilatedMessages) {
  std::mt19937 random(42);
  rtmsg header = route_header(AF_INET, 24, RTN_UNICAST);
  MessageWriter route(RTM_NEWROUTE, header);
  route.address(RTA_DST, "198.51.100.0").address(RTA_GATEWAY, "10.0.0.2").u32(RTA_OIF, 3);
  route.bytes(RTA_MULTIPATH, std::string_view("\x10\0\0\0\3\0\0\0\x08\0\5\0\x0a\0\0\2", 16));
  route.begin(RTA_METRICS).u32(RTAX_MTU, 1400).end();
  for (const MessageWriter& whole : {vlan_link(), std::move(route)}) {
    const std::uint32_t size = whole.get()->nlmsg_len;
    for (int i = 0; i < 20'000; ++i) {
      // An exact heap copy, so that the address sanitizer sees the first byte read too far.
      const std::uint32_t length = NLMSG_HDRLEN + random() % (size - NLMSG_HDRLEN + 1);
      const std::unique_ptr<std::byte[]> copy(new std::byte[length]);
      std::memcpy(copy.get(), whole.get(), length);
      for (unsigned n = random() % 4; n > 0 && length > NLMSG_HDRLEN; --n) {
        copy[NLMSG_HDRLEN + random() % (length - NLMSG_HDRLEN)] = static_cast<std::byte>(random());
      }
      auto* message = reinterpret_cast<nlmsghdr*>(copy.get());
      message->nlmsg_len = length;
      (void)parse_link(message);
      (void)parse_address(message);
      (void)parse_route(message);
      (void)parse_neighbour(message);
    }
  }
}

}  // namespace
}  // namespace sluice::dp
