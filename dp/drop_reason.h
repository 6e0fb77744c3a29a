#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::dp {

/// Why a packet went nowhere. Every packet that is neither sent nor handed to the kernel is counted under
/// one.
enum class DropReason : std::uint8_t {
  none,
  truncated,
  bad_ip_header,
  bad_l4_header,
  too_many_headers,
  bad_source,
  bad_checksum,
  signed_segment,
  source_routed,
  fragment_tiny,
  fragment_malformed,
  fragment_duplicate,
  fragment_overlap,
  fragment_limit,
  fragment_timeout,
  fragment_no_flow,
  fragmented_syn,
  ttl_expired,
  too_big,
  client_denied,
  client_rate,
  client_maxconn,
  no_server,
  servers_full,
  queue_full,
  queue_timeout,
  retried,
  connect_failed,
  flow_table_full,
  half_open_full,
  no_source_port,
  no_flow,
  reset_sent,
  reset_limited,
  stray_reset,
  icmp_malformed,
  icmp_bad_checksum,
  icmp_no_flow,
  no_route,
  neighbour_failed,
  neighbour_queue_full,
  neighbour_timeout,
  handover_full,
  tx_full,
  twin_full,
  no_link,
  outbox_full,
  no_kernel_path,
  other_host,
  icmp_sent,
  syn_cookie_sent,
  before_server,
  kCount,
};

struct DropReasonInfo {
  std::string_view name;         ///< stable: shown by the CLI, exported as a metric label
  std::string_view description;  ///< one sentence for an operator
};

inline constexpr std::array<DropReasonInfo, static_cast<std::size_t>(DropReason::kCount)> kDropReasons{{
    {"none", "not dropped"},
    {"truncated", "the frame ends before the headers that it announces"},
    {"bad_ip_header", "version, header length or total length of the IP header are impossible"},
    {"bad_l4_header", "data offset or length of the TCP or UDP header are impossible"},
    {"too_many_headers", "more IPv6 extension headers than sluice follows"},
    {"bad_source",
     "for a service, from an address that no host can have (multicast, loopback, one of sluice's own)"},
    {"bad_checksum", "a SYN or RST whose IP or TCP checksum is wrong: nobody would believe it"},
    {"signed_segment", "a SYN signed (TCP-MD5, TCP-AO) over addresses that are rewritten on the way"},
    {"source_routed", "a SYN or an ICMP error with, or about a packet with, a route of its sender's choice"},
    {"fragment_tiny", "a first fragment that does not hold all headers"},
    {"fragment_malformed", "a fragment of no bytes, of no multiple of 8, or beyond the longest datagram"},
    {"fragment_duplicate", "a fragment that has come before"},
    {"fragment_overlap", "a fragment of a datagram whose fragments overlap or contradict one another"},
    {"fragment_limit", "a fragment that more recent ones took the place of, or one too many of its datagram"},
    {"fragment_timeout", "a fragment whose datagram's first fragment did not come in time"},
    {"fragment_no_flow", "a fragment whose datagram belongs to no flow"},
    {"fragmented_syn", "a SYN in fragments: whether a server could take it cannot be seen"},
    {"ttl_expired", "TTL or hop limit ran out here, and the limit for ICMP errors was reached"},
    {"too_big",
     "larger than the next hop's MTU, and the limit for ICMP errors was reached or it has too many "
     "fragments"},
    {"client_denied", "a new connection of a client that the service's prefixes keep out"},
    {"client_rate", "a new connection of a client that begins more of them than clients.rate in a second"},
    {"client_maxconn", "a new connection of a client that has clients.maxconn open"},
    {"no_server", "the service has no usable server"},
    {"servers_full", "maxconn is reached, and the packet is none that could wait for a place"},
    {"queue_full", "maxconn is reached, and there is no room to hold the SYN until a place is free"},
    {"queue_timeout", "a SYN that waited for a place for timeouts.queue, answered with a RST"},
    {"retried", "a server's refusal of a connection that is tried again, at this server or another"},
    {"connect_failed", "an ICMP error that ended the last attempt to reach a server; the client got a RST"},
    {"flow_table_full", "no free flow record: raise dataplane.flows_per_worker"},
    {"half_open_full", "too many unfinished handshakes and dataplane.syn_overflow is \"drop\""},
    {"no_source_port", "all source ports towards the server are in use: add local_addresses"},
    {"no_flow", "a reply from a server for which there is no flow"},
    {"reset_sent", "a segment of an unknown connection, answered with a RST"},
    {"reset_limited", "a segment of an unknown connection; the RST limit was reached"},
    {"stray_reset", "a RST for an unknown connection"},
    {"icmp_malformed", "an ICMP error whose quoted packet cannot be read, or whose path MTU cannot be"},
    {"icmp_bad_checksum",
     "an ICMP error whose checksum, or that of its IP header or the quoted one, is wrong"},
    {"icmp_no_flow", "an ICMP error about a packet of no known flow"},
    {"no_route", "the kernel has no route to the destination on a port of ours"},
    {"neighbour_failed", "the next hop does not answer ARP or neighbour discovery"},
    {"neighbour_queue_full", "too many packets wait for the next hop's address"},
    {"neighbour_timeout", "the next hop's address did not become known in time"},
    {"handover_full", "the ring to the worker that owns the flow was full"},
    {"tx_full", "the port's transmit queue stayed full"},
    {"twin_full", "the kernel interface beside the port took no more packets"},
    {"no_link", "of the kernel beside the port, while the port has no link"},
    {"outbox_full", "a RST or SYN of sluice's own, one too many at a time"},
    {"no_kernel_path", "not load-balanced, and the port has no kernel interface to hand it to"},
    {"other_host", "addressed to another host's MAC address"},
    {"icmp_sent", "undeliverable, answered with an ICMP error"},
    {"syn_cookie_sent", "a SYN answered by a SYN cookie: its client must come back before a server is asked"},
    {"before_server", "of a connection that a SYN cookie began, before its server has answered"},
}};

[[nodiscard]] constexpr const DropReasonInfo& info(DropReason reason) noexcept {
  return kDropReasons[static_cast<std::size_t>(reason)];
}

}  // namespace sluice::dp
