#include "dp/control/flow_jobs.h"

#include <algorithm>
#include <string>
#include <utility>

#include "dp/flow/flow_life.h"

namespace sluice::dp {
namespace {

/// Flows in one listing, whatever is asked for: each worker sets room aside for as many, and all must fit
/// into one line of the channel.
constexpr std::uint32_t kMaxListed = 100'000;

template <typename Slot>
const Slot* at(const std::vector<const Slot*>& slots, std::uint16_t slot) {
  return slot < slots.size() ? slots[slot] : nullptr;
}

}  // namespace

config::FlowReport report_of(const FlowQuery::Row& row, base::Tick taken_at, std::size_t worker,
                             const std::string& service, const std::string& server, const Service& timeouts) {
  const auto idle = static_cast<std::uint32_t>(taken_at - row.last_seen);
  const std::uint32_t timeout = idle_timeout_ms(row.state, timeouts);
  // An attempt to reach a server has its time, however often the client repeats its SYN meanwhile.
  const auto age = static_cast<std::uint32_t>(taken_at - row.created);
  const std::uint32_t spent = row.state == FlowState::syn_sent ? age : idle;
  return {.service = service,
          .server = server,
          .protocol = row.proto == base::IpProto::udp ? config::Protocol::udp : config::Protocol::tcp,
          .client = {row.client, row.client_port.host()},
          .vip = {row.vip, row.vip_port.host()},
          .local = {row.local, row.local_port.host()},
          .real = {row.server, row.server_port.host()},
          .state = std::string(name(row.state)),
          .worker = static_cast<std::uint16_t>(worker),
          .age_ms = age,
          .idle_ms = idle,
          .expires_ms = timeout > spent ? timeout - spent : 0};
}

base::Result<FlowQuery::Filter> resolve_filter(const config::FlowFilter& filter,
                                               const ServiceCompiler& compiler) {
  FlowQuery::Filter by_slot;
  by_slot.client = filter.client;
  if (filter.client_port) by_slot.client_port = base::Be16{*filter.client_port};
  if (filter.state) {
    const auto state = state_named(*filter.state);
    if (!state) {
      std::string all;
      for (unsigned i = 1; i < static_cast<unsigned>(FlowState::kCount); ++i) {
        all.append(all.empty() ? "" : ", ").append(name(static_cast<FlowState>(i)));
      }
      return base::Error{base::ErrorCode::invalid,
                         "flows: no state \"" + *filter.state + "\"; there are: " + all};
    }
    by_slot.states = FlowStates::only(*state);
  }
  if (filter.service) {
    by_slot.services.emplace();
    for (const auto* slot : compiler.services()) {
      by_slot.services->push_back(slot != nullptr && slot->service.name == *filter.service);
    }
  }
  if (filter.server) {
    by_slot.servers.emplace();
    for (const auto* slot : compiler.servers()) {
      by_slot.servers->push_back(slot != nullptr && slot->server == *filter.server);
    }
  }
  return by_slot;
}

FlowJobs::Job& FlowJobs::add(FlowQuery::Purpose purpose, const FlowQuery::Filter& filter,
                             std::uint32_t limit) {
  Job& job = jobs_.emplace_back();
  job.limit = limit;
  job.asked.resize(workers_);
  for (std::size_t i = 0; i < workers_; ++i) {
    job.queries.push_back(std::make_unique<FlowQuery>(purpose, filter, limit));
  }
  return job;
}

void FlowJobs::list(const FlowQuery::Filter& filter, std::uint32_t limit,
                    std::function<void(config::FlowList)> done) {
  add(FlowQuery::Purpose::list, filter, std::min(limit, kMaxListed)).listed = std::move(done);
}

void FlowJobs::end(FlowQuery::Purpose purpose, const FlowQuery::Filter& filter,
                   std::function<void(std::uint64_t)> done) {
  add(purpose, filter, 0).killed = std::move(done);
}

bool FlowJobs::complete(Job& job) {
  bool complete = true;
  for (std::size_t i = 0; i < workers_; ++i) {
    if (!job.asked[i]) job.asked[i] = ask_(i, job.queries[i].get());
    complete = complete && job.asked[i] && job.queries[i]->done();
  }
  return complete;
}

void FlowJobs::step(const ServiceCompiler& compiler, const ServiceTables& tables) {
  while (!jobs_.empty() && complete(jobs_.front())) {
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    config::FlowList list;
    for (std::size_t i = 0; i < workers_; ++i) {
      const FlowQuery& query = *job.queries[i];
      list.total += query.matched();
      for (const FlowQuery::Row& row : query.rows()) {
        if (list.flows.size() == job.limit) break;
        const auto* service = at(compiler.services(), row.service);
        const auto* server = at(compiler.servers(), row.server_slot);
        if (service == nullptr || server == nullptr) continue;
        list.flows.push_back(report_of(row, query.taken_at(), i, service->service.name, server->server,
                                       tables.services[row.service]));
      }
    }
    if (job.killed) {
      job.killed(list.total);
    } else {
      job.listed(std::move(list));
    }
  }
}

}  // namespace sluice::dp
