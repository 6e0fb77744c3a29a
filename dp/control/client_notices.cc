#include "dp/control/client_notices.h"

#include <fmt/format.h>

namespace sluice::dp {

std::vector<std::string> ClientNotices::due(const std::map<std::string, ServerLedger::ServiceTally>& services,
                                            std::uint64_t now_ms) {
  std::vector<std::string> sentences;
  std::erase_if(told_, [&](const auto& item) { return !services.contains(item.first); });
  for (const auto& [name, tally] : services) {
    Told& told = told_[name];
    const config::ClientCounters& now = tally.clients;
    const config::ClientCounters& then = told.counters;
    // Between two calls a service may go, and another of its name come, whose counters begin anew.
    if (now.denied < then.denied || now.over_rate < then.over_rate || now.over_maxconn < then.over_maxconn ||
        now.untracked < then.untracked) {
      told = {};
    }
    if (now == then || now_ms < told.next_ms) continue;
    std::string sentence;
    if (now.refused() != then.refused()) {
      sentence = fmt::format(
          "service \"{}\": refused {} connections by its limits by client: {} denied, {} over rate, {} over "
          "maxconn",
          name, now.refused() - then.refused(), now.denied - then.denied, now.over_rate - then.over_rate,
          now.over_maxconn - then.over_maxconn);
    }
    if (now.untracked != then.untracked) {
      const std::string uncounted =
          fmt::format("{} connections were let in uncounted: clients.table is full, or nearly",
                      now.untracked - then.untracked);
      sentence =
          sentence.empty() ? fmt::format("service \"{}\": {}", name, uncounted) : sentence + "; " + uncounted;
    }
    sentences.push_back(std::move(sentence));
    told = {now, now_ms + kPauseMs};
  }
  return sentences;
}

}  // namespace sluice::dp
