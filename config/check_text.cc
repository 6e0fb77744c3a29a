#include "config/check_text.h"

#include <algorithm>

#include "config/names.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

std::string step_text(const CheckStep& step) {
  std::string text;
  switch (step.kind) {
    case CheckStep::Kind::connect:
      text = "connect";
      if (step.port != 0) text += " port " + std::to_string(step.port);
      if (step.tls) text += " tls";
      if (step.linger) text += " linger";
      break;
    case CheckStep::Kind::send: text = "send " + payload_text(step.data); break;
    case CheckStep::Kind::expect:
      text = "expect ";
      if (step.min_recv != 0) text += "min_recv " + std::to_string(step.min_recv) + " ";
      text += expect_text(step.expect);
      break;
  }
  if (!step.comment.empty()) text += " comment " + in_quotes(step.comment);
  return text;
}

}  // namespace

std::string payload_text(std::string_view bytes) {
  const bool printable = std::ranges::all_of(bytes, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (printable) return in_quotes(bytes);
  constexpr std::size_t kLongest = 30;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (const char c : bytes.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return bytes.size() > kLongest ? text + "..." : text;
}

std::string expect_text(const Expect& expect) {
  const std::string pattern =
      expect.match == Expect::Match::binary ? payload_text(expect.pattern) : in_quotes(expect.pattern);
  return std::string(expect.negate ? "not " : "").append(name_of(expect.match)).append(" ").append(pattern);
}

std::string steps_text(const std::vector<CheckStep>& steps) {
  std::string text;
  for (const CheckStep& step : steps) text += (text.empty() ? "" : ", ") + step_text(step);
  return "[" + text + "]";
}

std::string status_text(const std::vector<StatusRange>& ranges) {
  std::string text;
  for (const StatusRange& range : ranges) {
    if (!text.empty()) text += ' ';
    text += std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
  }
  return "[" + text + "]";
}

}  // namespace sluice::config
