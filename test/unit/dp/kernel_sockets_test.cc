#include "dp/kernel/kernel_sockets.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using base::IpAddress;
using config::PortRange;
using config::Protocol;
using Ports = std::vector<std::uint16_t>;

constexpr PortRange kNone{1, 0};

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

TEST(KernelPorts, LeavesOutTheEphemeralRangeLessWhatIsReserved) {
  const KernelPorts ports({100, 106}, {{102, 103}, {106, 200}});
  EXPECT_EQ(ports.excluded(Protocol::tcp, ip("10.0.0.1")), (Ports{100, 101, 104, 105}));
  EXPECT_EQ(ports.excluded(Protocol::udp, ip("2001:db8::1")), (Ports{100, 101, 104, 105}));
}

TEST(KernelPorts, TakesARangeThatEndsWithTheLastPort) {
  const KernelPorts ports({65534, 65535}, {});
  EXPECT_EQ(ports.excluded(Protocol::tcp, ip("10.0.0.1")), (Ports{65534, 65535}));
}

TEST(KernelPorts, LeavesOutBoundPortsOnTheirAddressAndWildcardsOnAll) {
  KernelPorts ports(kNone, {});
  ports.add(Protocol::tcp, ip("10.0.0.1"), 80);
  ports.add(Protocol::tcp, ip("10.0.0.1"), 80);
  ports.add(Protocol::tcp, ip("0.0.0.0"), 22);
  ports.add(Protocol::udp, ip("10.0.0.1"), 53);
  ports.add(Protocol::tcp, ip("::"), 443);
  EXPECT_EQ(ports.excluded(Protocol::tcp, ip("10.0.0.1")), (Ports{22, 80}));
  EXPECT_EQ(ports.excluded(Protocol::tcp, ip("10.0.0.2")), (Ports{22}));
  EXPECT_EQ(ports.excluded(Protocol::udp, ip("10.0.0.1")), (Ports{53}));
  EXPECT_EQ(ports.excluded(Protocol::tcp, ip("2001:db8::1")), (Ports{443}));
}

TEST(KernelPorts, CompareByContent) {
  KernelPorts one({100, 101}, {}), other({100, 101}, {});
  EXPECT_EQ(one, other);
  one.add(Protocol::tcp, ip("10.0.0.1"), 80);
  EXPECT_NE(one, other);
  other.add(Protocol::tcp, ip("10.0.0.1"), 80);
  EXPECT_EQ(one, other);
}

TEST(KernelPorts, ReadsTheKernelsWayOfWritingRanges) {
  EXPECT_EQ(parse_local_port_range("32768\t60999\n").value_or(kNone), (PortRange{32768, 60999}));
  for (const char* text : {"", "1", "1 2 3", "x y", "1 99999"})
    EXPECT_FALSE(parse_local_port_range(text)) << text;
  EXPECT_EQ(*parse_reserved_ports("8080,9148-9200\n"), (std::vector<PortRange>{{8080, 8080}, {9148, 9200}}));
  EXPECT_EQ(*parse_reserved_ports("\n"), std::vector<PortRange>{});
  for (const char* text : {"1,", "1-", "-1", "a", "1 2"}) EXPECT_FALSE(parse_reserved_ports(text)) << text;
}

}  // namespace
}  // namespace sluice::dp
