#include "test/packet_check.h"

#include <cstdint>
#include <cstdio>

#include "test/packet_view.h"

namespace sluice::test {
namespace {

/// RFC 1071: 16-bit words added up with end-around carry.
class Sum {
 public:
  Sum& add(View bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += 2)
      word(bytes.u16(at));  // an odd end reads a zero behind it
    return *this;
  }
  Sum& word(std::uint32_t value) {
    sum_ += value >> 16;
    sum_ += value & 0xffffU;
    return *this;
  }
  /// A checksum in the summed bytes is right when all ones come out.
  [[nodiscard]] bool right() const { return total() == 0xffff; }
  [[nodiscard]] std::uint16_t total() const {
    std::uint64_t sum = sum_;
    while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
  }

 private:
  std::uint64_t sum_ = 0;
};

/// "where what: got 0x1234, should be 0x5678".
std::string wrong_checksum(const std::string& what, unsigned got, Sum with_got) {
  // Taking the field out of the sum: adding its complement.
  const unsigned should =
      static_cast<std::uint16_t>(~with_got.word(static_cast<std::uint16_t>(~got)).total());
  char text[64];
  std::snprintf(text, sizeof text, " checksum is 0x%04x, not 0x%04x", got, should);
  return what + text;
}

class Checker {
 public:
  std::vector<std::string> run(View frame) {
    const EthView eth = read_eth(frame);
    if (!eth.whole) {
      add("the frame ends in its Ethernet header: " + std::to_string(frame.size()) + " bytes");
    } else if (eth.type == 0x0800 || eth.type == 0x86dd) {
      ip(eth.payload, eth.type == 0x86dd, "");
    }
    return std::move(found_);
  }

 private:
  void add(std::string text) { found_.push_back(std::move(text)); }

  /// `where`: "" or "quoted ".
  void ip(View packet, bool v6, const std::string& where) {
    const bool quoted = !where.empty();
    const std::string name = where + (v6 ? "IPv6" : "IPv4");
    const IpView view = read_ip(packet, v6, quoted);
    switch (view.flaw) {
      case IpView::Flaw::none: break;
      case IpView::Flaw::short_header:
        add(name + " header does not fit: " + std::to_string(packet.size()) + " bytes");
        return;
      case IpView::Flaw::version: add(name + " version is " + std::to_string(packet.u8(0) >> 4)); return;
      case IpView::Flaw::header_length:
        add(name + " header length is " + std::to_string((packet.u8(0) & 0x0fU) * 4) + " of " +
            std::to_string(packet.size()) + " bytes");
        return;
      case IpView::Flaw::total_length:
        add(name + " length field is " + std::to_string(packet.u16(v6 ? 4 : 2)) + ", the frame holds " +
            std::to_string(packet.size() - (v6 ? 40 : 0)));
        return;
      case IpView::Flaw::extension:
        if (!quoted) add(name + " extension headers do not fit");
        return;
    }
    if (!v6) {
      const Sum sum = Sum().add(view.header);
      if (!sum.right()) add(wrong_checksum(name, view.header.u16(10), sum));
    }
    if (view.more && view.l4_length % 8 != 0) {
      add(name +
          " fragment with more to come is not a multiple of 8 long: " + std::to_string(view.l4_length));
    }
    const bool whole = !view.fragment && view.l4.size() == view.l4_length;
    if (whole) l4(view, where);
  }

  void l4(const IpView& ip, const std::string& where) {
    switch (ip.protocol) {
      case 6: tcp(ip, where); return;
      case 17: udp(ip, where); return;
      case 1:
        if (!ip.v6) icmp(ip, where);
        return;
      case 58:
        if (ip.v6) icmp(ip, where);
        return;
      default: return;
    }
  }

  void checksum(const IpView& ip, const std::string& name, std::size_t field, bool pseudo_header) {
    if (ip.routed) return;
    Sum sum = Sum().add(ip.l4);
    if (pseudo_header) {
      sum.add(ip.v6 ? ip.header.first(40).from(8) : ip.header.first(20).from(12));  // both addresses
      sum.word(static_cast<std::uint32_t>(ip.l4_length)).word(ip.protocol);
    }
    if (!sum.right()) add(wrong_checksum(name, ip.l4.u16(field), sum));
  }

  void tcp(const IpView& ip, const std::string& where) {
    const std::string name = where + "TCP";
    const std::size_t header = (ip.l4.u8(12) >> 4) * std::size_t{4};
    if (!ip.l4.has(20) || header < 20 || !ip.l4.has(header)) {
      add(name + " header length is " + std::to_string(header) + " of " + std::to_string(ip.l4.size()) +
          " bytes");
      return;
    }
    for (std::size_t at = 20; at < header && ip.l4.u8(at) != 0;) {
      const unsigned kind = ip.l4.u8(at);
      const std::size_t length = kind == 1 ? 1 : at + 1 < header ? ip.l4.u8(at + 1) : 0;
      if ((kind != 1 && length < 2) || at + length > header) {
        add(name + " option " + std::to_string(kind) + " does not fit: length " + std::to_string(length));
        break;
      }
      at += length;
    }
    checksum(ip, name, 16, true);
  }

  void udp(const IpView& ip, const std::string& where) {
    const std::string name = where + "UDP";
    if (!ip.l4.has(8) || ip.l4.u16(4) != ip.l4_length) {
      add(name + " length is " + std::to_string(ip.l4.u16(4)) + ", the IP payload has " +
          std::to_string(ip.l4_length));
      return;
    }
    if (ip.l4.u16(6) != 0) {
      checksum(ip, name, 6, true);
    } else if (ip.v6) {
      add(name + " checksum is 0, which IPv6 forbids");  // RFC 8200 §8.1
    }
  }

  void icmp(const IpView& ip, const std::string& where) {
    const std::string name = where + (ip.v6 ? "ICMPv6" : "ICMP");
    if (!ip.l4.has(8)) {
      add(name + " header does not fit: " + std::to_string(ip.l4.size()) + " bytes");
      return;
    }
    checksum(ip, name, 2, ip.v6);
    const unsigned type = ip.l4.u8(0);
    const bool error =
        ip.v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    if (error && where.empty()) this->ip(ip.l4.from(8), ip.v6, "quoted ");
  }

  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> check(std::span<const std::byte> frame) {
  return Checker().run(View(frame));
}

}  // namespace sluice::test
