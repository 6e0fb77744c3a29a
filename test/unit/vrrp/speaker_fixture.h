#pragma once

#include <array>
#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <pthread.h>
#include <span>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "base/headers.h"
#include "test/unit/vrrp/advert_vectors.h"
#include "vrrp/speaker.h"

/// The speaker between its boxes: no kernel, no interface; what it says comes back as notes and returns.
namespace sluice::vrrp {

using namespace std::chrono_literals;  // NOLINT: of a fixture
using Kind = SpeakerNote::Kind;

inline constexpr Parameters kFast{.version = 3, .advert_int = 10ms};

template <typename Box>
std::unique_ptr<Box> box() {
  return *Box::make();
}

class SpeakerTest : public testing::Test {
 protected:
  static constexpr InstanceId kA{1}, kB{2}, kC{3};
  static constexpr ListenerId kLan{1};

  ~SpeakerTest() override {
    speaker_->finish();
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    thread_ = std::thread([this] { speaker_->run(); });
  }
  /// Pre: run().
  pthread_t thread() { return thread_.native_handle(); }

  static std::unique_ptr<SpeakerSettings> settings(const Parameters& parameters,
                                                   std::optional<std::uint32_t> group = {}) {
    auto out = std::make_unique<SpeakerSettings>();
    out->parameters = parameters;
    out->parameters.in_group = group.has_value();
    out->format = {.version = parameters.version, .authenticated = false};
    out->vrid = 61;
    out->addresses = {test::ip("10.99.0.100")};
    out->destinations = {test::kGroup4};
    out->accept = accept_rules(parameters.version, Centis(100), out->addresses, {}, false);
    out->listener = kLan;
    out->group = group;
    return out;
  }
  void adopt(InstanceId id, const Parameters& parameters, std::optional<std::uint32_t> group = {}) {
    auto instance = std::make_unique<SpeakerInstance>(
        id, settings(parameters, group), std::make_shared<Orders>(), std::chrono::steady_clock::now());
    instance->timer = base::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    say(Adopt{std::move(instance)});
  }
  void say(ToSpeaker message) { ASSERT_TRUE(main_->put(std::move(message))); }
  void footing(InstanceId id, bool faulty, bool link_came_up = false) {
    Footing message;
    message.id = id;
    message.faulty = faulty;
    message.link_came_up = link_came_up;
    ASSERT_TRUE(kernel_->put(std::move(message)));
  }
  void sound(InstanceId id) {
    footing(id, false);
    say(TrackerVerdict{id, false, 100});
  }

  /// The next return of this kind; others are let go.
  template <typename T>
  std::optional<T> returned() {
    for (;;) {
      while (auto message = returns_->take()) {
        if (auto* wanted = std::get_if<T>(&*message)) return std::move(*wanted);
      }
      if (!wait(returns_->wake())) return std::nullopt;
    }
  }
  /// All that was put into the kernel side's box so far has been heard.
  void wait_for_kernel_box() {
    const int fd = ::fcntl(orders_.fd(), F_DUPFD_CLOEXEC, 0);
    ASSERT_TRUE(kernel_->put(ListenerSocket{ListenerId{9}, base::Family::v4, base::Fd(fd)}));
    ASSERT_TRUE(kernel_->put(ListenerSocket{ListenerId{9}, base::Family::v4, base::Fd()}));
    ASSERT_TRUE(returned<Retired>());
  }
  bool enters(InstanceId id, State state) {
    for (;;) {
      while (const auto note = notes_->take()) {
        if (note->kind == Kind::state && note->id == id && note->state == state) return true;
      }
      if (!wait(notes_->wake())) return false;
    }
  }
  std::size_t count_notes(Kind kind) {
    std::size_t count = 0;
    while (const auto note = notes_->take()) count += note->kind == kind ? 1 : 0;
    return count;
  }
  InstanceStatus status(InstanceId id) {
    auto empty = std::make_unique<SpeakerStatus>();
    empty->instances.resize(8);
    say(FillStatus{std::move(empty)});
    const auto filled = returned<StatusFilled>();
    for (std::size_t i = 0; filled && i < filled->status->count; ++i) {
      if (filled->status->instances[i].id == id) return filled->status->instances[i];
    }
    ADD_FAILURE() << "no status";
    return {};
  }

  std::unique_ptr<SpeakerBox> main_ = box<SpeakerBox>();
  std::unique_ptr<FootingBox> kernel_ = box<FootingBox>();
  std::unique_ptr<NoteBox> notes_ = box<NoteBox>();
  std::unique_ptr<ReturnBox> returns_ = box<ReturnBox>();
  Wake orders_ = *Wake::make();
  std::unique_ptr<Speaker> speaker_ = *Speaker::create({*main_, *kernel_, *notes_, *returns_, orders_});

 private:
  static bool wait(const Wake& wake) {
    pollfd what{.fd = wake.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&what, 1, 5'000) != 1) return false;
    wake.clear();
    return true;
  }
  std::thread thread_;
};

/// A backup of priority 100, and what any host of the segment can send it: an advert of version 2 of this
/// priority, as the raw socket gives it.
class SpeakerHearingTest : public SpeakerTest {
 protected:
  explicit SpeakerHearingTest(std::uint8_t priority) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof here;
    auto* const address = reinterpret_cast<sockaddr*>(&here);
    EXPECT_EQ(::bind(fd, address, length), 0);
    EXPECT_EQ(::getsockname(fd, address, &length), 0);
    EXPECT_EQ(::connect(far_.get(), address, length), 0);
    near_ = base::Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    EXPECT_TRUE(kernel_->put(ListenerSocket{kLan, base::Family::v4, base::Fd(fd)}));
    std::span<std::byte> whole(packet_);
    auto* ip = base::at<base::Ipv4Hdr>(whole, 0);
    ip->version_ihl = 0x45;
    ip->ttl = 255;
    ip->src = test::ip("10.99.0.1").v4();
    ip->dst = test::kGroup4.v4();
    const std::vector<base::IpAddress> addresses{test::ip("10.99.0.100")};
    const OutgoingAdvert advert{.format = {.version = 2},
                                .vrid = 61,
                                .priority = priority,
                                .max_advert = Centis(100),
                                .source = test::ip("10.99.0.1"),
                                .destination = test::kGroup4,
                                .addresses = addresses};
    size_ = sizeof(base::Ipv4Hdr) + encode(advert, whole.subspan(sizeof(base::Ipv4Hdr))).size();
    adopt(kA, {.version = 2, .priority = 100});
    run();
    sound(kA);
    EXPECT_TRUE(enters(kA, State::backup));
  }
  /// False: there is no room for it just now.
  bool send_one() { return ::send(far_.get(), packet_.data(), size_, MSG_DONTWAIT) > 0; }
  /// Nothing waits that the speaker has not taken.
  bool all_taken() {
    int waiting = 0;
    return ::ioctl(near_.get(), FIONREAD, &waiting) == 0 && waiting == 0;
  }

 private:
  base::Fd near_;  ///< as the speaker has it
  base::Fd far_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::array<std::byte, sizeof(base::Ipv4Hdr) + kMaxAdvertBytes> packet_{};
  std::size_t size_ = 0;
};

}  // namespace sluice::vrrp
