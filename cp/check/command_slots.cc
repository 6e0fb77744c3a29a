#include "cp/check/command_slots.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::cp {

CommandSlots::Slot::~Slot() {
  if (!state_) return;  // moved from
  if (state_->waiting == 0) {
    ++state_->free;
    return;
  }
  --state_->waiting;
  state_->turn.cancel_one();
}

boost::asio::awaitable<CommandSlots::Slot> CommandSlots::acquire() {
  const std::shared_ptr<State> state = state_;
  if (state->free > 0) {
    --state->free;
  } else {
    ++state->waiting;
    co_await state->turn.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  co_return Slot(state);
}

}  // namespace sluice::cp
