#include "vrrp/script_watch.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace sluice::vrrp {

ScriptWatch::ScriptWatch(base::EventLoop& loop, Commands& commands, config::VrrpTrackScript script,
                         std::function<void()> changed, const ScriptWatch* before)
    : loop_(loop),
      commands_(commands),
      script_(std::move(script)),
      changed_(std::move(changed)),
      count_(script_.rise, script_.fall, script_.init_fail),
      known_(script_.init_fail),
      reason_(fmt::format("script {} has not succeeded yet", script_.name)) {
  if (before != nullptr && before->known_) {
    known_ = true;
    count_ = before->count_;
    count_.set(script_.rise, script_.fall);
    reason_ = before->reason_;
  }
  timer_ = loop_.after(std::chrono::milliseconds::zero(), [this] { run(); });
}

ScriptWatch::~ScriptWatch() {
  loop_.cancel(timer_);
  commands_.cancel(running_);
}

void ScriptWatch::run() {
  timer_ = loop_.after(script_.interval, [this] { run(); });
  if (running_ != Commands::Id::none) return;
  const auto limit = script_.timeout.value_or(script_.interval);
  const auto started = commands_.start(script_.command, limit, [this, limit](const Commands::End& end) {
    running_ = Commands::Id::none;
    saw(end.success(), end.text(limit));
  });
  if (started) {
    running_ = *started;
  } else {
    saw(false, fmt::format("cannot be run: {}", started.error().message));
  }
}

void ScriptWatch::saw(bool success, const std::string& how) {
  const bool first = !std::exchange(known_, true);
  if (!success) reason_ = fmt::format("script {} {}", script_.name, how);
  const bool turned = count_.saw(success);
  if (turned) {
    base::log::info("Script `{}` {}", script_.name,
                    count_.up() ? "succeeded" : "now returning failure: " + how);
  }
  if (turned || first) changed_();
}

}  // namespace sluice::vrrp
