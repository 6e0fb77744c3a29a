#include <algorithm>
#include <string>

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;

class AgentProbe : public ProbeTest {
 protected:
  AgentAnswer ask(const Behaviour& behaviour, std::string send = {}, config::Milliseconds timeout = 20s) {
    const FakeServer server(io_, behaviour);
    AgentAnswer answer = finish(ask_agent(server.endpoint(), std::move(send), timeout));
    received_ = server.received();
    return answer;
  }

  std::string received_;
};

TEST_F(AgentProbe, ReadsALine) {
  const AgentAnswer answer = ask({"75% up\n", After::close, false});
  EXPECT_EQ(answer.health, AgentHealth::up);
  EXPECT_EQ(answer.weight, AgentWeight{75});
  EXPECT_EQ(code(answer.result.status), "L7OK");
}

TEST_F(AgentProbe, SendsFirstWhatIsToBeSent) {
  EXPECT_EQ(ask({"drain\n"}, "name a\n").admin, AgentAdmin::drain);
  EXPECT_EQ(received_, "name a\n");
}

TEST_F(AgentProbe, DoesNotWaitForTheEndOfTheConnection) {
  EXPECT_EQ(ask({"down # busy\n", After::hold, false}).health, AgentHealth::down);
}

TEST_F(AgentProbe, WhateverItSendsIsBounded) {
  EXPECT_EQ(ask({"x", After::endless, false}).result.info, "Ignoring incomplete line from agent");
  EXPECT_EQ(ask({"up", After::close, false}).result.info, "Ignoring incomplete line from agent");
  EXPECT_EQ(ask({"", After::close, false}).result.info, "TCPCHK got an empty response at step 2");
  EXPECT_EQ(code(ask({"", After::hold, false}, {}, 100ms).result.status), "L7TOUT");
  EXPECT_EQ(code(ask({std::string(10'000, 'a'), After::hold, false, 1}, {}, 100ms).result.status), "L7TOUT");
}

/// An agent that nothing is sent to waits for the end of the handshake: it must not be held back.
TEST_F(AgentProbe, AnswersWithoutTheDelayOfAnAcknowledgement) {
  config::Milliseconds least{1'000};
  for (int i = 0; i < 10; ++i) least = std::min(least, ask({"up\n", After::close, false}).result.duration);
  EXPECT_LT(least, 30ms) << "Linux delays an acknowledgement by 40 ms";
}

TEST_F(AgentProbe, NoAgentIsNoAnswer) {
  const ClosedPort closed(io_);
  const AgentAnswer answer =
      finish(ask_agent({base::Ipv4::from_host(INADDR_LOOPBACK), closed.port()}, {}, 20s));
  AgentAnswer nothing;
  nothing.result = answer.result;
  EXPECT_EQ(answer, nothing);
  EXPECT_EQ(code(answer.result.status), "L4CON");
}

}  // namespace
}  // namespace sluice::cp
