#include "vrrp/daemon.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/parse.h"
#include "config/wire_vrrp.h"
#include "vrrp/control_server.h"
#include "vrrp/journal.h"
#include "vrrp/line_order.h"
#include "vrrp/notify.h"
#include "vrrp/report_builder.h"
#include "vrrp/roster.h"
#include "vrrp/threads.h"
#include "vrrp/trackers.h"
#include "vrrp/yielded_file.h"

namespace sluice::vrrp {
namespace {

using base::EventLoop;
using std::chrono::milliseconds;

/// A report that the other threads do not answer in this time is made of what they said last.
constexpr milliseconds kReportWithin{500};
/// From SIGTERM until it gives up waiting for the kernel to take the addresses away.
constexpr milliseconds kStopWithin{3'000};
constexpr milliseconds kFlush{1};
/// A line of the kernel side does not wait longer than this for the speaker's.
constexpr milliseconds kLinesWithin{100};

/// The signals that mean something to a daemon, as a descriptor; blocked in every thread that is made
/// afterwards.
base::Result<base::Fd> signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&set, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return base::system_error("cannot block SIGTERM", error);
  }
  ::signal(SIGCHLD, SIG_DFL);  // ignored by who started us, scripts would end without an exit code
  base::Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return base::system_error("cannot wait for SIGTERM", errno);
  return fd;
}

class Daemon {
 public:
  Daemon(EventLoop& loop, std::string config_file, const std::string& runtime_dir)
      : loop_(loop),
        config_file_(std::move(config_file)),
        runtime_dir_(runtime_dir),
        yielded_file_(runtime_dir + "/yielded"),
        commands_(loop) {}

  base::Result<void> run(const config::Config& config);

 private:
  base::Result<void> start();
  base::Result<void> watch(int fd, void (Daemon::*take)());
  void put(ToSpeaker&& message);
  void put(ToKernel&& message);
  void flush();
  void carry_out(Roster::Plan plan);
  base::Result<std::string> reload();
  base::Result<std::string> order(const std::string& name, bool yield);
  void judge(Member& member);
  static void count_troubles(Member& member) { member.trouble_counts.see(troubles_of(member)); }
  void on_signal();

  [[nodiscard]] Member* find(InstanceId id) noexcept;
  void take_news();
  void take_notes();
  void take_returns();
  void on(std::monostate&) {}
  void on(KernelLine& line);
  void on(KernelTrouble& news);
  void on(TrackedInterface& news);
  void on(KernelStatus& status);
  void on(KernelDone&);
  void on(Dismissed& dismissed);
  void on(Changed&) {}
  void on(Retired&) {}
  void on(StatusFilled& filled);
  void on(AllStopped&);

  void report(ControlServer::Reply reply);
  void answer_reports();

  EventLoop& loop_;
  std::string config_file_, runtime_dir_;
  YieldedFile yielded_file_;
  std::uint64_t started_ms_ = base::steady_ms();
  base::Fd signals_;
  std::vector<std::unique_ptr<ControlServer>> servers_;
  Roster roster_;
  Commands commands_;
  Notifier notifier_{commands_};
  std::unique_ptr<Trackers> trackers_;
  std::unique_ptr<Threads> threads_;
  std::vector<std::unique_ptr<Member>> departing_;  ///< until the speaker has given them back
  EventLoop::TimerId flush_timer_ = EventLoop::TimerId::none;
  LineOrder lines_{
      [](const KernelLine& line) { base::log::write(line.level, "{}", fmt::make_format_args(line.text)); }};
  EventLoop::TimerId lines_timer_ = EventLoop::TimerId::none;
  bool stopping_ = false;

  // Reports under way.
  std::vector<ControlServer::Reply> waiting_;
  EventLoop::TimerId report_timer_ = EventLoop::TimerId::none;
  bool speaker_answered_ = false, kernel_answered_ = false;
  std::unique_ptr<SpeakerStatus> speaker_status_;
  KernelStatus kernel_status_;
};

base::Result<void> Daemon::watch(int fd, void (Daemon::*take)()) {
  return loop_.add(fd, EPOLLIN, [this, take](std::uint32_t) { (this->*take)(); });
}

base::Result<void> Daemon::start() {
  auto blocked = signals();
  if (!blocked) return std::move(blocked).error();
  signals_ = *std::move(blocked);
  // The socket first: it tells whether another sluice-vrrp has this runtime directory.
  for (const auto& [name, access] :
       {std::pair("vrrp.sock", Access::admin), std::pair("vrrp-read.sock", Access::read_only)}) {
    auto server = ControlServer::listen(
        loop_, runtime_dir_ + "/" + name, access,
        {.report = [this](ControlServer::Reply reply) { report(std::move(reply)); },
         .order = [this](const std::string& instance, bool yield) { return order(instance, yield); },
         .reload = [this] { return reload(); }});
    if (!server) return std::move(server).error();
    servers_.push_back(*std::move(server));
  }
  trackers_ = std::make_unique<Trackers>(loop_, commands_, runtime_dir_, roster_,
                                         [this](Member& member) { judge(member); });
  auto threads = Threads::start();
  if (!threads) return std::move(threads).error();
  threads_ = *std::move(threads);
  for (auto watched :
       {watch(signals_.get(), &Daemon::on_signal), watch(threads_->news().wake().fd(), &Daemon::take_news),
        watch(threads_->notes().wake().fd(), &Daemon::take_notes),
        watch(threads_->returns().wake().fd(), &Daemon::take_returns)}) {
    if (!watched) return watched;
  }
  return {};
}

base::Result<void> Daemon::run(const config::Config& config) {
  if (auto started = start(); !started) return started;
  auto yielded = yielded_file_.read();
  if (!yielded) base::log::error("{}: whoever had yielded takes part again", yielded.error().message);
  if (yielded) roster_.recall(*std::move(yielded));
  auto plan = roster_.replace(config.vrrp);
  if (!plan) return std::move(plan).error();
  carry_out(*std::move(plan));
  base::log::info("{} instances; real-time scheduling: {}, memory locked: {}", roster_.members().size(),
                  threads_->realtime() ? "yes" : "no", threads_->memory_locked() ? "yes" : "no");
  ::sd_notify(0, "READY=1");
  loop_.run();
  ::sd_notify(0, "STOPPING=1");
  take_news();
  take_notes();
  notifier_.start_all();
  lines_.flush();
  base::log::info("stopped");
  return {};
}

void Daemon::put(ToSpeaker&& message) {
  threads_->put(std::move(message));
  flush();
}

void Daemon::put(ToKernel&& message) {
  threads_->put(std::move(message));
  flush();
}

void Daemon::flush() {
  loop_.cancel(flush_timer_);
  flush_timer_ = EventLoop::TimerId::none;
  if (!threads_->flush()) flush_timer_ = loop_.after(kFlush, [this] { flush(); });
}

void Daemon::on_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGHUP) {
    const auto reloaded = reload();
    if (reloaded) {
      base::log::info("reloaded{}{}", reloaded->empty() ? "; nothing differs" : ": ", *reloaded);
    } else {
      base::log::error("not reloaded: {}", reloaded.error().message);
    }
    return;
  }
  if (info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2) {  // keepalived would write its data to a file
    base::log::info("SIG{} ignored: `sluice show vrrp` tells what there is to know",
                    ::sigabbrev_np(static_cast<int>(info.ssi_signo)));
    return;
  }
  if (std::exchange(stopping_, true)) return;
  put(ToSpeaker{StopAll{}});
  loop_.after(kStopWithin, [this] {
    base::log::error("the kernel did not take all addresses away within {} s", kStopWithin.count() / 1000);
    loop_.stop();
  });
}

// --- configuration -----------------------------------------------------------------------------------------

void Daemon::carry_out(Roster::Plan plan) {
  // The speaker first: what the kernel side says of an instance that it does not know would be lost.
  for (ToSpeaker& message : plan.to_speaker) put(std::move(message));
  put(ToKernel{std::move(plan.to_kernel)});
  for (auto& member : plan.gone) departing_.push_back(std::move(member));
  trackers_->replace();
  for (const auto& member : roster_.members()) judge(*member);
  if (const auto kept = yielded_file_.write(roster_.yielded()); !kept)
    base::log::error("a restart of sluice-vrrp will not know who has yielded: {}", kept.error().message);
}

base::Result<std::string> Daemon::reload() {
  if (stopping_) return base::Error{base::ErrorCode::unavailable, "sluice-vrrp is stopping"};
  const auto config = config::load_file(config_file_, config::NamedFiles::trusted);
  if (!config) return config.error();
  auto plan = roster_.replace(config->vrrp);
  if (!plan) return std::move(plan).error();
  std::string told = told_of(*plan);
  carry_out(*std::move(plan));
  return told;
}

base::Result<std::string> Daemon::order(const std::string& name, bool yield) {
  Member* const member = roster_.find(name);
  if (member == nullptr) {
    std::string known;
    for (const auto& other : roster_.members())
      known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", other->config.name);
    return base::Error{base::ErrorCode::not_found, fmt::format("no VRRP instance \"{}\"; there {}", name,
                                                               known.empty() ? "is none" : "are: " + known)};
  }
  if (member->yielded == yield)
    return fmt::format("{}: {} already", name, yield ? "has yielded" : "takes part");
  put(roster_.yield(*member, yield));
  count_troubles(*member);
  base::log::info("({}) {} by an operator", name, yield ? "yielded" : "resumed");
  std::string done =
      yield ? fmt::format("{}: gives its addresses away, until it is resumed, or this host reboots", name)
            : fmt::format("{}: takes part again", name);
  const auto kept = yielded_file_.write(roster_.yielded());
  if (kept) return done;
  base::log::error("({}) a restart of sluice-vrrp will not know that: {}", name, kept.error().message);
  return fmt::format("{}; a restart of sluice-vrrp will not know that: {}", done, kept.error().message);
}

void Daemon::judge(Member& member) {
  if (stopping_ || !trackers_->ready(member)) return;
  const Verdict verdict =
      vrrp::judge(member.config.priority, trackers_->tracked(member), member.config.sync_group.empty());
  const bool same =
      member.judged && verdict.faulty == member.verdict.faulty && verdict.priority == member.verdict.priority;
  const std::uint8_t before = member.judged ? member.verdict.priority : verdict.priority;
  member.verdict = verdict;
  count_troubles(member);
  if (same) return;
  member.judged = true;
  if (before != verdict.priority) {
    base::log::info("({}) Changing effective priority from {} to {}", member.config.name, before,
                    verdict.priority);
  }
  put(ToSpeaker{TrackerVerdict{member.id, verdict.faulty, verdict.priority}});
}

// --- what the others say -----------------------------------------------------------------------------------

void Daemon::take_news() {
  threads_->news().wake().clear();
  while (auto message = threads_->news().take()) std::visit([this](auto& m) { on(m); }, *message);
}

void Daemon::take_notes() {
  // What the kernel side said before is the reason of what the speaker says now.
  take_news();
  threads_->notes().wake().clear();
  while (const auto note = threads_->notes().take()) {
    Member* const member = find(note->id);
    if (member == nullptr) continue;
    if (note->kind == SpeakerNote::Kind::state) {
      member->state = note->state;
      member->reason = note->reason;
      count_troubles(*member);
    }
    for (const JournalLine& line : lines_of(*note, member->config, fault_text(*member)))
      base::log::write(line.level, "{}", fmt::make_format_args(line.text));
    if (note->kind == SpeakerNote::Kind::state) lines_.entered(note->id, note->state);
    if (note->kind == SpeakerNote::Kind::state && note->from != note->state)
      notifier_.entered(member->config, note->state, note->ours);
    if (note->kind == SpeakerNote::Kind::lower_priority && note->state == State::master)
      notifier_.heard_lower_priority(member->config);
  }
}

void Daemon::take_returns() {
  threads_->returns().wake().clear();
  while (auto message = threads_->returns().take()) std::visit([this](auto& m) { on(m); }, *message);
}

Member* Daemon::find(InstanceId id) noexcept {
  if (Member* const member = roster_.find(id)) return member;
  const auto gone = std::ranges::find_if(departing_, [id](const auto& member) { return member->id == id; });
  return gone == departing_.end() ? nullptr : gone->get();
}

void Daemon::on(Dismissed& dismissed) {
  take_notes();  // what it said before
  std::erase_if(departing_, [&](const auto& member) { return member->id == dismissed.instance->id; });
}

void Daemon::on(KernelLine& line) {
  lines_.take(std::move(line));
  if (lines_.empty()) return;
  if (lines_timer_ != EventLoop::TimerId::none) return;  // newer lines do not put it off
  lines_timer_ = loop_.after(kLinesWithin, [this] {
    lines_timer_ = EventLoop::TimerId::none;
    lines_.flush();
  });
}

void Daemon::on(KernelTrouble& news) {
  Member* const member = roster_.find(news.id);
  if (member == nullptr) return;
  member->kernel_trouble = std::move(news.trouble);
  count_troubles(*member);
  if (member->kernel_trouble && member->state == State::fault)
    base::log::info("({}) is still FAULT: {}", member->config.name, member->kernel_trouble->reason);
}

void Daemon::on(TrackedInterface& news) {
  trackers_->interface_is(news);
}

void Daemon::on(AllStopped&) {
  put(ToKernel{Finish{}});
}

void Daemon::on(KernelDone&) {
  loop_.stop();
}

// --- reports -----------------------------------------------------------------------------------------------

void Daemon::report(ControlServer::Reply reply) {
  waiting_.push_back(std::move(reply));
  if (waiting_.size() > 1) return;
  speaker_answered_ = kernel_answered_ = false;
  auto status = std::make_unique<SpeakerStatus>();
  status->instances.resize(roster_.members().size());
  put(ToSpeaker{FillStatus{std::move(status)}});
  put(ToKernel{FillKernelStatus{}});
  report_timer_ = loop_.after(kReportWithin, [this] { answer_reports(); });
}

void Daemon::on(StatusFilled& filled) {
  speaker_status_ = std::move(filled.status);
  speaker_answered_ = true;
  if (kernel_answered_) answer_reports();
}

void Daemon::on(KernelStatus& status) {
  kernel_status_ = std::move(status);
  kernel_answered_ = true;
  if (speaker_answered_) answer_reports();
}

void Daemon::answer_reports() {
  loop_.cancel(report_timer_);
  take_notes();
  config::VrrpReport out;
  out.version = SLUICE_VERSION;
  out.pid = static_cast<std::uint64_t>(::getpid());
  out.uptime_ms = base::steady_ms() - started_ms_;
  out.realtime = threads_->realtime();
  out.memory_locked = threads_->memory_locked();
  const Time now = std::chrono::steady_clock::now();
  if (speaker_status_) out.unknown_vrid = speaker_status_->unknown_vrid;
  for (const auto& member : roster_.members()) {
    InstanceStatus speaker;
    speaker.effective_priority = member->verdict.priority;
    for (std::size_t i = 0; speaker_status_ && i < speaker_status_->count; ++i) {
      if (speaker_status_->instances[i].id == member->id) speaker = speaker_status_->instances[i];
    }
    const auto kernel = kernel_status_.instances.find(member->id);
    out.instances.push_back(
        report_of(*member, speaker,
                  kernel == kernel_status_.instances.end() ? KernelInstanceStatus{} : kernel->second, now));
  }
  const std::string line = config::encode_vrrp_report_reply(out);
  for (const auto& reply : std::exchange(waiting_, {})) reply(line);
}

}  // namespace

base::Result<void> run_vrrp(config::Config config, const std::string& config_file,
                            const std::string& runtime_dir) {
  auto loop = EventLoop::create();
  if (!loop) return std::move(loop).error();
  Daemon daemon(**loop, config_file, runtime_dir);
  return daemon.run(config);
}

}  // namespace sluice::vrrp
