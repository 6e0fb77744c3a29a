#include "vrrp/realtime.h"

#include <cerrno>
#include <cstddef>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <utility>

namespace sluice::vrrp {
namespace {

/// Locked as a whole: the usual 8 MiB would be taken for nothing.
constexpr std::size_t kStackBytes = std::size_t{512} << 10;

}  // namespace

base::Result<void> lock_memory() {
  // What is freed stays with the process, so that no allocation has to wait for a page.
  ::mallopt(M_TRIM_THRESHOLD, -1);
  ::mallopt(M_MMAP_MAX, 0);
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return base::system_error("mlockall", errno);
  return {};
}

base::Result<Thread> Thread::start(const char* name, int priority, std::function<void()> body) {
  Thread out;
  out.body_ = std::make_unique<std::function<void()>>(std::move(body));
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto entry = [](void* run) -> void* {
    (*static_cast<std::function<void()>*>(run))();
    return nullptr;
  };
  const int error = ::pthread_create(&out.thread_, &attributes, entry, out.body_.get());
  ::pthread_attr_destroy(&attributes);
  if (error != 0) {
    out.body_.reset();
    return base::system_error(std::string("thread ") + name, error);
  }
  ::pthread_setname_np(out.thread_, name);
  sched_param parameters{};
  parameters.sched_priority = ::sched_get_priority_min(SCHED_FIFO) + priority;
  const int refused = ::pthread_setschedparam(out.thread_, SCHED_FIFO, &parameters);
  out.realtime_ = refused == 0;
  if (refused != 0) out.why_not_ = base::system_error("SCHED_FIFO", refused).message;
  return out;
}

Thread::~Thread() {
  if (body_) ::pthread_join(thread_, nullptr);
}

}  // namespace sluice::vrrp
