#include <string>
#include <utility>

#include <boost/asio/this_coro.hpp>

#include "cp/check/connection.h"
#include "cp/check/probes.h"

namespace sluice::cp {

namespace asio = boost::asio;
using boost::system::error_code;

asio::awaitable<AgentAnswer> probe_agent(base::Endpoint endpoint, const std::string& send,
                                         AgentAnswer& if_late) {
  CheckConnection connection(co_await asio::this_coro::executor);
  AgentAnswer answer;
  if_late.result.status = CheckStatus::l4_timeout;
  answer.result = co_await connection.connect(endpoint, Ending::reset);
  if (!answer.result.passed()) co_return answer;

  if_late.result.status = CheckStatus::l7_timeout;
  error_code error;
  if (!send.empty()) error = co_await connection.write(send);
  std::string received;
  while (!error && received.size() < kAgentLine && received.find_first_of("\r\n") == std::string::npos)
    error = co_await connection.read_some(received, kAgentLine);
  if (error && error != asio::error::eof && received.empty()) {
    answer.result.status = CheckStatus::socket_error;
    answer.result.info = error.message();
    co_return answer;
  }
  answer = parse_agent_answer(received);
  co_return answer;
}

}  // namespace sluice::cp
