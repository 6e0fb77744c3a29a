#include "dp/ports/interface_takeover.h"

#include <array>
#include <cerrno>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"

namespace sluice::dp {

namespace {

// Where our filter stands among others of the interface, so that it is found again after a kill.
constexpr std::uint32_t kHandle = 0x5110;
constexpr std::uint32_t kPriority = 1;

bpf_tc_hook hook_of(int index, bpf_tc_attach_point points) noexcept {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = index;
  hook.attach_point = points;
  return hook;
}

bpf_tc_opts our_filter() noexcept {
  bpf_tc_opts filter{};
  filter.sz = sizeof(filter);
  filter.handle = kHandle;
  filter.priority = kPriority;
  return filter;
}

/// "return TC_ACT_SHOT".
base::Fd load_drop_program() noexcept {
  constexpr std::array<bpf_insn, 2> kDrop{
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K,
               .dst_reg = BPF_REG_0,
               .src_reg = 0,
               .off = 0,
               .imm = TC_ACT_SHOT},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return base::Fd(::bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sluice_drop", "Apache-2.0", kDrop.data(),
                                  kDrop.size(), nullptr));
}

}  // namespace

base::Result<void> InterfaceTakeover::drop_ingress() {
  const base::Fd program = load_drop_program();
  if (!program) return base::system_error("interface " + name_ + ": no filter can be loaded for it", errno);
  bpf_tc_hook hook = hook_of(index_, BPF_TC_INGRESS);
  bpf_tc_opts stale = our_filter();
  const bool left_behind = ::bpf_tc_query(&hook, &stale) == 0;
  const int made = ::bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST) {
    return base::system_error("interface " + name_ + ": traffic control cannot be set up on it", -made);
  }
  remove_hook_ = made == 0 || left_behind;
  bpf_tc_opts filter = our_filter();
  filter.prog_fd = program.get();
  filter.flags = BPF_TC_F_REPLACE;
  if (const int error = ::bpf_tc_attach(&hook, &filter); error != 0) {
    return base::system_error("interface " + name_ + ": its filter cannot be attached", -error);
  }
  remove_filter_ = true;
  return {};
}

base::Result<InterfaceTakeover> InterfaceTakeover::begin(const KernelInterface& interface,
                                                         bool replaced_by_twin) {
  InterfaceTakeover takeover;
  takeover.name_ = interface.name;
  takeover.index_ = interface.index;

  auto addresses = kernel_addresses(interface.index);
  if (!addresses) return std::move(addresses).error();
  if (!addresses->empty()) {
    std::string list;
    for (const std::string& address : *addresses) list += (list.empty() ? "" : ", ") + address;
    base::log::warn(
        "interface {} carries {}: beside an af_packet port the kernel answers there on its own and "
        "may reset connections; move the addresses to the port's twin, or use af_xdp:{}",
        interface.name, list, interface.name);
  } else if (replaced_by_twin) {
    if (ipv6_enabled(interface.name)) {
      if (auto off = set_ipv6_enabled(interface.name, false); off) {
        takeover.restore_ipv6_ = true;
      } else {
        base::log::warn("{}",
                        off.error().message);  // a read-only /proc/sys; the filter still does the main part
      }
    }
    if (auto dropped = takeover.drop_ingress(); !dropped) return std::move(dropped).error();
  }
  if (const auto merging = receive_merging(interface.name); merging && *merging) {
    if (auto off = set_receive_merging(interface.name, false); !off) return std::move(off).error();
    takeover.restore_merging_ = true;
  }
  auto flags = interface_flags(interface.name);
  if (!flags) return std::move(flags).error();
  takeover.restore_multicast_ = (*flags & IFF_ALLMULTI) == 0;
  if (auto set = change_interface_flags(interface.name, IFF_UP | IFF_ALLMULTI, 0); !set) {
    return std::move(set).error();
  }
  return takeover;
}

InterfaceTakeover::InterfaceTakeover(InterfaceTakeover&& other) noexcept
    : name_(std::move(other.name_)),
      index_(std::exchange(other.index_, 0)),
      restore_merging_(other.restore_merging_),
      restore_ipv6_(other.restore_ipv6_),
      restore_multicast_(other.restore_multicast_),
      remove_filter_(other.remove_filter_),
      remove_hook_(other.remove_hook_) {}

InterfaceTakeover::~InterfaceTakeover() {
  if (index_ != 0 && static_cast<int>(::if_nametoindex(name_.c_str())) == index_) undo();
}

void InterfaceTakeover::undo() noexcept {
  const auto report = [](const base::Result<void>& result) {
    if (!result) base::log::warn("{}", result.error().message);
  };
  if (restore_multicast_) report(change_interface_flags(name_, 0, IFF_ALLMULTI));
  if (restore_merging_) report(set_receive_merging(name_, true));
  if (remove_filter_) {
    const bpf_tc_hook hook = hook_of(index_, BPF_TC_INGRESS);
    const bpf_tc_opts filter = our_filter();
    ::bpf_tc_detach(&hook, &filter);
  }
  if (remove_hook_) {
    bpf_tc_hook hook = hook_of(index_, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    ::bpf_tc_hook_destroy(&hook);
  }
  if (restore_ipv6_) report(set_ipv6_enabled(name_, true));
}

}  // namespace sluice::dp
