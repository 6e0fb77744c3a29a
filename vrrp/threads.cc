#include "vrrp/threads.h"

#include <utility>

#include "base/log.h"

namespace sluice::vrrp {
namespace {

// Above ordinary threads, below what a kernel runs at high priorities (interrupt threads: 50).
constexpr int kSpeakerPriority = 10;
constexpr int kKernelPriority = 9;

template <typename Box>
base::Result<void> make(std::unique_ptr<Box>& box) {
  auto made = Box::make();
  if (!made) return std::move(made).error();
  box = *std::move(made);
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Threads>> Threads::start() {
  std::unique_ptr<Threads> self(new Threads);
  const auto locked = lock_memory();
  self->memory_locked_ = locked.has_value();
  if (!locked) {
    base::log::warn("memory cannot be locked ({}): under memory pressure adverts may be late",
                    locked.error().message);
  }
  for (auto made : {make(self->speaker_box_), make(self->footing_), make(self->notes_), make(self->returns_),
                    make(self->kernel_box_), make(self->news_)}) {
    if (!made) return std::move(made).error();
  }
  auto orders = Wake::make();
  if (!orders) return std::move(orders).error();
  self->orders_.emplace(*std::move(orders));
  self->to_speaker_.emplace(*self->speaker_box_);
  self->to_kernel_.emplace(*self->kernel_box_);
  auto speaker =
      Speaker::create({*self->speaker_box_, *self->footing_, *self->notes_, *self->returns_, *self->orders_});
  if (!speaker) return std::move(speaker).error();
  self->speaker_ = *std::move(speaker);
  auto kernel = KernelSide::create({*self->kernel_box_, *self->orders_, *self->footing_, *self->news_});
  if (!kernel) return std::move(kernel).error();
  self->kernel_ = *std::move(kernel);

  auto kernel_thread =
      Thread::start("vrrp-kernel", kKernelPriority, [raw = self->kernel_.get()] { raw->run(); });
  if (!kernel_thread) return std::move(kernel_thread).error();
  self->kernel_thread_.emplace(*std::move(kernel_thread));
  auto speaker_thread =
      Thread::start("vrrp-speaker", kSpeakerPriority, [raw = self->speaker_.get()] { raw->run(); });
  if (!speaker_thread) return std::move(speaker_thread).error();
  self->speaker_thread_.emplace(*std::move(speaker_thread));
  self->realtime_ = self->speaker_thread_->realtime();
  if (!self->realtime_) {
    base::log::warn(
        "no real-time scheduling ({}): on a busy host adverts may be late, and another router "
        "may take the addresses over without need",
        self->speaker_thread_->why_not());
  }
  return self;
}

Threads::~Threads() {
  if (speaker_) speaker_->finish();
  if (kernel_) kernel_->finish();
  speaker_thread_.reset();
  kernel_thread_.reset();
}

void Threads::put(ToSpeaker&& message) {
  to_speaker_->put(std::move(message));
}

void Threads::put(ToKernel&& message) {
  to_kernel_->queue(std::move(message));
}

bool Threads::flush() {
  // In this order: the kernel side speaks of instances that the speaker must have adopted by then.
  return to_speaker_->flush() && to_kernel_->flush();
}

}  // namespace sluice::vrrp
