#include <algorithm>
#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>

#include "test/packet_check.h"
#include "test/packet_view.h"

namespace sluice::test {
namespace {

/// Words put together with single spaces.
class Line {
 public:
  Line& word(const std::string& text) {
    if (!text_.empty() && !text.empty()) text_ += ' ';
    text_ += text;
    return *this;
  }
  Line& field(const char* name, std::uint64_t value) { return word(name).word(std::to_string(value)); }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string hex(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%04x", value);
  return text;
}

std::string mac_text(View bytes) {
  char text[24];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes.u8(0), bytes.u8(1), bytes.u8(2),
                bytes.u8(3), bytes.u8(4), bytes.u8(5));
  return text;
}

std::string address_text(View bytes, bool v6) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.bytes().data(), text, sizeof text);
  return text;
}

std::string endpoint_text(const std::string& address, bool v6, unsigned port) {
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

std::string flags_text(unsigned flags) {
  static constexpr const char* kNames[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  std::string text;
  for (unsigned bit = 0; bit < 8; ++bit) {
    if ((flags >> bit & 1U) == 0) continue;
    if (!text.empty()) text += '|';
    text += kNames[bit];
  }
  return text.empty() ? "no-flags" : text;
}

void tcp_options(Line& line, View options) {
  for (std::size_t at = 0; at < options.size() && options.u8(at) != 0;) {
    const unsigned kind = options.u8(at);
    if (kind == 1) {
      ++at;
      continue;
    }
    const std::size_t length = options.u8(at + 1);
    if (length < 2) return;
    switch (kind) {
      case 2: line.field("mss", options.u16(at + 2)); break;
      case 3: line.field("wscale", options.u8(at + 2)); break;
      case 4: line.word("sackok"); break;
      case 5:
        for (std::size_t b = at + 2; b + 8 <= at + length; b += 8) {
          line.word("sack " + std::to_string(options.u32(b)) + "-" + std::to_string(options.u32(b + 4)));
        }
        break;
      case 8:
        line.word("ts " + std::to_string(options.u32(at + 2)) + "/" + std::to_string(options.u32(at + 6)));
        break;
      default: line.field("option", kind); break;
    }
    at += length;
  }
}

void describe_ip(Line& line, View packet, bool v6, bool quoted);

void describe_icmp(Line& line, const IpView& ip) {
  const unsigned type = ip.l4.u8(0);
  line.word(ip.v6 ? "icmp6" : "icmp")
      .field("type", type)
      .field("code", ip.l4.u8(1))
      .field("rest", ip.l4.u32(4));
  const bool error =
      ip.v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  if (!error) {
    line.field("len", ip.l4.size() - 8);
    return;
  }
  line.word("{");
  describe_ip(line, ip.l4.from(8), ip.v6, true);
  line.word("}");
}

/// The transport header; false when there is none to read.
bool describe_l4(Line& line, const IpView& ip) {
  if (ip.protocol == 6) {
    line.word("tcp");
    if (!ip.l4.has(20)) {
      if (ip.l4.has(8)) line.field("seq", ip.l4.u32(4));  // as an error quotes it
      return true;
    }
    const std::size_t header = (ip.l4.u8(12) >> 4) * std::size_t{4};
    line.word(flags_text(ip.l4.u8(13))).field("seq", ip.l4.u32(4)).field("ack", ip.l4.u32(8));
    line.field("win", ip.l4.u16(14));
    if (ip.l4.u16(18) != 0) line.field("urg", ip.l4.u16(18));
    tcp_options(line, ip.l4.first(header).from(20));
    line.field("len", ip.l4.from(header).size());
    return true;
  }
  if (ip.protocol == 17) {
    line.word("udp").field("len", ip.l4.has(8) ? ip.l4.size() - 8 : 0);
    if (ip.l4.has(8) && ip.l4.u16(6) == 0) line.word("no-checksum");
    return true;
  }
  if (ip.protocol == (ip.v6 ? 58U : 1U) && ip.l4.has(8)) {
    describe_icmp(line, ip);
    return true;
  }
  return false;
}

void describe_ip(Line& line, View packet, bool v6, bool quoted) {
  const IpView ip = read_ip(packet, v6, quoted);
  if (ip.header.size() == 0) {
    line.word(v6 ? "ip6" : "ip4").field("short", packet.size());
    return;
  }
  const std::string src = address_text(ip.header.from(v6 ? 8 : 12), v6);
  const std::string dst = address_text(ip.header.from(v6 ? 24 : 16), v6);
  const bool readable = ip.flaw == IpView::Flaw::none && ip.offset == 0;
  if (readable && (ip.protocol == 6 || ip.protocol == 17) && ip.l4.has(4)) {
    line.word(endpoint_text(src, v6, ip.l4.u16(0)) + " > " + endpoint_text(dst, v6, ip.l4.u16(2)));
  } else {
    line.word(src + " > " + dst);
  }
  if (!readable || !describe_l4(line, ip)) line.field("proto", ip.protocol).field("len", ip.l4.size());
  line.field("ttl", ip.header.u8(v6 ? 7 : 8));
  if (!v6) {
    line.field("id", ip.header.u16(4));
    if ((ip.header.u16(6) & 0x4000U) != 0) line.word("df");
    if (ip.header.size() > 20) line.field("options", ip.header.size() - 20);
  }
  const unsigned tos = v6 ? ip.header.u16(0) >> 4 & 0xffU : ip.header.u8(1);
  if (tos != 0) line.field("tos", tos);
  if (ip.fragment || ip.fragment_header) {
    line.field("frag", ip.offset).word(ip.more ? "more" : "last");
    if (v6) line.field("id", ip.fragment_id);
  }
  if (ip.trailer != 0) line.field("padding", ip.trailer);
}

}  // namespace

std::string describe(std::span<const std::byte> frame) {
  const View view(frame);
  Line line;
  const EthView eth = read_eth(view);
  if (!eth.whole) {
    line.field("short frame", frame.size());
  } else {
    line.word(mac_text(view.from(6)) + " > " + mac_text(view));
    for (std::size_t at = 0; at < eth.tags.size(); at += 4) {
      line.field(eth.tags.u16(at) == 0x88a8 ? "qinq" : "vlan", eth.tags.u16(at + 2) & 0x0fffU);
    }
    if (eth.type == 0x0800 || eth.type == 0x86dd) {
      describe_ip(line, eth.payload, eth.type == 0x86dd, false);
    } else {
      line.word("type " + hex(eth.type)).field("len", eth.payload.size());
    }
  }
  for (const std::string& flaw : check(frame)) line.word("[" + flaw + "]");
  return line.take();
}

std::string hex_dump(std::span<const std::byte> frame) {
  std::string text;
  char part[24];
  for (std::size_t at = 0; at < frame.size(); ++at) {
    if (at % 16 == 0) {
      std::snprintf(part, sizeof part, "%s%04zx ", at == 0 ? "" : "\n", at);
      text += part;
    }
    std::snprintf(part, sizeof part, " %02x", std::to_integer<unsigned>(frame[at]));
    text += part;
  }
  return text;
}

std::string difference(std::span<const std::byte> got, std::span<const std::byte> want) {
  const auto [g, w] = std::ranges::mismatch(got, want);
  if (g == got.end() && w == want.end()) return {};
  return "got:  " + describe(got) + "\nwant: " + describe(want) + "\nfirst difference at byte " +
         std::to_string(g - got.begin()) + "\ngot  " + std::to_string(got.size()) + " bytes\n" +
         hex_dump(got) + "\nwant " + std::to_string(want.size()) + " bytes\n" + hex_dump(want);
}

}  // namespace sluice::test
