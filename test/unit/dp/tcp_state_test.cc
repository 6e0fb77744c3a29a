#include "dp/flow/tcp_state.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "dp/packet.h"

namespace sluice::dp {
namespace {

using D = Direction;
using E = TcpEvent;
using S = FlowState;

struct Row {
  S state;
  D direction;
  E event;
  S next;
};

/// Every change of state; what is not listed leaves the state as it is.
constexpr Row kChanges[]{
    {S::udp_opening, D::to_client, E::ack, S::udp_open},
    {S::syn_sent, D::to_server, E::syn_ack, S::syn_received},
    {S::syn_sent, D::to_server, E::rst, S::reset},
    {S::syn_sent, D::to_client, E::syn, S::syn_received},
    {S::syn_sent, D::to_client, E::syn_ack, S::syn_received},
    {S::syn_sent, D::to_client, E::rst, S::reset},
    {S::syn_received, D::to_server, E::ack, S::established},
    {S::syn_received, D::to_server, E::syn_ack, S::established},
    {S::syn_received, D::to_server, E::fin, S::fin_client},
    {S::syn_received, D::to_server, E::rst, S::reset},
    {S::syn_received, D::to_client, E::fin, S::fin_server},
    {S::syn_received, D::to_client, E::rst, S::reset},
    {S::established, D::to_server, E::fin, S::fin_client},
    {S::established, D::to_server, E::rst, S::reset},
    {S::established, D::to_client, E::fin, S::fin_server},
    {S::established, D::to_client, E::rst, S::reset},
    {S::fin_client, D::to_server, E::rst, S::reset},
    {S::fin_client, D::to_client, E::fin, S::closing},
    {S::fin_client, D::to_client, E::rst, S::reset},
    {S::fin_server, D::to_server, E::fin, S::closing},
    {S::fin_server, D::to_server, E::rst, S::reset},
    {S::fin_server, D::to_client, E::rst, S::reset},
    {S::closing, D::to_server, E::rst, S::reset},
    {S::closing, D::to_client, E::syn_ack, S::syn_received},
    {S::closing, D::to_client, E::rst, S::reset},
    {S::time_wait, D::to_client, E::syn_ack, S::syn_received},
};

TEST(TcpState, EveryTransition) {
  for (const D d : {D::to_server, D::to_client}) {
    for (std::size_t s = 0; s < static_cast<std::size_t>(S::kCount); ++s) {
      for (std::size_t e = 0; e < static_cast<std::size_t>(E::kCount); ++e) {
        S expected = S(s);
        for (const Row& row : kChanges) {
          if (row.state == S(s) && row.direction == d && row.event == E(e)) expected = row.next;
        }
        if (S(s) == S::udp_opening && d == D::to_client) expected = S::udp_open;  // UDP has but one event
        EXPECT_EQ(next_state(S(s), d, E(e)), expected)
            << name(S(s)) << ", event " << e << (d == D::to_server ? ", to server" : ", to client");
      }
    }
  }
}

TEST(TcpState, EventIsTheStrongestFlag) {
  using F = base::TcpFlags;
  EXPECT_EQ(event_of(F{F::kAck}), E::ack);
  EXPECT_EQ(event_of(F{}), E::ack);
  EXPECT_EQ(event_of(F{F::kSyn}), E::syn);
  EXPECT_EQ(event_of(F{F::kSyn | F::kAck | F::kFin}), E::syn_ack);
  EXPECT_EQ(event_of(F{F::kFin | F::kAck}), E::fin);
  EXPECT_EQ(event_of(F{0xff}), E::rst);
}

TEST(TcpState, NamesAreDistinct) {
  std::set<std::string> names;
  for (std::size_t s = 0; s < static_cast<std::size_t>(S::kCount); ++s) names.emplace(name(S(s)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(S::kCount));
}

TEST(TcpState, SequenceSpaceWraps) {
  EXPECT_TRUE(seq_before(0xffff'ffff, 0));
  EXPECT_FALSE(seq_before(0, 0xffff'ffff));
  EXPECT_FALSE(seq_before(5, 5));
  EXPECT_TRUE(seq_at_or_before(5, 5));
}

}  // namespace
}  // namespace sluice::dp
