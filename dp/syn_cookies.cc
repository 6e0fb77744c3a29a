#include "dp/syn_cookies.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace sluice::dp {
namespace {

using base::Family;

constexpr unsigned kPeriodShift = 14;                              ///< 16.4 s
constexpr std::uint32_t kLastPeriod = UINT32_MAX >> kPeriodShift;  ///< before Tick begins anew
constexpr unsigned kKeptBits = 8;
constexpr std::uint32_t kSackBit = 0x40, kPeriodBit = 0x80;

/// What a client's MSS is rounded down to. Below 536 there is nothing on today's networks (RFC 9293 §3.7.1).
constexpr std::array<std::uint16_t, 8> kMss{536, 1'220, 1'300, 1'360, 1'420, 1'440, 1'460, 8'940};
/// What its window scale is rounded down to: a server that takes the window for smaller does no harm.
constexpr std::array<std::uint8_t, 7> kScales{0, 3, 5, 6, 7, 8, 10};

template <typename Table, typename T>
std::uint32_t index_below(const Table& table, T value) noexcept {
  const auto above = std::upper_bound(table.begin(), table.end(), value);
  return above == table.begin() ? 0 : static_cast<std::uint32_t>(std::distance(table.begin(), above)) - 1;
}

std::uint32_t kept_of(const SynOptions& options, std::uint32_t period) noexcept {
  const std::uint32_t scale = options.window_scale ? index_below(kScales, *options.window_scale) + 1 : 0;
  return (period & 1U) * kPeriodBit | (options.sack ? kSackBit : 0) | scale << 3U |
         index_below(kMss, options.mss);
}

SynOptions options_of(std::uint32_t kept) noexcept {
  SynOptions options{.mss = kMss[kept & 7U], .window_scale = std::nullopt, .sack = (kept & kSackBit) != 0};
  if (const std::uint32_t scale = kept >> 3U & 7U; scale != 0) options.window_scale = kScales[scale - 1];
  return options;
}

}  // namespace

SynCookies::SynCookies(const FlowHash::Seed& seed, std::uint32_t backlog) noexcept : backlog_(backlog) {
  const base::SipKey parent{seed.a, seed.b};
  key_.low = base::siphash(parent, std::as_bytes(std::span(&seed.c, 1)));
  key_.high = base::siphash(parent, std::as_bytes(std::span(&seed.d, 1)));
}

bool SynCookies::wanted(config::SynCookies mode, std::uint32_t unfinished, base::Tick now) noexcept {
  switch (mode) {
    case config::SynCookies::off: return false;
    case config::SynCookies::always: return true;
    case config::SynCookies::automatic: break;
  }
  settle(now);
  // While the flood lasts, its SYNs stand here, as cookies, instead of among the unfinished handshakes.
  on_ = std::uint64_t{unfinished} + pending_ > (on_ ? backlog_ / 2 : backlog_);
  return on_;
}

/// Of the cookies that do not come back, each second a quarter is given up.
void SynCookies::settle(base::Tick now) noexcept {
  constexpr std::int32_t kStepMs = 1'000, kMaxSteps = 64;
  const std::int32_t steps = (now - settled_) / kStepMs;
  if (steps <= 0) return;
  settled_ = now;
  if (steps >= kMaxSteps) pending_ = 0;
  for (std::int32_t i = 0; i < steps && pending_ != 0; ++i) {
    pending_ = static_cast<std::uint32_t>(std::uint64_t{pending_} * 3 / 4);
  }
}

template <Family F>
std::uint32_t SynCookies::hash(const FlowKey<F>& key, std::uint32_t isn, std::uint32_t period,
                               std::uint32_t kept) const noexcept {
  struct Message {
    base::Address<F> src, dst;
    base::Be16 src_port, dst_port;
    std::uint32_t isn, period, kept;
  };
  static_assert(sizeof(Message) == 2 * sizeof(base::Address<F>) + 16, "no padding, whose bytes could differ");
  const Message message{key.src, key.dst, key.src_port, key.dst_port, isn, period, kept};
  return static_cast<std::uint32_t>(base::siphash(key_, std::as_bytes(std::span(&message, 1)))) &
         ~((1U << kKeptBits) - 1);
}

template <Family F>
std::uint32_t SynCookies::make(const FlowKey<F>& key, std::uint32_t isn, const SynOptions& options,
                               base::Tick now) noexcept {
  settle(now);
  if (pending_ != UINT32_MAX) ++pending_;
  any_ = true;
  last_made_ = now;
  const std::uint32_t period = now.ms >> kPeriodShift;
  const std::uint32_t kept = kept_of(options, period);
  return hash(key, isn, period, kept) | kept;
}

template <Family F>
std::optional<SynOptions> SynCookies::open(const FlowKey<F>& key, std::uint32_t isn, std::uint32_t cookie,
                                           base::Tick now) noexcept {
  constexpr std::int32_t kLongestMs = 2 << kPeriodShift;
  if (any_ && now - last_made_ >= kLongestMs) any_ = false;
  if (!any_) return std::nullopt;
  const std::uint32_t kept = cookie & ((1U << kKeptBits) - 1);
  std::uint32_t period = now.ms >> kPeriodShift;
  if ((period & 1U) != ((kept & kPeriodBit) != 0 ? 1U : 0U)) period = (period - 1) & kLastPeriod;
  if ((hash(key, isn, period, kept) | kept) != cookie) return std::nullopt;
  return options_of(kept);
}

template std::uint32_t SynCookies::make(const FlowKey<Family::v4>&, std::uint32_t, const SynOptions&,
                                        base::Tick) noexcept;
template std::uint32_t SynCookies::make(const FlowKey<Family::v6>&, std::uint32_t, const SynOptions&,
                                        base::Tick) noexcept;
template std::optional<SynOptions> SynCookies::open(const FlowKey<Family::v4>&, std::uint32_t, std::uint32_t,
                                                    base::Tick) noexcept;
template std::optional<SynOptions> SynCookies::open(const FlowKey<Family::v6>&, std::uint32_t, std::uint32_t,
                                                    base::Tick) noexcept;

}  // namespace sluice::dp
