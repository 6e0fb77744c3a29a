#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dp/ports/kernel_interface.h"

namespace sluice::dp {

/// Makes a kernel interface fit for an af_packet port, and puts it back when it goes.
///
/// Theory of operation. A packet socket gets a copy of each frame; the kernel still has its own. With the VIP
/// on the port's twin, in the same network namespace, the kernel would take that copy for itself too (an
/// address is local on all interfaces) and answer the client's segments with resets. So the interface loses
/// its kernel side while the port is open: a filter at traffic-control ingress, which comes after packet
/// sockets, drops every frame, and IPv6 (which would speak by itself) is off. An interface that carries
/// addresses keeps its kernel side, with a warning: it may be the way that the administrator came in. Merging
/// of received segments (GRO) is off in either case, since it makes frames of up to 64 KiB, and all multicast
/// is received, for the twin's memberships do not show here. After a kill the settings stay as they are; the
/// next start takes them over.
class InterfaceTakeover {
 public:
  /// `replaced_by_twin`: the kernel meets the network on the port's twin, not on this interface.
  static base::Result<InterfaceTakeover> begin(const KernelInterface& interface, bool replaced_by_twin);
  InterfaceTakeover(InterfaceTakeover&& other) noexcept;
  InterfaceTakeover& operator=(InterfaceTakeover&&) = delete;
  ~InterfaceTakeover();

 private:
  InterfaceTakeover() = default;
  base::Result<void> drop_ingress();
  void undo() noexcept;

  std::string name_;
  int index_ = 0;  // 0: nothing to undo
  bool restore_merging_ = false;
  bool restore_ipv6_ = false;
  bool restore_multicast_ = false;
  bool remove_filter_ = false;
  bool remove_hook_ = false;
};

}  // namespace sluice::dp
