#include "vrrp/dataplane_health.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sluice::vrrp {
namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void DataplaneHealth::connected(Time now) {
  connected_ = true;
  answered_ = false;
  why_gone_.clear();
  heard_ = now;
  workers_.clear();
  ports_down_.clear();
  usable_.clear();
}

void DataplaneHealth::disconnected(std::string why) {
  connected_ = answered_ = false;
  why_gone_ = std::move(why);
  workers_.clear();
  usable_.clear();
}

void DataplaneHealth::answered(const config::AliveReport& report, Time now) {
  if (!connected_) return;
  answered_ = true;
  heard_ = now;
  for (const config::WorkerLife& life : report.workers) {
    const auto [at, fresh] = workers_.try_emplace(life.id);
    if (fresh || at->second.rounds != life.rounds) at->second = {life.rounds, now};
  }
  ports_down_.clear();
  for (const config::PortLife& port : report.ports) {
    if (!port.link_up) ports_down_.push_back(port.name);
  }
  usable_.clear();
  for (const config::ServiceLife& service : report.services) usable_[service.name] = service.usable;
}

void DataplaneHealth::look(Time now) noexcept {
  const Duration since = now - std::exchange(last_look_, now);
  if (since <= kOwnLateness) return;
  // The time that was lost did not pass for the data plane.
  heard_ = std::min(now, heard_ + since);
  for (auto& [id, worker] : workers_) worker.advanced = std::min(now, worker.advanced + since);
}

std::optional<std::string> DataplaneHealth::trouble(Duration timeout, Time now) const {
  if (!connected_) {
    return why_gone_.empty() ? "the data plane is not running"
                             : fmt::format("the data plane is not running ({})", why_gone_);
  }
  if (now - heard_ > timeout)
    return fmt::format("the data plane has not answered for {:.1f} s", seconds(timeout));
  for (const auto& [id, worker] : workers_) {
    if (heard_ - worker.advanced > timeout)
      return fmt::format("worker {} of the data plane has not advanced for {:.1f} s", id, seconds(timeout));
  }
  if (!ports_down_.empty()) return fmt::format("port {} of the data plane has no link", ports_down_.front());
  return std::nullopt;
}

std::optional<std::uint32_t> DataplaneHealth::usable(const std::string& service) const {
  const auto found = usable_.find(service);
  return found == usable_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace sluice::vrrp
