#pragma once

#include <vector>

#include "dp/worker_state.h"
#include "test/packet_builder.h"

/// What a packet of a flow is to be when it leaves, told from what came in and from the flow's record by the
/// fixture's own reader.
namespace sluice::test {

/// Fails the test unless `out` is `in` with one hop less to live, and nothing changed but what a translation
/// changes: addresses, ports, numbers, the MSS and the timestamps of SYNs, checksums, IPv4 identification;
/// the checksum of a datagram whose first fragment this is stays as right as it was. What becomes of SYN
/// cookies is another segment of the same connection. ICMP errors quote what their receiver sent.
///
/// `owner`: has the flow, whose record says what the new addresses, ports and numbers are; null: which they
/// are is not looked into. Pre: check() finds nothing wrong with `in`; `out` is a frame, or its fragments.
void expect_translated(const Bytes& in, const std::vector<Bytes>& out, const dp::WorkerState* owner);

}  // namespace sluice::test
