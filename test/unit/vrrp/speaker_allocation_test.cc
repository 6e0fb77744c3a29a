// Between a timer and its advert the speaker allocates nothing: an allocator's lock, or a page that is not
// there yet, would make it late. This program's operator new counts the calls of one thread.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <pthread.h>
#include <sys/socket.h>

#include "test/unit/vrrp/speaker_fixture.h"

namespace {

std::atomic<pthread_t> counted_thread{};  // none: nobody's are counted
std::atomic<std::size_t> allocations{0};

void* allocate(std::size_t size, std::size_t alignment) {
  if (counted_thread.load() == ::pthread_self()) ++allocations;
  void* const memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The other forms of new call these two.
void* operator new(std::size_t size) {
  return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace sluice::vrrp {
namespace {

/// Allocations of a thread from now on.
class Allocations {
 public:
  explicit Allocations(pthread_t thread) {
    allocations = 0;
    counted_thread = thread;
  }
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;
  ~Allocations() { counted_thread = pthread_t{}; }
  [[nodiscard]] static std::size_t count() { return allocations; }
};

class SpeakerSendingTest : public SpeakerTest {
 protected:
  SpeakerSendingTest() {
    // Keeps packets apart as a raw socket does, and takes any destination.
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    far_ = base::Fd(ends[1]);
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(far_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    adopt(kA, kFast);
    run();
    Footing message;
    message.id = kA;
    message.new_sender = true;
    message.sender = base::Fd(ends[0]);
    message.source = test::ip("10.99.0.1");
    message.index = 1;
    EXPECT_TRUE(kernel_->put(std::move(message)));
    say(TrackerVerdict{kA, false, 100});
    EXPECT_TRUE(enters(kA, State::backup));
  }
  /// The next advert that the speaker sends has arrived.
  bool sends() {
    std::array<std::byte, kMaxAdvertBytes> advert{};
    return ::recv(far_.get(), advert.data(), advert.size(), 0) > 0;
  }

 private:
  base::Fd far_;
};

class SpeakerBackupTest : public SpeakerHearingTest {
 protected:
  SpeakerBackupTest() : SpeakerHearingTest(200) {}
};

TEST_F(SpeakerSendingTest, AllocatesNothingWhileItBecomesMasterAndSends) {
  const Allocations speaker(thread());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(sends());
  EXPECT_EQ(speaker.count(), 0U);
  EXPECT_EQ(status(kA).state, State::master);
}

TEST_F(SpeakerBackupTest, AllocatesNothingWhileItHearsTheMaster) {
  const Allocations speaker(thread());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(send_one());
    while (!all_taken()) std::this_thread::yield();
  }
  EXPECT_EQ(speaker.count(), 0U);
  const InstanceStatus after = status(kA);
  EXPECT_EQ(after.received, 100U);
  EXPECT_EQ(after.state, State::backup);
}

TEST_F(SpeakerSendingTest, IsSeenToAllocateWhereItMay) {
  const Allocations speaker(thread());
  adopt(kB, kFast);
  (void)status(kB);
  EXPECT_GT(speaker.count(), 0U);
}

}  // namespace
}  // namespace sluice::vrrp
