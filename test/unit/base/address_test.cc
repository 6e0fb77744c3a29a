#include "base/address.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

TEST(Mac, TextRoundTrip) {
  const auto mac = Mac::parse("02:aB:cd:EF:00:9f");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->to_string(), "02:ab:cd:ef:00:9f");
  EXPECT_EQ(*Mac::parse("02-ab-cd-ef-00-9f"), *mac);
  EXPECT_FALSE(mac->is_multicast());
  EXPECT_TRUE(Mac::parse("01:00:5e:00:00:12")->is_multicast());
  EXPECT_TRUE(Mac::parse("00:00:00:00:00:00")->is_zero());
}

TEST(Mac, RejectsWhatIsNotSixOctets) {
  for (const char* text :
       {"", "02:ab:cd:ef:00", "02:ab:cd:ef:00:9f:", "02:ab:cd:ef:00:9f:11", "2:ab:cd:ef:00:9ff",
        "02:ab:cd:ef:00:9g", "02:ab-cd:ef:00:9f", "02ab.cdef.009f", " 2:ab:cd:ef:00:9f"}) {
    const auto mac = Mac::parse(text);
    ASSERT_FALSE(mac) << text;
    EXPECT_EQ(mac.error().message.rfind("MAC address \"" + std::string{text} + "\": ", 0), 0U);
  }
}

TEST(IpAddress, TextRoundTrip) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "192.0.2.10", "::", "::1", "2001:db8::1",
                           "fe80::1", "2001:db8:1:2:3:4:5:6", "ff02::12"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
    EXPECT_EQ(IpAddress::from_wire(address->wire()), *address);
  }
}

TEST(IpAddress, RejectsLooseForms) {
  for (const std::string text : {"",
                                 "10.0.0.300",
                                 "10.0.0",
                                 "10.0.0.1.2",
                                 "010.0.0.1",
                                 "0x0a.0.0.1",
                                 "167772161",
                                 "10.0.0.1 ",
                                 " 10.0.0.1",
                                 "10.0.0.1/8",
                                 "-1.0.0.0",
                                 ":",
                                 ":::",
                                 "1::2::3",
                                 "2001:db8::g",
                                 "2001:db8:1:2:3:4:5:6:7",
                                 "12345::",
                                 "fe80::1%eth0",
                                 "[::1]",
                                 "localhost",
                                 "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view{"10.0.0.1\0x", 10}));
  EXPECT_EQ(IpAddress::parse("10.0.0.300").error().message,
            "address \"10.0.0.300\": not an IPv4 or IPv6 address");
  EXPECT_FALSE(Ipv4::parse("::1"));
  EXPECT_FALSE(Ipv6::parse("10.0.0.1"));
}

struct Rfc5952Row {
  const char* given;
  const char* canonical;
};

TEST(Ipv6, TextIsCanonicalByRfc5952) {
  for (const auto& [given, canonical] :
       std::vector<Rfc5952Row>{{"2001:0db8::0001", "2001:db8::1"},         // §4.1 leading zeros
                               {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},  // §4.2.1 as short as possible
                               {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // §4.2.2 not for one group
                               {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          // §4.2.3 the longest run
                               {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},  // §4.2.3 the first of equals
                               {"2001:DB8::ABCD", "2001:db8::abcd"},           // §4.3 lower case
                               {"::ffff:c000:0201", "::ffff:192.0.2.1"},       // §5 IPv4-mapped
                               {"1:0:0:0:0:0:0:0", "1::"},
                               {"0:0:0:0:0:0:0:0", "::"}}) {
    const auto address = Ipv6::parse(given);
    ASSERT_TRUE(address) << given;
    EXPECT_EQ(address->to_string(), canonical);
  }
}

TEST(IpAddress, KnowsItsKind) {
  EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
  EXPECT_FALSE(IpAddress::parse("0.0.0.1")->is_unspecified());
  EXPECT_TRUE(IpAddress::parse("127.8.9.1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("224.0.0.18")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("ff02::12")->is_multicast());
  EXPECT_FALSE(IpAddress::parse("223.255.255.255")->is_multicast());
  EXPECT_TRUE(Ipv6::parse("febf::1")->is_link_local());
  EXPECT_FALSE(Ipv6::parse("fec0::1")->is_link_local());
}

TEST(IpAddress, IsOrderedAndComparedWithinItsFamily) {
  EXPECT_LT(*IpAddress::parse("10.0.0.9"), *IpAddress::parse("10.0.1.0"));
  EXPECT_LT(*IpAddress::parse("9.0.0.0"), *IpAddress::parse("10.0.0.0"));
  EXPECT_NE(*IpAddress::parse("0.0.0.0"), *IpAddress::parse("::"));
  EXPECT_EQ(IpAddress::parse("10.1.2.3")->v4(), Ipv4::from_host(0x0a010203));
  EXPECT_EQ(IpAddress::parse("10.1.2.3")->wire(), (std::string_view{"\x0a\x01\x02\x03", 4}));
}

TEST(Prefix, TextRoundTripKeepsHostBits) {
  EXPECT_EQ(Prefix::parse("10.1.2.3/8")->to_string(), "10.1.2.3/8");
  EXPECT_EQ(Prefix::parse("10.1.2.3")->to_string(), "10.1.2.3/32");
  EXPECT_EQ(Prefix::parse("2001:db8::1")->to_string(), "2001:db8::1/128");
  EXPECT_EQ(Prefix::parse("::/0")->to_string(), "::/0");
}

TEST(Prefix, NetworkHasNoBitsBehindItsLength) {
  const auto network = [](const char* text) { return Prefix::parse(text)->network().to_string(); };
  EXPECT_EQ(network("10.255.2.3/8"), "10.0.0.0/8");
  EXPECT_EQ(network("10.255.2.3/9"), "10.128.0.0/9");
  EXPECT_EQ(network("255.255.255.255/0"), "0.0.0.0/0");
  EXPECT_EQ(network("10.1.2.3/32"), "10.1.2.3/32");
  EXPECT_EQ(network("10.1.2.3/31"), "10.1.2.2/31");
  EXPECT_EQ(network("2001:db8:ffff::1/33"), "2001:db8:8000::/33");
  EXPECT_EQ(network("2001:db8::1/128"), "2001:db8::1/128");
}

TEST(Prefix, RejectsBadLengths) {
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8 ",
        "10.0.0.0/8/8", "::/129", "10.0/8", "/8", "10.0.0.0/255.0.0.0", "::/99999999999"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
  EXPECT_EQ(Prefix::parse("10.0.0.0/33").error().message, "prefix \"10.0.0.0/33\": length must be 0..32");
}

TEST(Prefix, ContainsByBits) {
  const auto in = [](const char* prefix, const char* address) {
    return Prefix::parse(prefix)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(in("10.0.0.0/8", "10.255.1.2"));
  EXPECT_FALSE(in("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(in("10.1.2.3/30", "10.1.2.0"));
  EXPECT_FALSE(in("10.1.2.3/30", "10.1.2.4"));
  EXPECT_TRUE(in("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(in("192.0.2.1", "192.0.2.0"));
  EXPECT_TRUE(in("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(in("0.0.0.0/0", "::"));
  EXPECT_TRUE(in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(in("::/0", "2001:db8::1"));
}

TEST(Endpoint, TextRoundTrip) {
  for (const char* text : {"10.0.0.1:80", "[2001:db8::1]:6443", "0.0.0.0:0", "[::]:65535"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
}

TEST(Endpoint, RejectsWhatIsAmbiguousOrOutOfRange) {
  for (const char* text :
       {"", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:080", "10.0.0.1:8o",
        "2001:db8::1:80", "[2001:db8::1]", "[2001:db8::1]80", "[10.0.0.1]:80", "[]:80", "[:80"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
  EXPECT_EQ(Endpoint::parse("10.0.0.1:65536").error().message,
            "endpoint \"10.0.0.1:65536\": port must be 0..65535");
}

}  // namespace
}  // namespace sluice::base
