#include "vrrp/dataplane_watch.h"

#include <utility>

#include "config/wire.h"

namespace sluice::vrrp {
namespace {

Time now_time() {
  return std::chrono::steady_clock::now();
}

}  // namespace

DataplaneWatch::DataplaneWatch(base::EventLoop& loop, const std::string& runtime_dir,
                               std::function<void()> looked)
    : loop_(loop),
      looked_(std::move(looked)),
      health_(now_time()),
      client_(loop, runtime_dir + "/dp.sock",
              {.connected =
                   [this] {
                     health_.connected(now_time());
                     asked_ = false;
                     ask();
                   },
               .line =
                   [this](std::string_view line) {
                     asked_ = false;
                     const auto report = config::decode_alive_reply(line);
                     // An answer that makes no sense is none.
                     if (report && asked_services_ == services_) health_.answered(*report, now_time());
                     looked_();
                   },
               .disconnected =
                   [this](const base::Error& why) {
                     health_.disconnected(why.message);
                     looked_();
                   }}),
      timer_(loop.every(kPeriod, [this] { tick(); })) {}

DataplaneWatch::~DataplaneWatch() {
  loop_.cancel(timer_);
}

void DataplaneWatch::ask_for(std::set<std::string> services) {
  if (services == services_) return;
  services_ = std::move(services);
  health_.asks_anew();
}

void DataplaneWatch::ask() {
  if (asked_) return;  // the last question is still out
  asked_services_ = services_;
  asked_ = client_.send(config::encode_request(config::AliveRequest{{services_.begin(), services_.end()}}));
}

void DataplaneWatch::tick() {
  health_.look(now_time());
  if (client_.is_connected()) {
    ask();
  } else if (!client_.last_error().empty() && !health_.known_gone()) {
    health_.disconnected(client_.last_error());
  }
  looked_();
}

}  // namespace sluice::vrrp
