#include "dp/schedule.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <tuple>

namespace sluice::dp {
namespace {

std::uint64_t sum_of(std::span<const std::uint32_t> weights) noexcept {
  return std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
}

void divide_by_gcd(std::span<std::uint32_t> weights) noexcept {
  std::uint32_t divisor = 0;
  for (const std::uint32_t weight : weights) divisor = std::gcd(divisor, weight);
  if (divisor <= 1) return;
  for (std::uint32_t& weight : weights) weight /= divisor;
}

/// Scales weights down so that they add up to `limit` at most. Those that would fall below 1 are 1, and what
/// this takes is taken from the others in proportion: which may bring more of them to 1, hence the loop.
void fit(std::span<std::uint32_t> weights, std::uint64_t limit) {
  if (sum_of(weights) <= limit) return;
  const std::vector<std::uint32_t> wanted(weights.begin(), weights.end());
  std::vector<bool> lifted(weights.size());  // to 1
  while (true) {
    std::uint64_t room = limit;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (lifted[i]) {
        room -= std::min<std::uint64_t>(room, 1);
      } else {
        sum += wanted[i];
      }
    }
    bool settled = true;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == 0 || lifted[i]) continue;
      weights[i] = static_cast<std::uint32_t>(wanted[i] * room / sum);
      if (weights[i] > 0) continue;
      weights[i] = 1;
      lifted[i] = true;
      settled = false;
    }
    if (settled) return;
  }
}

/// A server with its place on the ring. Places are whole numbers, one per connection; a server's places lie
/// length / weight apart, and the remainders of that division are carried until they make up one more.
struct Runner {
  std::uint64_t place;
  std::uint32_t remainder;  ///< < weight
  std::uint32_t weight;
  std::uint32_t arrival;  ///< when it came to wait for `place`, for ties
  std::uint16_t server;

  void advance(std::uint64_t length) noexcept {
    place += length / weight;
    remainder += static_cast<std::uint32_t>(length % weight);
    if (remainder < weight) return;
    remainder -= weight;
    ++place;
  }
};

/// Order of runners in a heap that has the next on top: the lowest place; there, the one furthest from
/// carrying.
bool runs_later(const Runner& a, const Runner& b) noexcept {
  const auto rank = [](const Runner& r) {
    return std::tuple(r.place, std::int64_t{r.remainder} - r.weight, r.arrival);
  };
  return rank(a) > rank(b);
}

}  // namespace

RoundRobin build_round_robin(std::span<const std::uint32_t> weights) {
  assert(weights.size() <= std::size_t{1} << 16);
  std::vector<std::uint32_t> scaled(weights.begin(), weights.end());
  divide_by_gcd(scaled);
  fit(scaled, kMaxRoundRobinLength);
  divide_by_gcd(scaled);
  const std::uint64_t length = sum_of(scaled);

  // Who has not had a turn yet waits at the start line, the heaviest in front.
  std::vector<std::uint16_t> start_line;
  for (std::size_t i = 0; i < scaled.size(); ++i) {
    if (scaled[i] > 0) start_line.push_back(static_cast<std::uint16_t>(i));
  }
  std::ranges::stable_sort(start_line,
                           [&](std::uint16_t a, std::uint16_t b) { return scaled[a] > scaled[b]; });

  std::vector<Runner> running;  // a heap
  running.reserve(start_line.size());
  RoundRobin result;
  result.order.reserve(length);
  result.first_lap.reserve(length);
  std::size_t started = 0;
  std::uint32_t arrivals = 0;
  // The first time round the servers fall into step; the second time is the one that repeats.
  for (std::uint64_t now = 0; now < 2 * length; ++now) {
    const bool due = !running.empty() && running.front().place <= now;
    Runner next{};
    if (!due && started < start_line.size()) {
      const std::uint16_t server = start_line[started++];
      next = {.place = now, .remainder = 0, .weight = scaled[server], .arrival = 0, .server = server};
    } else {
      std::ranges::pop_heap(running, runs_later);
      next = running.back();
      running.pop_back();
    }
    (now < length ? result.first_lap : result.order).push_back(next.server);
    next.advance(length);
    next.arrival = arrivals++;
    running.push_back(next);
    std::ranges::push_heap(running, runs_later);
  }
  if (result.first_lap == result.order) result.first_lap.clear();
  return result;
}

}  // namespace sluice::dp
