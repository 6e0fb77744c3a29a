#include "dp/port_pool.h"

#include <cassert>

#include "dp/flow/flow_hash.h"

namespace sluice::dp {
namespace {

/// 1.024 s units, never 0.
std::uint16_t released_at(base::Tick now) noexcept {
  const auto stamp = static_cast<std::uint16_t>(now.ms >> 10);
  return stamp == 0 ? 1 : stamp;
}

bool is_excluded(std::span<const std::uint64_t> excluded, std::uint16_t port) noexcept {
  return !excluded.empty() && (excluded[port / 64] >> (port % 64) & 1U) != 0;
}

}  // namespace

PortPool::PortPool(config::PortRange range, unsigned worker, unsigned workers,
                   std::span<const std::uint64_t> excluded) {
  ring_.reserve(range.size() / workers + 1);
  for (std::uint32_t port = range.first; port <= range.last; ++port) {
    const auto p = static_cast<std::uint16_t>(port);
    if (owner_of_port(base::Be16{p}, workers) != worker || is_excluded(excluded, p)) continue;
    ring_.push_back({p, 0, 0});
  }
  count_ = static_cast<std::uint32_t>(ring_.size());
}

std::optional<PortPool::Lease> PortPool::take(base::Tick now,
                                              std::span<const std::uint64_t> excluded) noexcept {
  for (unsigned skips = 0; count_ != 0 && skips < kMaxSkips; ++skips) {
    const Entry entry = ring_[head_];
    head_ = head_ + 1 == ring_.size() ? 0 : head_ + 1;
    --count_;
    if (is_excluded(excluded, entry.port)) {
      push(entry);
      continue;
    }
    return lease_of(entry, now);
  }
  return std::nullopt;
}

PortPool::Lease PortPool::lease_of(const Entry& entry, base::Tick now) noexcept {
  const auto age = static_cast<std::uint16_t>(released_at(now) - entry.released);
  const bool lingers = entry.released != 0 && age < kServerTimeWaitSeconds;
  return {base::Be16{entry.port}, lingers, entry.server_read};
}

std::optional<PortPool::Lease> PortPool::Foresight::take(base::Tick now,
                                                         std::span<const std::uint64_t> excluded) noexcept {
  for (unsigned skips = 0; passed_ < pool_.count_ && skips < kMaxSkips; ++skips) {
    const Entry& entry = pool_.ring_[(pool_.head_ + passed_++) % pool_.ring_.size()];
    if (!is_excluded(excluded, entry.port)) return lease_of(entry, now);
  }
  return std::nullopt;
}

void PortPool::give_back(base::Be16 port) noexcept {
  push({port.host(), 0, 0});
}

void PortPool::give_back_lingering(base::Be16 port, base::Tick now, std::uint32_t server_read) noexcept {
  push({port.host(), released_at(now), server_read});
}

void PortPool::push(Entry entry) noexcept {
  assert(count_ < ring_.size());
  std::uint32_t tail = head_ + count_;
  if (tail >= ring_.size()) tail -= static_cast<std::uint32_t>(ring_.size());
  ring_[tail] = entry;
  ++count_;
}

}  // namespace sluice::dp
