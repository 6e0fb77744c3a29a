#include "cp/agent_answer.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

namespace sluice::cp {
namespace {

constexpr std::string_view kBetweenWords = " \t,";
constexpr std::string_view kMaxconn = "maxconn:";
constexpr std::string_view kWeight = "weight:";
constexpr std::uint32_t kMostWeight = 256;
/// Beyond this any configured weight is at its limit.
constexpr std::uint32_t kMostPercent = kMostWeight * 100;

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr bool digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool same(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool begins(std::string_view word, std::string_view prefix) noexcept {
  return same(word.substr(0, prefix.size()), prefix);
}

std::optional<AgentHealth> health_word(std::string_view word) noexcept {
  if (same(word, "up")) return AgentHealth::up;
  if (same(word, "down")) return AgentHealth::down;
  if (same(word, "stopped")) return AgentHealth::stopped;
  if (same(word, "fail")) return AgentHealth::fail;
  return std::nullopt;
}

std::optional<AgentAdmin> admin_word(std::string_view word) noexcept {
  if (same(word, "ready")) return AgentAdmin::ready;
  if (same(word, "drain")) return AgentAdmin::drain;
  if (same(word, "maint")) return AgentAdmin::maint;
  return std::nullopt;
}

/// The digits at the start of `text` as a number, at most `most`; takes them off.
std::uint32_t take_number(std::string_view& text, std::uint32_t most) noexcept {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{} ? std::min(value, most) : most;
}

/// The line's words as they are read; errors and warnings are HAProxy's, and its first of each.
class Reader {
 public:
  void take(std::string_view word) {
    if (const auto health = health_word(word)) {
      answer.health = health;
      said = word;
    } else if (const auto admin = admin_word(word)) {
      answer.admin = admin;
    } else if (digit(word.front()) && word.find('%') != std::string_view::npos) {
      take_weight(word);
    } else if (begins(word, kWeight) && word.size() > kWeight.size() && digit(word[kWeight.size()])) {
      take_weight(word.substr(kWeight.size()));
    } else if (begins(word, kMaxconn)) {
      take_maxconn(word.substr(kMaxconn.size()));
    } else if (error.empty()) {
      error = word;
    }
  }

  AgentAnswer answer;
  std::string_view said;  ///< the word about health as the agent wrote it
  std::string_view error, warning;

 private:
  void warn(std::string_view what) {
    if (warning.empty()) warning = what;
  }

  void take_weight(std::string_view text) {
    const bool percent = text.find('%') != std::string_view::npos;
    const std::uint32_t value = take_number(text, kMostPercent);
    if (text != (percent ? "%" : "")) return warn("Trailing garbage in weight string");
    if (!percent && value > kMostWeight)
      return warn("Absolute weight can only be between 0 and 256 inclusive");
    answer.weight = AgentWeight{value, percent};
  }

  void take_maxconn(std::string_view text) {
    if (text.empty() || !digit(text.front())) return warn("maxconn string empty or preceded by garbage");
    const std::uint32_t value = take_number(text, UINT32_MAX);
    if (!text.empty()) return warn("Trailing garbage in maxconn string");
    answer.maxconn = value;
  }
};

/// What is told of an answer that said something about health.
std::string via_agent(const Reader& reader, std::string_view description) {
  std::string_view remark = description;
  if (remark.empty() || reader.answer.health == AgentHealth::up) {
    if (!reader.error.empty()) {
      remark = reader.error;
    } else if (!reader.warning.empty()) {
      remark = reader.warning;
    }
  }
  if (remark.empty()) return fmt::format("via agent : {}", reader.said);
  return fmt::format("via agent : {} ({})", reader.said, remark);
}

}  // namespace

AgentAnswer parse_agent_answer(std::string_view received) {
  using namespace std::string_view_literals;
  AgentAnswer none;
  if (received.empty()) {
    none.result.status = CheckStatus::l7_invalid;
    none.result.info = "TCPCHK got an empty response at step 2";
    return none;
  }
  const std::size_t end = received.find_first_of("\r\n\0"sv);
  if (end == std::string_view::npos || received[end] == '\0') {
    none.result.status = CheckStatus::l7_timeout;
    none.result.info = "Ignoring incomplete line from agent";
    return none;
  }

  std::string_view line = received.substr(0, end);
  std::string_view description;
  Reader reader;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBetweenWords), line.size()));
    if (line.empty()) break;
    if (line.front() == '#') {
      line.remove_prefix(1);
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      description = line;
      break;
    }
    const std::size_t length = std::min(line.find_first_of(kBetweenWords), line.size());
    reader.take(line.substr(0, length));
    line.remove_prefix(length);
  }

  CheckResult& result = reader.answer.result;
  if (reader.answer.health) {
    result.status =
        reader.answer.health == AgentHealth::up ? CheckStatus::l7_ok : CheckStatus::l7_wrong_status;
    result.info = via_agent(reader, description);
  } else {
    result.status = CheckStatus::no_change;
    if (!reader.error.empty()) {
      result.info = fmt::format("agent reports an error : {}", reader.error);
    } else if (!reader.warning.empty()) {
      result.info = fmt::format("agent warns : {}", reader.warning);
    }
  }
  result.info = shortened(std::move(result.info));
  return reader.answer;
}

}  // namespace sluice::cp
