#include "test/unit/vrrp/lan_simulation.h"

#include <algorithm>
#include <utility>

#include "vrrp/sync_group.h"

namespace sluice::test {
namespace {

constexpr std::size_t kSocketBuffer = 64;
/// More adverts than this under way at once are answers to answers.
constexpr std::size_t kStorm = 200;

}  // namespace

Lan::Lan(LanSetup setup, std::uint64_t seed) : setup_(std::move(setup)), dice_(seed) {
  for (Parameters& p : setup_.hosts) {
    p.in_group = setup_.segments > 1;
    longest_interval_ = std::max(longest_interval_, p.advert_int);
  }
  for (const Parameters& p : setup_.hosts) {
    longest_silence_ = std::max(
        longest_silence_, vrrp::master_down_interval(p.version, 1, longest_interval_, p.down_timer_adverts));
  }
  hosts_.resize(setup_.hosts.size());
  loss_percent_.resize(setup_.segments);
  watches_.resize(setup_.segments);
  for (std::size_t host = 0; host < hosts_.size(); ++host) boot(host);
}

void Lan::boot(std::size_t host) {
  Host& h = hosts_[host];
  h = {};
  h.running = true;
  h.faulty.resize(setup_.segments);
  for (std::size_t s = 0; s < setup_.segments; ++s)
    h.instances.push_back({VirtualRouter(setup_.hosts[host], now_)});
  for (std::size_t s = 0; s < setup_.segments; ++s) handle(host, s, vrrp::Start{});
}

/// The whole host: its addresses go with it.
void Lan::kill(std::size_t host) {
  hosts_[host].running = false;
  hosts_[host].frozen = false;
  for (Instance& instance : hosts_[host].instances) instance.holds = false;
}

void Lan::stop(std::size_t host) {
  for (std::size_t s = 0; s < setup_.segments; ++s) handle(host, s, vrrp::Stop{});
  for (const Instance& instance : hosts_[host].instances) {
    if (instance.holds) fail("a stopped host keeps the addresses");
  }
  kill(host);
}

/// As the driver does after a SIGSTOP: what has arrived meanwhile comes before the timers.
void Lan::thaw(std::size_t host) {
  Host& h = hosts_[host];
  h.frozen = false;
  for (const Packet& packet : std::exchange(h.unread, {})) handle(host, packet.segment, packet.advert);
}

void Lan::set_fault(std::size_t host, std::size_t segment, bool faulty) {
  if (hosts_[host].faulty[segment] == faulty) return;
  hosts_[host].faulty[segment] = faulty;
  handle(host, segment, vrrp::FaultChanged{faulty});
}

void Lan::set_yield(std::size_t host, bool yield) {
  hosts_[host].yielded = yield;
  for (std::size_t s = 0; s < setup_.segments; ++s) {
    handle(host, s, yield ? vrrp::Event{vrrp::Yield{}} : vrrp::Event{vrrp::Resume{}});
  }
}

void Lan::step() {
  const auto host = dice_.below(static_cast<std::uint32_t>(hosts_.size()));
  const auto segment = dice_.below(static_cast<std::uint32_t>(setup_.segments));
  Host& h = hosts_[host];
  const bool awake = h.running && !h.frozen;
  const auto did = [&](const char* what) {
    disturb();
    last_action_ = what + std::string(" ") + std::to_string(host);
  };
  switch (dice_.below(20)) {
    case 0:
      if (h.running) did("kill"), kill(host);
      break;
    case 1:
      if (awake) did("stop"), stop(host);
      break;
    case 2:
    case 3:
      if (!h.running) did("boot"), boot(host);
      break;
    case 4:
      if (awake) did("fault"), set_fault(host, segment, true);
      break;
    case 5:
    case 6:
      if (awake) did("mend"), set_fault(host, segment, false);
      break;
    case 7:
      if (awake) did("yield"), set_yield(host, true);
      break;
    case 8:
    case 9:
      if (awake) did("resume"), set_yield(host, false);
      break;
    case 10:
      if (awake) did("freeze"), h.frozen = true;
      break;
    case 11:
    case 12:
      if (h.frozen) did("thaw"), thaw(host);
      break;
    case 13:
      // In a group the members' priorities move together, or the group cannot.
      if (awake) {
        did("priority");
        const auto effective = static_cast<std::uint8_t>(1 + dice_.below(254));
        for (std::size_t s = 0; s < setup_.segments; ++s) handle(host, s, vrrp::PriorityChanged{effective});
      }
      break;
    case 14: did("loss"), loss_percent_[segment] = dice_.below(101); break;
    case 15:
    case 16: did("no loss"), loss_percent_[segment] = 0; break;
    case 17:
      if (awake) {
        did("reload");
        for (std::size_t s = 0; s < setup_.segments; ++s) {
          handle(host, s, vrrp::Reconfigure{setup_.hosts[host]});
        }
      }
      break;
    default: break;
  }
  const Duration longest = dice_.one_in(4) ? 4 * longest_silence_ : longest_interval_;
  pass(longest * dice_.below(1'000) / 1'000);
}

void Lan::settle() {
  disturb();
  last_action_ = "settle";
  std::ranges::fill(loss_percent_, 0U);
  for (std::size_t host = 0; host < hosts_.size(); ++host) {
    if (!hosts_[host].running) boot(host);
    if (hosts_[host].frozen) thaw(host);
    if (hosts_[host].yielded) set_yield(host, false);
    for (std::size_t s = 0; s < setup_.segments; ++s) {
      set_fault(host, s, false);
      handle(host, s, vrrp::PriorityChanged{setup_.hosts[host].priority});
    }
  }
  Duration preempt_delay{0};
  for (const Parameters& p : setup_.hosts) preempt_delay = std::max(preempt_delay, p.preempt_delay);
  pass(10 * longest_silence_ + preempt_delay);
}

std::optional<std::size_t> Lan::master(std::size_t segment) const {
  std::optional<std::size_t> found;
  for (std::size_t host = 0; host < hosts_.size(); ++host) {
    if (!hosts_[host].running || hosts_[host].instances[segment].router.state() != State::master) continue;
    if (found) return std::nullopt;
    found = host;
  }
  return found;
}

std::string Lan::describe() const {
  std::string out = "at " + std::to_string(std::chrono::duration<double>(now_.time_since_epoch()).count()) +
                    " s, after " + last_action_ + ":";
  for (std::size_t host = 0; host < hosts_.size(); ++host) {
    const Host& h = hosts_[host];
    out += " [" + std::to_string(host) + (h.running ? "" : " dead") + (h.frozen ? " frozen" : "") +
           (h.yielded ? " yielded" : "");
    for (const Instance& instance : h.instances) {
      out += std::string(" ") + text(instance.router.state()) + "/" +
             std::to_string(instance.router.effective_priority());
    }
    out += "]";
  }
  return out;
}

void Lan::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what + " " + describe();
}

void Lan::handle(std::size_t host, std::size_t segment, const vrrp::Event& event) {
  Host& h = hosts_[host];
  perform(host, segment, h.instances[segment].router.handle(event, now_));
  if (setup_.segments > 1 && h.instances.size() == setup_.segments) {
    std::vector<const VirtualRouter*> members;
    for (const Instance& instance : h.instances) members.push_back(&instance.router);
    vrrp::follow(members, [&](std::size_t member, const vrrp::GroupBecame& became) {
      perform(host, member, h.instances[member].router.handle(became, now_));
    });
  }
  check();
}

void Lan::perform(std::size_t host, std::size_t segment, const vrrp::Effects& effects) {
  Instance& instance = hosts_[host].instances[segment];
  for (const Effect& effect : effects.all()) {
    switch (effect.kind) {
      case Effect::Kind::send_advert: send(host, segment, effect.priority); break;
      case Effect::Kind::take_addresses:
        if (instance.holds) fail("takes what it has");
        instance.holds = true;
        ++changes_;
        break;
      case Effect::Kind::release_addresses:
        if (!instance.holds) fail("gives up what it has not");
        instance.holds = false;
        break;
      case Effect::Kind::announce:
        if (!instance.holds) fail("announces what it has not");
        break;
      default: break;
    }
  }
}

void Lan::send(std::size_t host, std::size_t segment, std::uint8_t priority) {
  if (wire_.size() > kStorm) return fail("adverts multiply");
  for (std::size_t to = 0; to < hosts_.size(); ++to) {
    if (to == host) continue;
    if (dice_.below(100) < loss_percent_[segment]) {
      disturb();
      continue;
    }
    wire_.push_back({.at = now_ + setup_.max_delay * dice_.below(1'000) / 1'000,
                     .to = to,
                     .segment = segment,
                     .advert = {.priority = priority,
                                .advert_int = setup_.hosts[host].advert_int,
                                .source_is_higher = host > to}});
  }
}

void Lan::serve(std::size_t host, std::size_t segment) {
  handle(host, segment, vrrp::Timeout{});
  const auto next = hosts_[host].instances[segment].router.deadline();
  if (next && *next <= now_) {
    handle(host, segment, vrrp::Timeout{});
    const auto again = hosts_[host].instances[segment].router.deadline();
    if (again && *again <= now_) fail("a timer that does not end");
  }
}

void Lan::pass(Duration duration) {
  const Time end = now_ + duration;
  while (failure_.empty()) {
    std::optional<Time> next;
    std::size_t packet = wire_.size();
    std::size_t host = 0;
    std::size_t segment = 0;
    for (std::size_t i = 0; i < wire_.size(); ++i) {
      if (!next || wire_[i].at < *next) next = wire_[i].at, packet = i;
    }
    for (std::size_t h = 0; h < hosts_.size(); ++h) {
      if (!hosts_[h].running || hosts_[h].frozen) continue;
      for (std::size_t s = 0; s < setup_.segments; ++s) {
        const auto due = hosts_[h].instances[s].router.deadline();
        if (due && (!next || *due < *next)) next = due, packet = wire_.size(), host = h, segment = s;
      }
    }
    if (!next || *next > end) break;
    now_ = std::max(now_, *next);
    check();
    if (packet == wire_.size()) {
      serve(host, segment);
      continue;
    }
    const Packet arrived = wire_[packet];
    wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(packet));
    Host& h = hosts_[arrived.to];
    if (h.running && h.frozen) {
      if (h.unread.size() < kSocketBuffer) h.unread.push_back(arrived);
    } else if (h.running) {
      handle(arrived.to, arrived.segment, arrived.advert);
    }
  }
  now_ = end;
  check();
}

bool Lan::able(const Host& host) const {
  return host.running && !host.frozen && !host.yielded &&
         std::ranges::none_of(host.faulty, [](bool faulty) { return faulty; });
}

void Lan::check() {
  const bool group = setup_.segments > 1;
  const auto since_quiet = [&](Time since) { return now_ - std::max(since, quiet_since_); };
  for (std::size_t s = 0; s < setup_.segments; ++s) {
    std::size_t masters = 0;
    bool anybody_able = false;
    for (const Host& host : hosts_) {
      if (host.instances.size() != setup_.segments || !host.running) continue;
      anybody_able = anybody_able || able(host);
      const Instance& instance = host.instances[s];
      if (instance.holds != (instance.router.state() == State::master)) fail("holds without being master");
      if (!host.frozen && instance.holds) ++masters;
    }
    Watch& watch = watches_[s];
    if (masters > 1) {
      if (!watch.several_since) watch.several_since = now_;
      if (since_quiet(*watch.several_since) > longest_interval_ + 2 * setup_.max_delay) {
        fail("two masters do not part");
      }
    } else {
      watch.several_since.reset();
    }
    if (masters == 0 && anybody_able) {
      if (!watch.none_since) watch.none_since = now_;
      if (since_quiet(*watch.none_since) > longest_silence_ * (group ? 2 : 1) + 2 * setup_.max_delay) {
        fail("nobody becomes master");
      }
    } else {
      watch.none_since.reset();
    }
  }
}

}  // namespace sluice::test
