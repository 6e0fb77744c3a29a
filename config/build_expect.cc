#include "config/build_expect.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <regex.h>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

/// The bytes that hexadecimal digits stand for. The Error's sentence begins with the text in quotes.
base::Result<std::string> bytes_of_hex(std::string_view text) {
  const auto refused = [text](std::string_view why) {
    return base::Error{base::ErrorCode::invalid, in_quotes(text).append(" ").append(why)};
  };
  if (text.empty()) return refused("is empty");
  if (text.size() % 2 != 0) return refused("has an odd number of hexadecimal digits: two make a byte");
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const char* const end = text.data() + i + 2;
    const auto [stop, failure] = std::from_chars(text.data() + i, end, value, 16);
    if (failure != std::errc() || stop != end) {
      return refused("has " + in_quotes(text.substr(i, 2)) + ", which is not two hexadecimal digits");
    }
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

/// Why `pattern` is no POSIX extended regular expression; empty when it is one.
std::string regex_fault(const std::string& pattern) {
  if (pattern.find('\0') != std::string::npos) return "has a NUL byte, which a regular expression cannot";
  regex_t compiled;
  const int failure = ::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
  if (failure == 0) {
    ::regfree(&compiled);
    return {};
  }
  std::array<char, 200> words{};
  ::regerror(failure, &compiled, words.data(), words.size());
  return "is not a regular expression (POSIX extended): " + std::string(words.data());
}

/// The pattern of an expectation as bytes, checked.
base::Result<std::string> pattern_of(Expect::Match match, const std::string& text) {
  switch (match) {
    case Expect::Match::string:
      if (text.empty()) return base::Error{base::ErrorCode::invalid, "is empty: any answer has it"};
      return text;
    case Expect::Match::regex:
      if (text.empty()) return base::Error{base::ErrorCode::invalid, "is empty: any answer has it"};
      if (auto fault = regex_fault(text); !fault.empty()) {
        return base::Error{base::ErrorCode::invalid, in_quotes(text) + " " + fault};
      }
      return text;
    case Expect::Match::binary: break;
  }
  return bytes_of_hex(text);
}

/// The keys of `section`: what is said of all of them depends on each.
std::vector<std::string> keys_of(const Section& section) {
  std::vector<std::string> keys;
  for (const std::string& name : section.object.getMemberNames()) keys.push_back(pointer(section.path, name));
  return keys;
}

CheckStep read_step(const Section& section, SectionReader& reader) {
  CheckStep step;
  if (!section.object.isObject()) return step;
  constexpr std::array kActions{"connect", "send", "send_binary", "expect"};
  if (std::ranges::count_if(kActions, [&](const char* key) { return section.has(key); }) != 1) {
    reader.refuse(section.path,
                  "is to hold exactly one of \"connect\", \"send\", \"send_binary\" and \"expect\"",
                  keys_of(section));
    return step;
  }
  if (auto comment = SectionReader::text(section, "comment")) step.comment = *std::move(comment);
  if (section.has("connect")) {
    const Section connect = section.inner("connect");
    step.kind = CheckStep::Kind::connect;
    SectionReader::read_number(connect, "port", step.port);
    SectionReader::read_flag(connect, "tls", step.tls);
    SectionReader::read_flag(connect, "linger", step.linger);
  } else if (section.has("expect")) {
    const Section expect = section.inner("expect");
    step.kind = CheckStep::Kind::expect;
    step.expect = read_expect(expect, reader).value_or(Expect{});
    SectionReader::read_number(expect, "min_recv", step.min_recv);
  } else {
    step.kind = CheckStep::Kind::send;
    step.data = read_payload(section, reader).value_or("");
  }
  return step;
}

}  // namespace

std::optional<std::string> read_payload(const Section& section, SectionReader& reader) {
  if (section.has("send") && section.has("send_binary")) {
    reader.refuse_key(pointer(section.path, "send_binary"),
                      "key \"send_binary\" cannot stand beside \"send\": give one of them");
    return std::nullopt;
  }
  if (auto text = SectionReader::text(section, "send")) return text;
  const auto digits = SectionReader::text(section, "send_binary");
  if (!digits) return std::nullopt;
  auto bytes = bytes_of_hex(*digits);
  if (bytes) return *std::move(bytes);
  reader.refuse(pointer(section.path, "send_binary"), bytes.error().message);
  return std::nullopt;
}

std::optional<Expect> read_expect(const Section& section, SectionReader& reader) {
  if (!section.object.isObject()) return std::nullopt;
  Expect expect;
  SectionReader::read_flag(section, "not", expect.negate);
  std::size_t given = 0;
  for (const auto& [match, key] : kNames<Expect::Match>) {
    if (!section.has(key)) continue;
    ++given;
    expect.match = match;
  }
  if (given != 1) {
    reader.refuse(section.path, "is to hold exactly one of " + all_names<Expect::Match>(), keys_of(section));
    return std::nullopt;
  }
  const std::string_view key = name_of(expect.match);
  const auto text = SectionReader::text(section, key);
  if (!text) return std::nullopt;
  auto pattern = pattern_of(expect.match, *text);
  if (!pattern) {
    reader.refuse(pointer(section.path, key), pattern.error().message);
    return std::nullopt;
  }
  expect.pattern = *std::move(pattern);
  return expect;
}

std::vector<CheckStep> read_steps(const Section& check, SectionReader& reader) {
  std::vector<CheckStep> steps;
  for (const Section& element : check.elements("steps")) steps.push_back(read_step(element, reader));
  const auto connects = [](const CheckStep& step) { return step.kind == CheckStep::Kind::connect; };
  const auto first = std::ranges::find_if(steps, connects);
  if (first != steps.end() && first != steps.begin()) {
    // A connect step later on would be a second connection, so the first one has to be said, too.
    reader.refuse(pointer(pointer(check.path, "steps"), 0),
                  "is to be a \"connect\", as there is one among the later steps");
  }
  return steps;
}

}  // namespace sluice::config
