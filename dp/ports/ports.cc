#include "dp/ports/ports.h"

#include <utility>

namespace sluice::dp {

base::Result<void> PortSet::update_filters(const FilterTable& table) {
  base::Result<void> outcome;
  for (const std::unique_ptr<Port>& port : ports_) {
    if (port->filter() == nullptr) continue;
    if (auto updated = port->filter()->update(table); !updated && outcome) outcome = std::move(updated);
  }
  return outcome;
}

base::Result<PortSet> open_ports(const PortsPlan& plan, const Eal& eal) {
  PortSet set;
  auto pool = make_packet_pool(plan);
  if (!pool) return std::move(pool).error();
  set.pool_ = std::move(*pool);
  for (std::uint16_t index = 0; index < plan.ports.size(); ++index) {
    auto port = Port::open(index, plan.ports[index], plan.options, set.pool_.get(), eal.log());
    if (!port) return std::move(port).error();
    set.ports_.push_back(std::make_unique<Port>(std::move(*port)));
  }
  for (const std::unique_ptr<Port>& port : set.ports_) {
    if (auto started = port->start(eal.log()); !started) return std::move(started).error();
  }
  eal.log().follow();
  return set;
}

}  // namespace sluice::dp
