#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "cp/check_result.h"

namespace sluice::cp {

/// What an agent says of its server's health. The three last mean the same, and differ for those who read.
enum class AgentHealth : std::uint8_t { up, down, stopped, fail };
/// The administrative state that an agent asks for.
enum class AgentAdmin : std::uint8_t { ready, drain, maint };

struct AgentWeight {
  std::uint32_t value = 0;
  bool percent = true;  ///< of the configured weight; else absolute
  friend bool operator==(const AgentWeight&, const AgentWeight&) = default;
};

/// What an agent told. What is not there is to stay as it was: only the agent undoes what it set.
struct AgentAnswer {
  std::optional<AgentHealth> health;
  std::optional<AgentAdmin> admin;
  std::optional<AgentWeight> weight;
  std::optional<std::uint32_t> maxconn;
  /// How asking went, in HAProxy's words: L7OK (up), L7STS (down, stopped, fail), CHECKED (nothing about
  /// health), or why there was no answer, which is no failure of the server.
  CheckResult result;
  friend bool operator==(const AgentAnswer&, const AgentAnswer&) = default;
};

/// How much of what an agent sends is looked at, in bytes.
inline constexpr std::size_t kAgentLine = 16'384;

/// Reads an agent's line: words, in any order and any case, between blanks, tabs and commas, up to the first
/// CR or LF: up, down, stopped, fail; ready, drain, maint; `75%`, `weight:20`, `weight:20%`; `maxconn:30`;
/// the last of a kind counts. Behind a '#' at a word's start stands a description. Words that it does not
/// know are told in the result and change nothing. `received`: all that came before the agent closed, or
/// kAgentLine bytes of it. Any bytes are fine.
AgentAnswer parse_agent_answer(std::string_view received);

}  // namespace sluice::cp
