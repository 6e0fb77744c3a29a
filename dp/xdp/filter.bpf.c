/* The XDP program of an af_xdp port: chooses, frame by frame, between sluice and the kernel.
 *
 * Theory of operation. One map, `owned`, answers one question: is (address, protocol, port) ours? Its value
 * is a bitmap of all 65,536 ports, so that "port of a service", "port of a source-port range" and "but not
 * the ports the kernel uses itself" cost the same single lookup and bit test. From that:
 *   - TCP, UDP: destination owned                          -> sluice
 *   - TCP, UDP, first fragment: likewise by its port. The datagrams of those that are not sluice's are noted
 *     in the map `kernels`
 *   - later fragment, which carries no ports: datagram noted -> the kernel; else any port of the destination
 *     owned -> sluice, which waits for the first. So of the kernel's own only those are lost that come
 *     before their first
 *   - ICMP error: source of the quoted packet owned        -> sluice (it quotes what sluice sent: to a client
 * with the VIP as source, to a server with a local address)
 *   - TCP, UDP and fragments *from* a server that answers to clients' own addresses (mode dnat), by its
 * source port, unless they are for the host itself; ICMP errors that quote what such a server was sent ->
 * sluice
 *   - all else (ARP, ND, ping, VRRP, SSH, ...)             -> the kernel
 * What is sent to a group of stations (multicast, broadcast) is the kernel's, whoever sends it.
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

/* For so long may the fragments of a datagram follow the first: as Linux waits for them. */
#define DATAGRAM_NS 30000000000ULL

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
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FILTER_MAX_DATAGRAMS);
  __type(key, struct filter_datagram);
  __type(value, __u64); /* when its first fragment came: bpf_ktime_get_ns() */
} sluice_kernels SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FILTER_COUNTERS);
  __type(key, __u32);
  __type(value, __u64);
} sluice_counts SEC(".maps");

ALWAYS_INLINE void count(__u32 which) {
  __u64* counter = bpf_map_lookup_elem(&sluice_counts, &which);
  if (counter) ++*counter;
}

ALWAYS_INLINE void key_of_v4(struct filter_key* key, const __u8 address[4], __u8 protocol, __u8 role) {
  __builtin_memset(key, 0, sizeof(*key));
  key->address[10] = key->address[11] = 0xff; /* ::ffff:a.b.c.d */
  __builtin_memcpy(&key->address[12], address, 4);
  key->protocol = protocol;
  key->role = role;
}

ALWAYS_INLINE void key_of_v6(struct filter_key* key, const __u8 address[16], __u8 protocol, __u8 role) {
  __builtin_memset(key, 0, sizeof(*key));
  __builtin_memcpy(key->address, address, 16);
  key->protocol = protocol;
  key->role = role;
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

/* IPv6 headers that are stepped over, beside the fragment header. */
ALWAYS_INLINE int is_extension(__u32 protocol) {
  return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING || protocol == PROTO_DEST_OPTS;
}

/* What a walk over headers found, in one integer: where the L4 header begins, the protocol, and two flags.
 * The walks are global functions, which the verifier checks once each and whose results it takes for any
 * integer: inlined into one program they would cost it 300,000 steps, and a second at each start. */
#define NOT_FOUND (-1)
#define FRAGMENT 0x1000000 /* part of a fragmented packet */
#define LATER 0x2000000    /* ... and not its first part: no L4 header here */
#define OFFSET_OF(walk) ((walk)&0x3fff)
#define PROTOCOL_OF(walk) ((walk) >> 16 & 0xff)
#define FOUND(offset, protocol, flags) ((int)((offset) | (protocol) << 16 | (flags)))

#define GLOBAL __attribute__((noinline))

ALWAYS_INLINE void* start_of(const struct xdp_md* ctx) {
  return (void*)(long)ctx->data;
}
ALWAYS_INLINE void* end_of(const struct xdp_md* ctx) {
  return (void*)(long)ctx->data_end;
}

/* Steps over Ethernet and at most MAX_VLANS tags. Returns EtherType << 8 | offset of what follows, or
 * NOT_FOUND, also of frames to a group. */
GLOBAL int walk_ethernet(struct xdp_md* ctx) {
  void* end = end_of(ctx);
  const struct eth_hdr* eth = start_of(ctx);
  if ((void*)(eth + 1) > end || eth->dst[0] & 1) return NOT_FOUND;
  __be16 type = eth->type;
  __u32 offset = sizeof(*eth);
  for (int i = 0; i < MAX_VLANS; ++i) {
    if (type != bpf_htons(ETH_VLAN) && type != bpf_htons(ETH_QINQ)) break;
    const struct vlan_hdr* vlan = start_of(ctx) + offset;
    if ((void*)(vlan + 1) > end) return NOT_FOUND;
    type = vlan->type;
    offset += sizeof(*vlan);
  }
  return (int)(bpf_ntohs(type) << 8 | offset);
}

/* Steps over an IPv4 header of any length at `offset`. */
GLOBAL int walk_ipv4(struct xdp_md* ctx, __u32 offset) {
  offset &= 0x3fff;
  const struct ipv4_hdr* ip = start_of(ctx) + offset;
  if ((void*)(ip + 1) > end_of(ctx)) return NOT_FOUND;
  const __u32 length = (ip->version_ihl & 0x0f) * 4;
  if (ip->version_ihl >> 4 != 4 || length < sizeof(*ip)) return NOT_FOUND;
  __u32 flags = 0;
  if (ip->fragment & bpf_htons(0x3fff)) flags |= FRAGMENT;
  if (ip->fragment & bpf_htons(0x1fff)) flags |= LATER;
  return FOUND(offset + length, (__u32)ip->protocol, flags);
}

/* Steps over an IPv6 header at `offset` and its extension headers, at most MAX_EXT_HEADERS. */
GLOBAL int walk_ipv6(struct xdp_md* ctx, __u32 offset) {
  void* end = end_of(ctx);
  offset &= 0x3fff;
  const struct ipv6_hdr* ip = start_of(ctx) + offset;
  if ((void*)(ip + 1) > end) return NOT_FOUND;
  if ((ip->version_class_flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000)) return NOT_FOUND;
  __u32 protocol = ip->next_header;
  __u32 flags = 0;
  offset += sizeof(*ip);
  for (int i = 0; i <= MAX_EXT_HEADERS; ++i) {
    if (offset > 0x3fff) return NOT_FOUND;
    if (protocol == PROTO_FRAGMENT) {
      const struct fragment_hdr* fragment = start_of(ctx) + offset;
      if ((void*)(fragment + 1) > end) return NOT_FOUND;
      protocol = fragment->next_header;
      offset += sizeof(*fragment);
      /* Offset 0 without "more" is an atomic fragment: a whole packet (RFC 6946). */
      if (fragment->offset_flags & bpf_htons(0xfff9)) flags |= FRAGMENT;
      if (fragment->offset_flags & bpf_htons(0xfff8)) return FOUND(offset & 0x3fff, protocol, flags | LATER);
    } else if (is_extension(protocol)) {
      const struct ext_hdr* ext = start_of(ctx) + offset;
      if ((void*)(ext + 1) > end) return NOT_FOUND;
      protocol = ext->next_header;
      offset += (ext->length + 1) * 8;
    } else {
      return FOUND(offset, protocol, flags);
    }
  }
  return NOT_FOUND;
}

ALWAYS_INLINE int walk(struct xdp_md* ctx, int ipv6, __u32 offset) {
  return ipv6 ? walk_ipv6(ctx, offset) : walk_ipv4(ctx, offset);
}

/* Makes `key` of the source or destination address of the IP header at `offset`. */
ALWAYS_INLINE int key_at(struct xdp_md* ctx, int ipv6, __u32 offset, int destination, __u8 protocol,
                         __u8 role, struct filter_key* key) {
  if (ipv6) {
    const struct ipv6_hdr* ip = start_of(ctx) + (offset & 0x3fff);
    if ((void*)(ip + 1) > end_of(ctx)) return 0;
    key_of_v6(key, destination ? ip->dst : ip->src, protocol, role);
  } else {
    const struct ipv4_hdr* ip = start_of(ctx) + (offset & 0x3fff);
    if ((void*)(ip + 1) > end_of(ctx)) return 0;
    key_of_v4(key, destination ? ip->dst : ip->src, protocol, role);
  }
  return 1;
}

/* Which address of a packet is looked up, and in which role: a global function has five arguments. */
#define DESTINATION 1
#define SIDE(role, destination) ((role) << 1 | (destination))
#define OWN_DESTINATION SIDE(FILTER_OWN, DESTINATION)
#define OWN_SOURCE SIDE(FILTER_OWN, 0)
#define SERVER_DESTINATION SIDE(FILTER_SERVER, DESTINATION)
#define SERVER_SOURCE SIDE(FILTER_SERVER, 0)
#define HOST_DESTINATION SIDE(FILTER_HOST, DESTINATION)
#define HOST_SOURCE SIDE(FILTER_HOST, 0)

/* Whether that side of the TCP or UDP packet whose IP header is at `offset` is sluice's. */
GLOBAL int side_is_ours(struct xdp_md* ctx, int ipv6, __u32 offset, int found, __u32 side) {
  struct filter_key key;
  if (!key_at(ctx, ipv6, offset, side & DESTINATION, PROTOCOL_OF(found), side >> 1, &key)) return 0;
  const struct port_pair* ports = start_of(ctx) + OFFSET_OF(found);
  if ((void*)(ports + 1) > end_of(ctx)) return 0;
  return owns(&key, side & DESTINATION ? ports->dst : ports->src);
}

/* The same of any port of that address. */
GLOBAL int owns_any_port_of(struct xdp_md* ctx, int ipv6, __u32 offset, __u32 protocol, __u32 side) {
  struct filter_key key;
  return key_at(ctx, ipv6, offset, side & DESTINATION, protocol, side >> 1, &key) && owns_any_port(&key);
}

ALWAYS_INLINE int is_transport(int found) {
  return PROTOCOL_OF(found) == PROTO_TCP || PROTOCOL_OF(found) == PROTO_UDP;
}

/* Whether the ICMP message at `icmp_offset` is an error that quotes a packet sluice sent. */
GLOBAL int quotes_ours(struct xdp_md* ctx, int ipv6, __u32 icmp_offset) {
  icmp_offset &= 0x3fff;
  const struct icmp_hdr* icmp = start_of(ctx) + icmp_offset;
  if ((void*)(icmp + 1) > end_of(ctx)) return 0;
  const __u8 type = icmp->type;
  if (ipv6 ? type < 1 || type > 4 : type != 3 && type != 11 && type != 12) return 0;
  const __u32 inner = icmp_offset + sizeof(*icmp);
  const int found = walk(ctx, ipv6, inner);
  if (found < 0 || found & LATER || !is_transport(found)) return 0;
  if (side_is_ours(ctx, ipv6, inner, found, OWN_SOURCE)) return 1;
  return side_is_ours(ctx, ipv6, inner, found, SERVER_DESTINATION) &&
         !owns_any_port_of(ctx, ipv6, inner, PROTO_TCP, HOST_SOURCE);
}

/* Steps over extension headers at `offset` to the fragment header. Returns its offset or NOT_FOUND. */
GLOBAL int walk_to_fragment(struct xdp_md* ctx, __u32 offset) {
  void* end = end_of(ctx);
  offset &= 0x3fff;
  const struct ipv6_hdr* ip = start_of(ctx) + offset;
  if ((void*)(ip + 1) > end) return NOT_FOUND;
  __u32 protocol = ip->next_header;
  offset += sizeof(*ip);
  for (int i = 0; i <= MAX_EXT_HEADERS; ++i) {
    if (offset > 0x3fff) return NOT_FOUND;
    if (protocol == PROTO_FRAGMENT) return (int)offset;
    if (!is_extension(protocol)) return NOT_FOUND;
    const struct ext_hdr* ext = start_of(ctx) + offset;
    if ((void*)(ext + 1) > end) return NOT_FOUND;
    protocol = ext->next_header;
    offset += (ext->length + 1) * 8;
  }
  return NOT_FOUND;
}

/* Makes `key` of the datagram that the fragment is of whose IP header is at `offset`. */
ALWAYS_INLINE int datagram_at(struct xdp_md* ctx, int ipv6, __u32 offset, struct filter_datagram* key) {
  __builtin_memset(key, 0, sizeof(*key));
  if (ipv6) {
    const struct ipv6_hdr* ip = start_of(ctx) + (offset & 0x3fff);
    if ((void*)(ip + 1) > end_of(ctx)) return 0;
    __builtin_memcpy(key->src, ip->src, 16);
    __builtin_memcpy(key->dst, ip->dst, 16);
    const int at = walk_to_fragment(ctx, offset);
    if (at < 0) return 0;
    const struct fragment_hdr* fragment = start_of(ctx) + (at & 0x3fff);
    if ((void*)(fragment + 1) > end_of(ctx)) return 0;
    key->id = fragment->id;
  } else {
    const struct ipv4_hdr* ip = start_of(ctx) + (offset & 0x3fff);
    if ((void*)(ip + 1) > end_of(ctx)) return 0;
    key->src[10] = key->src[11] = key->dst[10] = key->dst[11] = 0xff;
    __builtin_memcpy(&key->src[12], ip->src, 4);
    __builtin_memcpy(&key->dst[12], ip->dst, 4);
    key->id = ip->id;
    key->protocol = ip->protocol;
  }
  return 1;
}

/* Notes whose the datagram of a first fragment is. */
GLOBAL int note_datagram(struct xdp_md* ctx, int ipv6, __u32 offset, int ours) {
  struct filter_datagram key;
  if (!datagram_at(ctx, ipv6, offset, &key)) return 0;
  const __u64 now = bpf_ktime_get_ns();
  if (ours) {
    bpf_map_delete_elem(&sluice_kernels, &key); /* an earlier one of the same identification */
  } else {
    bpf_map_update_elem(&sluice_kernels, &key, &now, BPF_ANY);
  }
  return 0;
}

/* Whether the datagram of a later fragment is the kernel's, as its first one showed. */
GLOBAL int is_kernels(struct xdp_md* ctx, int ipv6, __u32 offset) {
  struct filter_datagram key;
  if (!datagram_at(ctx, ipv6, offset, &key)) return 0;
  const __u64* since = bpf_map_lookup_elem(&sluice_kernels, &key);
  return since && bpf_ktime_get_ns() - *since < DATAGRAM_NS;
}

/* Whether a later fragment may be sluice's. Behind an IPv6 fragment header there may be further headers,
 * which only the first fragment shows. */
GLOBAL int may_be_ours(struct xdp_md* ctx, int ipv6, __u32 offset, __u32 protocol) {
  offset &= 0x3fff;
  const int any = ipv6 && is_extension(protocol);
  if (!any && protocol != PROTO_TCP && protocol != PROTO_UDP) return 0;
  const __u32 first = any ? PROTO_TCP : protocol;
  if (owns_any_port_of(ctx, ipv6, offset, first, OWN_DESTINATION)) return 1;
  if (any && owns_any_port_of(ctx, ipv6, offset, PROTO_UDP, OWN_DESTINATION)) return 1;
  if (!owns_any_port_of(ctx, ipv6, offset, first, SERVER_SOURCE) &&
      !(any && owns_any_port_of(ctx, ipv6, offset, PROTO_UDP, SERVER_SOURCE))) {
    return 0;
  }
  return !owns_any_port_of(ctx, ipv6, offset, PROTO_TCP, HOST_DESTINATION);
}

/* Whether the TCP or UDP packet whose IP header is at `offset` is sluice's. */
ALWAYS_INLINE int transport_is_ours(struct xdp_md* ctx, int ipv6, __u32 offset, int found) {
  if (side_is_ours(ctx, ipv6, offset, found, OWN_DESTINATION)) return 1;
  return side_is_ours(ctx, ipv6, offset, found, SERVER_SOURCE) &&
         !owns_any_port_of(ctx, ipv6, offset, PROTO_TCP, HOST_DESTINATION);
}

/* Whether the packet whose IP header is at `offset` is sluice's. */
GLOBAL int is_ours(struct xdp_md* ctx, int ipv6, __u32 offset) {
  offset &= 0x3fff;
  const int found = walk(ctx, ipv6, offset);
  if (found < 0) return 0;
  if (found & LATER) {
    return may_be_ours(ctx, ipv6, offset, PROTOCOL_OF(found)) && !is_kernels(ctx, ipv6, offset);
  }
  const int ours = is_transport(found) && transport_is_ours(ctx, ipv6, offset, found);
  if (found & FRAGMENT) {
    note_datagram(ctx, ipv6, offset, ours);
  } else if (PROTOCOL_OF(found) == (ipv6 ? PROTO_ICMPV6 : PROTO_ICMP)) {
    return quotes_ours(ctx, ipv6, OFFSET_OF(found));
  }
  return ours;
}

SEC("xdp")
int sluice_filter(struct xdp_md* ctx) {
  const int ethernet = walk_ethernet(ctx);
  const int type = ethernet >> 8;
  if (ethernet < 0 || (type != ETH_IPV4 && type != ETH_IPV6) ||
      !is_ours(ctx, type == ETH_IPV6, ethernet & 0xff)) {
    count(FILTER_PASSED);
    return XDP_PASS;
  }
  const long verdict = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
  count(verdict == XDP_REDIRECT ? FILTER_REDIRECTED : FILTER_UNCLAIMED);
  return verdict;
}

char _license[] SEC("license") = "Apache-2.0";
