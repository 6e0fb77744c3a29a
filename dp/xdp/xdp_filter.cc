#include "dp/xdp/xdp_filter.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/if_link.h>
#include <net/if.h>
#include <string_view>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace sluice::dp {

namespace {

// Names as the kernel keeps them: at most 15 bytes.
constexpr std::string_view kProgramName = "sluice_filter";
constexpr std::string_view kOwnedMap = "sluice_owned";
constexpr std::string_view kCountsMap = "sluice_counts";

std::string interface_name(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) == nullptr) {
    return "interface number " + std::to_string(ifindex);
  }
  return "interface " + std::string(name.data());
}

struct ProgramMaps {
  bpf_prog_info info{};
  base::Fd owned, counts, sockets;
};

base::Result<ProgramMaps> maps_of(std::uint32_t program_id) {
  const base::Fd program(::bpf_prog_get_fd_by_id(program_id));
  if (program.get() < 0) {
    return base::system_error("XDP program " + std::to_string(program_id) + " cannot be opened", errno);
  }
  ProgramMaps maps;
  // The kernel refuses bytes that it does not know unless they are zero, padding too, which {} need not
  // clear.
  std::memset(&maps.info, 0, sizeof(maps.info));
  std::array<std::uint32_t, 64> ids{};
  maps.info.nr_map_ids = ids.size();
  maps.info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  std::uint32_t size = sizeof(maps.info);
  if (::bpf_obj_get_info_by_fd(program.get(), &maps.info, &size) != 0) {
    return base::system_error("XDP program " + std::to_string(program_id) + " cannot be examined", errno);
  }
  const std::size_t count = std::min<std::size_t>(maps.info.nr_map_ids, ids.size());
  for (const std::uint32_t id : std::span(ids).first(count)) {
    base::Fd map(::bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    size = sizeof(info);
    if (map.get() < 0 || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) continue;
    const std::string_view name(info.name);
    if (name == kOwnedMap && info.key_size == sizeof(FilterKey) && info.value_size == sizeof(PortBits)) {
      maps.owned = std::move(map);
    } else if (name == kCountsMap && info.max_entries == FILTER_COUNTERS) {
      maps.counts = std::move(map);
    } else if (info.type == BPF_MAP_TYPE_XSKMAP) {
      maps.sockets = std::move(map);
    }
  }
  return maps;
}

bool is_ours(const ProgramMaps& maps) noexcept {
  return std::string_view(maps.info.name) == kProgramName && maps.owned && maps.counts && maps.sockets;
}

}  // namespace

base::Result<std::optional<XdpProgram>> attached_xdp_program(int ifindex) {
  bpf_xdp_query_opts query{};
  query.sz = sizeof(query);
  const int error = ::bpf_xdp_query(ifindex, 0, &query);
  if (error != 0)
    return base::system_error(interface_name(ifindex) + ": its XDP program cannot be asked for", -error);
  const std::uint32_t id = query.prog_id != 0       ? query.prog_id
                           : query.drv_prog_id != 0 ? query.drv_prog_id
                                                    : query.skb_prog_id;
  if (id == 0) return std::optional<XdpProgram>{};
  auto maps = maps_of(id);
  if (!maps) return std::move(maps).error();
  return std::optional(XdpProgram{.id = id,
                                  .name = maps->info.name,
                                  .ours = is_ours(*maps),
                                  .native = query.attach_mode == XDP_ATTACHED_DRV});
}

base::Result<void> detach_xdp_filter(int ifindex) {
  auto program = attached_xdp_program(ifindex);
  if (!program) return std::move(program).error();
  if (!program->has_value()) return {};
  if (!(*program)->ours) {
    return base::Error{base::ErrorCode::exists, interface_name(ifindex) + " carries the XDP program \"" +
                                                    (*program)->name + "\", which is not sluice's"};
  }
  const int error =
      ::bpf_xdp_detach(ifindex, (*program)->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE, nullptr);
  if (error != 0) {
    return base::system_error(interface_name(ifindex) + ": its XDP program cannot be removed", -error);
  }
  return {};
}

base::Result<XdpFilter> XdpFilter::open(int ifindex) {
  auto program = attached_xdp_program(ifindex);
  if (!program) return std::move(program).error();
  if (!program->has_value() || !(*program)->ours) {
    return base::Error{base::ErrorCode::not_found,
                       interface_name(ifindex) + " does not carry sluice's XDP program"};
  }
  auto maps = maps_of((*program)->id);
  if (!maps) return std::move(maps).error();
  XdpFilter filter(ifindex, std::move(maps->owned), std::move(maps->counts), std::move(maps->sockets));
  if (auto read = filter.read_table(); !read) return std::move(read).error();
  return filter;
}

base::Result<void> XdpFilter::read_table() {
  FilterKey key;
  FilterKey next;
  const FilterKey* previous = nullptr;
  while (::bpf_map_get_next_key(owned_.get(), previous, &next) == 0) {
    key = next;
    previous = &key;
    PortBits bits;
    if (::bpf_map_lookup_elem(owned_.get(), &key, bits.data()) != 0) {
      return base::system_error(interface_name(ifindex_) + ": the rules of its XDP program cannot be read",
                                errno);
    }
    table_.emplace(key, bits);
  }
  if (errno != ENOENT) {
    return base::system_error(interface_name(ifindex_) + ": the rules of its XDP program cannot be listed",
                              errno);
  }
  return {};
}

base::Result<void> XdpFilter::update(const FilterTable& table) {
  const FilterChanges changes = changes_between(table_, table);
  for (const FilterKey& key : changes.write) {
    const PortBits& bits = table.at(key);
    if (::bpf_map_update_elem(owned_.get(), &key, bits.data(), BPF_ANY) != 0) {
      const int error = errno;
      if (error == E2BIG) {
        return base::Error{base::ErrorCode::exhausted,
                           interface_name(ifindex_) + ": more than " + std::to_string(FILTER_MAX_ADDRESSES) +
                               " addresses of services, local addresses, servers in mode dnat and the "
                               "host, by protocol; use fewer"};
      }
      return base::system_error(interface_name(ifindex_) + ": a rule of its XDP program cannot be written",
                                error);
    }
    table_.insert_or_assign(key, bits);
  }
  for (const FilterKey& key : changes.remove) {
    if (::bpf_map_delete_elem(owned_.get(), &key) != 0 && errno != ENOENT) {
      return base::system_error(interface_name(ifindex_) + ": a rule of its XDP program cannot be removed",
                                errno);
    }
    table_.erase(key);
  }
  return {};
}

base::Result<void> XdpFilter::serve(const std::vector<int>& sockets) {
  for (std::uint32_t queue = 0; queue < sockets.size(); ++queue) {
    if (::bpf_map_update_elem(sockets_.get(), &queue, &sockets[queue], BPF_ANY) != 0) {
      return base::system_error(interface_name(ifindex_) + ": the socket of receive queue " +
                                    std::to_string(queue) + " cannot be set",
                                errno);
    }
  }
  return {};
}

base::Result<FilterCounters> XdpFilter::counters() const {
  const int cpus = ::libbpf_num_possible_cpus();
  if (cpus <= 0) return base::system_error("the number of CPUs cannot be read", -cpus);
  std::array<std::uint64_t, FILTER_COUNTERS> sums{};
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpus));
  for (std::uint32_t which = 0; which < FILTER_COUNTERS; ++which) {
    if (::bpf_map_lookup_elem(counts_.get(), &which, per_cpu.data()) != 0) {
      return base::system_error(interface_name(ifindex_) + ": the counters of its XDP program cannot be read",
                                errno);
    }
    for (const std::uint64_t count : per_cpu) sums[which] += count;
  }
  return FilterCounters{.passed = sums[FILTER_PASSED],
                        .redirected = sums[FILTER_REDIRECTED],
                        .unclaimed = sums[FILTER_UNCLAIMED]};
}

}  // namespace sluice::dp
