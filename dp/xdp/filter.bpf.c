/* The XDP program of an af_xdp port: chooses, frame by frame, between sluice and the kernel.
 *
 * Theory of operation. One map, `owned`, answers one question: is (address, protocol, port) ours? Its value
 * is a bitmap of all 65,536 ports, so that "port of a service", "port of a source-port range" and "but not
 * the ports the kernel uses itself" cost the same single lookup and bit test. From that:
 *   - TCP, UDP: destination owned                          -> sluice
 *   - TCP, UDP fragment: any port of the destination owned -> sluice (later fragments carry no ports)
 *   - ICMP error: source of the quoted packet owned        -> sluice (it quotes what sluice sent: to a client
 * with the VIP as source, to a server with a local address)
 *   - all else (ARP, ND, ping, VRRP, SSH, ...)             -> the kernel
 * "sluice" means the AF_XDP socket of the frame's own receive queue. Where there is none (the process died,
 * or has not finished starting) the frame is dropped: a kernel that saw it would reset live connections.
 *
 * Source: RFC 791 (IPv4), RFC 8200 (IPv6, extension headers), RFC 792 and RFC 4443 (errors), IEEE 802.1Q.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "filter_maps.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
  MAX_VLANS = 2,
  MAX_EXT_HEADERS = 6,
  ETH_IPV4 = 0x0800,
  ETH_IPV6 = 0x86dd,
  ETH_VLAN = 0x8100,
  ETH_QINQ = 0x88a8,
  PROTO_HOP_BY_HOP = 0,
  PROTO_ICMP = 1,
  PROTO_TCP = 6,
  PROTO_UDP = 17,
  PROTO_ROUTING = 43,
  PROTO_FRAGMENT = 44,
  PROTO_ICMPV6 = 58,
  PROTO_DEST_OPTS = 60,
};

struct eth_hdr {
  __u8 dst[6], src[6];
  __be16 type;
} __attribute__((packed));

struct vlan_hdr {
  __be16 tci, type;
} __attribute__((packed));

struct ipv4_hdr {
  __u8 version_ihl, tos;
  __be16 total_length, id, fragment;
  __u8 ttl, protocol;
  __be16 checksum;
  __u8 src[4], dst[4];
} __attribute__((packed));

struct ipv6_hdr {
  __be32 version_class_flow;
  __be16 payload_length;
  __u8 next_header, hop_limit;
  __u8 src[16], dst[16];
} __attribute__((packed));

struct ext_hdr {
  __u8 next_header, length;
} __attribute__((packed));

struct fragment_hdr {
  __u8 next_header, reserved;
  __be16 offset_flags;
  __be32 id;
} __attribute__((packed));

struct icmp_hdr {
  __u8 type, code;
  __be16 checksum;
  __be32 rest;
} __attribute__((packed));

struct port_pair {
  __be16 src, dst;
} __attribute__((packed));

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, FILTER_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps"); /* net_af_xdp finds it by this name */

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FILTER_MAX_ADDRESSES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct filter_key);
  __type(value, struct filter_ports);
} sluice_owned SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FILTER_COUNTERS);
  __type(key, __u32);
  __type(value, __u64);
} sluice_counts SEC(".maps");

/* Where the headers of a packet ended, and what follows. */
struct l4 {
  void* at;
  __u8 protocol;
  __u8 fragment; /* part of a fragmented packet */
  __u8 later;    /* ... and not its first part: no L4 header here */
};

ALWAYS_INLINE void count(__u32 which) {
  __u64* counter = bpf_map_lookup_elem(&sluice_counts, &which);
  if (counter) ++*counter;
}

ALWAYS_INLINE void key_of_v4(struct filter_key* key, const __u8 address[4], __u8 protocol) {
  __builtin_memset(key, 0, sizeof(*key));
  key->address[10] = key->address[11] = 0xff; /* ::ffff:a.b.c.d */
  __builtin_memcpy(&key->address[12], address, 4);
  key->protocol = protocol;
}

ALWAYS_INLINE void key_of_v6(struct filter_key* key, const __u8 address[16], __u8 protocol) {
  __builtin_memset(key, 0, sizeof(*key));
  __builtin_memcpy(key->address, address, 16);
  key->protocol = protocol;
}

ALWAYS_INLINE int owns_any_port(const struct filter_key* key) {
  return bpf_map_lookup_elem(&sluice_owned, key) != 0;
}

ALWAYS_INLINE int owns(const struct filter_key* key, __be16 be_port) {
  const struct filter_ports* ports = bpf_map_lookup_elem(&sluice_owned, key);
  if (!ports) return 0;
  const __u16 port = bpf_ntohs(be_port);
  return ports->bits[port >> 3] >> (port & 7) & 1;
}

/* Reads an IPv4 header of any length. Returns 0 when it is not a whole, valid one. */
ALWAYS_INLINE int walk_ipv4(const struct ipv4_hdr* ip, void* end, struct l4* out) {
  if ((void*)(ip + 1) > end) return 0;
  const __u32 length = (ip->version_ihl & 0x0f) * 4;
  if (ip->version_ihl >> 4 != 4 || length < sizeof(*ip)) return 0;
  out->at = (void*)ip + length;
  out->protocol = ip->protocol;
  out->fragment = (ip->fragment & bpf_htons(0x3fff)) != 0;
  out->later = (ip->fragment & bpf_htons(0x1fff)) != 0;
  return 1;
}

/* Reads an IPv6 header and its extension headers, at most MAX_EXT_HEADERS. Returns 0 when there are more, or
 * one does not fit. */
ALWAYS_INLINE int walk_ipv6(const struct ipv6_hdr* ip, void* end, struct l4* out) {
  if ((void*)(ip + 1) > end) return 0;
  if ((ip->version_class_flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000)) return 0;
  out->at = (void*)(ip + 1);
  out->protocol = ip->next_header;
  out->fragment = 0;
  out->later = 0;
  for (int i = 0; i <= MAX_EXT_HEADERS; ++i) {
    switch (out->protocol) {
      case PROTO_HOP_BY_HOP:
      case PROTO_ROUTING:
      case PROTO_DEST_OPTS: {
        const struct ext_hdr* ext = out->at;
        if ((void*)ext + 8 > end) return 0;
        out->protocol = ext->next_header;
        out->at += (ext->length + 1) * 8;
        break;
      }
      case PROTO_FRAGMENT: {
        const struct fragment_hdr* fragment = out->at;
        if ((void*)(fragment + 1) > end) return 0;
        out->protocol = fragment->next_header;
        out->at += sizeof(*fragment);
        /* Offset 0 without "more" is an atomic fragment: a whole packet (RFC 6946). */
        if (fragment->offset_flags & bpf_htons(0xfff9)) out->fragment = 1;
        if (fragment->offset_flags & bpf_htons(0xfff8)) {
          out->later = 1;
          return 1;
        }
        break;
      }
      default: return 1;
    }
  }
  return 0;
}

/* Whether the ICMP error that starts at `icmp` quotes a packet that sluice sent. */
ALWAYS_INLINE int quotes_ours_v4(const struct icmp_hdr* icmp, void* end) {
  struct l4 inner;
  struct filter_key key;
  if ((void*)(icmp + 1) > end) return 0;
  if (icmp->type != 3 && icmp->type != 4 && icmp->type != 11 && icmp->type != 12) return 0;
  const struct ipv4_hdr* ip = (const void*)(icmp + 1);
  if (!walk_ipv4(ip, end, &inner) || inner.later) return 0;
  if (inner.protocol != PROTO_TCP && inner.protocol != PROTO_UDP) return 0;
  const struct port_pair* ports = inner.at;
  if ((void*)(ports + 1) > end) return 0;
  key_of_v4(&key, ip->src, inner.protocol);
  return owns(&key, ports->src);
}

ALWAYS_INLINE int quotes_ours_v6(const struct icmp_hdr* icmp, void* end) {
  struct l4 inner;
  struct filter_key key;
  if ((void*)(icmp + 1) > end) return 0;
  if (icmp->type < 1 || icmp->type > 4) return 0;
  const struct ipv6_hdr* ip = (const void*)(icmp + 1);
  if (!walk_ipv6(ip, end, &inner) || inner.later) return 0;
  if (inner.protocol != PROTO_TCP && inner.protocol != PROTO_UDP) return 0;
  const struct port_pair* ports = inner.at;
  if ((void*)(ports + 1) > end) return 0;
  key_of_v6(&key, ip->src, inner.protocol);
  return owns(&key, ports->src);
}

/* A TCP or UDP packet whose destination is `key`. */
ALWAYS_INLINE int is_for_us(const struct filter_key* key, const struct l4* l4, void* end) {
  if (l4->fragment) return owns_any_port(key);
  const struct port_pair* ports = l4->at;
  if ((void*)(ports + 1) > end) return 0;
  return owns(key, ports->dst);
}

ALWAYS_INLINE int is_ours(void* data, void* end) {
  const struct eth_hdr* eth = data;
  struct filter_key key;
  struct l4 l4;
  if ((void*)(eth + 1) > end) return 0;
  __be16 type = eth->type;
  void* l3 = (void*)(eth + 1);
  for (int i = 0; i < MAX_VLANS; ++i) {
    if (type != bpf_htons(ETH_VLAN) && type != bpf_htons(ETH_QINQ)) break;
    const struct vlan_hdr* vlan = l3;
    if ((void*)(vlan + 1) > end) return 0;
    type = vlan->type;
    l3 = (void*)(vlan + 1);
  }
  if (type == bpf_htons(ETH_IPV4)) {
    const struct ipv4_hdr* ip = l3;
    if (!walk_ipv4(ip, end, &l4)) return 0;
    if (l4.protocol == PROTO_ICMP) return !l4.fragment && quotes_ours_v4(l4.at, end);
    if (l4.protocol != PROTO_TCP && l4.protocol != PROTO_UDP) return 0;
    key_of_v4(&key, ip->dst, l4.protocol);
    return is_for_us(&key, &l4, end);
  }
  if (type == bpf_htons(ETH_IPV6)) {
    const struct ipv6_hdr* ip = l3;
    if (!walk_ipv6(ip, end, &l4)) return 0;
    if (l4.protocol == PROTO_ICMPV6) return !l4.fragment && quotes_ours_v6(l4.at, end);
    if (l4.protocol != PROTO_TCP && l4.protocol != PROTO_UDP) return 0;
    key_of_v6(&key, ip->dst, l4.protocol);
    return is_for_us(&key, &l4, end);
  }
  return 0;
}

SEC("xdp")
int sluice_filter(struct xdp_md* ctx) {
  if (!is_ours((void*)(long)ctx->data, (void*)(long)ctx->data_end)) {
    count(FILTER_PASSED);
    return XDP_PASS;
  }
  const long verdict = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
  count(verdict == XDP_REDIRECT ? FILTER_REDIRECTED : FILTER_UNCLAIMED);
  return verdict;
}

char _license[] SEC("license") = "Apache-2.0";
