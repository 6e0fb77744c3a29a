#pragma once

/* What the XDP program and its user-space side say to each other: the layout of the program's maps. Read by
 * both compilers, C (clang -target bpf) and C++. */
#include <linux/types.h>

#define FILTER_MAX_QUEUES 1024
#define FILTER_MAX_ADDRESSES 16384 /* (address, protocol, role) triples */
#define FILTER_MAX_DATAGRAMS 4096  /* of the kernel, in fragments, at one time */
#define FILTER_COUNTERS 3

/* Indices of the map sluice_counts. */
#define FILTER_PASSED 0     /* left to the kernel */
#define FILTER_REDIRECTED 1 /* given to sluice */
#define FILTER_UNCLAIMED 2  /* ours, but no process listens on the queue: dropped */

/* Roles of an address in sluice_owned. */
#define FILTER_OWN 0    /* virtual and local addresses: what is sent to them */
#define FILTER_SERVER 1 /* servers that answer to clients' own addresses (mode dnat): what they send */
#define FILTER_HOST                                                                        \
  2 /* all addresses of the host: what such a server sends to them is the kernel's, as the \
       answers to checks. Under TCP only, with no port set */

/* Key of the map sluice_owned. An IPv4 address stands as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct filter_key {
  __u8 address[16];
  __u8 protocol; /* IANA number: 6 or 17 */
  __u8 role;     /* FILTER_OWN, FILTER_SERVER or FILTER_HOST */
  __u8 zero[2];
};

/* Key of the map sluice_kernels: by what fragments of one datagram are known. Addresses as in filter_key. */
struct filter_datagram {
  __u8 src[16], dst[16];
  __u32 id;      /* as on the wire */
  __u8 protocol; /* IPv4 only: over IPv6 it may differ between fragments (RFC 8200 section 4.5) */
  __u8 zero[3];
};

/* Value of the map sluice_owned: bit p % 8 of byte p / 8 says whether port p (host order) is sluice's. */
struct filter_ports {
  __u8 bits[8192];
};
