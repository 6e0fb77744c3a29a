#include "config/parse.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <json/json.h>

#include "config/build.h"
#include "config/build_vrrp.h"
#include "config/schema_check.h"
#include "config/source_map.h"
#include "config/subject.h"
#include "config/suggest.h"
#include "config/validate.h"

namespace sluice::config {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kLargestFile = std::size_t{16} << 20;

/// Nothing but spaces.
bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

constexpr std::string_view kValueExpected = "Syntax error: value, object or array expected";

struct Wording {
  std::string_view theirs, ours;
};
/// jsoncpp's complaints, by how they begin, in the words of someone who writes a configuration.
constexpr std::array kSyntaxWords{
    Wording{kValueExpected, "a value is expected here"},
    Wording{"Missing ',' or '}' in object", "a comma or } is missing before this"},
    Wording{"Missing ',' or ']' in array", "a comma or ] is missing before this"},
    Wording{"Missing ':' after object member name", "a colon is missing after the key"},
    Wording{"Missing '}' or object member name", "a key in double quotes, or }, is expected here"},
    Wording{"Extra non-whitespace after JSON value", "nothing may follow the closing }"},
    Wording{"A valid JSON document must be", "the file is to hold one object: { ... }"},
    Wording{"Exceeded stackLimit", "brackets are nested deeper than in any configuration"},
    Wording{"Missing hexadecimal digit", "\\u is to be followed by four hexadecimal digits"},
    Wording{"Bad unicode escape sequence", "\\u is to be followed by four hexadecimal digits"},
    Wording{"Bad escape sequence", "a backslash is to be followed by one of \" \\ / b f n r t u"},
    Wording{"Empty escape sequence", "a backslash is to be followed by one of \" \\ / b f n r t u"},
};

/// The offset of a line and column as jsoncpp counts them: columns in bytes, lines ended by \r, \n or \r\n.
std::size_t offset_of(std::string_view text, unsigned line, unsigned column) {
  std::size_t at = 0;
  for (unsigned current = 1; current < line && at < text.size(); ++current) {
    at = std::min(text.find_first_of("\r\n", at), text.size());
    at += text.substr(at).starts_with("\r\n") ? 2 : 1;
  }
  return std::min(at + column - 1, text.size());
}

/// `rest`: the text from the place of the complaint on.
std::string syntax_words(std::string_view theirs, std::string_view rest) {
  if (is_blank(rest)) return "the file ends here, before all that was begun is closed";
  if (theirs.starts_with(kValueExpected)) {
    if (rest.front() == '"') return "the string that begins here is not closed";
    if (rest.front() == '\'') return "strings stand in double quotes";
    if (rest.starts_with("/*")) return "the comment that begins here is not closed";
  }
  for (const Wording& wording : kSyntaxWords) {
    if (theirs.starts_with(wording.theirs)) return std::string(wording.ours);
  }
  return std::string(theirs);
}

/// The first entry of jsoncpp's report, "* Line 3, Column 5\n  What is wrong\n...": what follows it follows
/// from it.
Diagnostic syntax_diagnostic(std::string_view report, std::string_view text) {
  const auto number_after = [&report](std::string_view word) {
    unsigned number = 1;
    const auto at = report.find(word);
    if (at == std::string_view::npos) return number;
    report.remove_prefix(at + word.size());
    std::from_chars(report.data(), report.data() + report.size(), number);
    return std::max(number, 1U);
  };
  const unsigned line = number_after("* Line ");
  const std::size_t offset = offset_of(text, line, number_after(", Column "));
  if (const auto end = report.find("\n  "); end != std::string_view::npos) report.remove_prefix(end + 3);
  const LineColumn at = line_column(text, offset);
  return {at.line, at.column, "syntax",
          syntax_words(report.substr(0, report.find('\n')), text.substr(offset))};
}

/// `text` with its comments turned into spaces, every other byte in its place. jsoncpp could skip them
/// itself, but for a comment between a trailing comma and the bracket. A comment without an end stays, for
/// the parser to complain of.
std::string without_comments(std::string_view text) {
  std::string plain(text);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    if (rest.front() == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\') ++at;
      }
      ++at;
      continue;
    }
    std::size_t length = 0;
    if (rest.starts_with("//")) {
      length = std::min(rest.find_first_of("\r\n"), rest.size());
    } else if (rest.starts_with("/*")) {
      const std::size_t close = rest.find("*/", 2);
      if (close == std::string_view::npos) return plain;
      length = close + 2;
    }
    for (const std::size_t end = at + length; at < end; ++at) {
      if (text[at] != '\r' && text[at] != '\n') plain[at] = ' ';
    }
    if (length == 0) ++at;
  }
  return plain;
}

/// RFC 8259 §8.1. The schema library counts characters, and reads beyond a table where there are none.
std::optional<Diagnostic> not_utf8(std::string_view text) {
  for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
    length = utf8_length(text.substr(at));
    if (length != 0) continue;
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(text[at]);
    const LineColumn place = line_column(text, at);
    return Diagnostic{place.line, place.column, "syntax",
                      std::string("byte 0x") + kDigits[byte >> 4U] + kDigits[byte & 0xfU] +
                          " is no UTF-8 text: save the file as UTF-8"};
  }
  return std::nullopt;
}

std::optional<Diagnostic> read_json(std::string_view text, Json::Value& root) {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);
  builder["allowComments"] = true;
  builder["collectComments"] = false;
  builder["allowTrailingCommas"] = true;
  builder["rejectDupKeys"] = false;  // the source map finds all of them, and where the first one stands
  builder["stackLimit"] = 64;
  builder["skipBom"] = false;
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  std::string errors;
  try {
    if (reader->parse(text.data(), text.data() + text.size(), &root, &errors)) return std::nullopt;
    return syntax_diagnostic(errors, text);
  } catch (const std::exception& failure) {  // jsoncpp throws when it meets its stackLimit
    return Diagnostic{.object = "syntax", .text = syntax_words(failure.what(), text)};
  }
}

Diagnostic to_diagnostic(const Problem& problem, const Json::Value& root, const SourceMap& map,
                         std::string_view text) {
  const std::size_t offset = problem.about_key ? map.key(problem.path) : map.value(problem.path);
  const auto [line, column] = line_column(text, offset);
  auto [object, key] = subject_of(root, problem.path, problem.about_key);
  return {line, column, std::move(object), key.empty() ? problem.text : key + ": " + problem.text};
}

}  // namespace

Parsed parse_config(std::string_view text, NamedFiles named_files) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Parsed parsed;
  const std::string plain = without_comments(text);
  if (is_blank(plain)) {
    parsed.diagnostics.push_back(
        {.object = "configuration", .text = "is empty: at least \"ports\" is needed"});
    return parsed;
  }
  if (auto broken = not_utf8(plain)) {
    parsed.diagnostics.push_back(*std::move(broken));
    return parsed;
  }
  Json::Value root;
  if (auto broken = read_json(plain, root)) {
    parsed.diagnostics.push_back(*std::move(broken));
    return parsed;
  }
  ProblemList problems;
  const SourceMap map(text);
  for (const SourceMap::Duplicate& twice : map.duplicates()) {
    const std::string key = twice.path.substr(twice.path.rfind('/') + 1);
    problems.add({.path = twice.path,
                  .text = "key " + in_quotes(key) + " is given twice (first in line " +
                          std::to_string(line_column(text, twice.first).line) + ")",
                  .about_key = true});
  }
  check_schema(root, problems);
  parsed.config = build_config(root, problems, named_files);
  validate(parsed.config, problems);
  carry_local_addresses(parsed.config);
  for (const Problem& problem : problems.all()) {
    parsed.diagnostics.push_back(to_diagnostic(problem, root, map, text));
  }
  std::ranges::stable_sort(parsed.diagnostics, {},
                           [](const Diagnostic& d) { return std::tuple(d.line, d.column); });
  return parsed;
}

Result<std::string> read_file(const std::string& path) {
  const std::string subject = "configuration file " + in_quotes(path);
  const auto file = open_regular_file(path, subject);
  if (!file) return file.error();
  std::string text;
  std::array<char, 65'536> chunk{};
  while (true) {
    const ssize_t got = ::read(file->get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::system_error(subject, errno);
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestFile) {
      return Error{ErrorCode::invalid, subject + ": is larger than 16 MiB; no configuration is"};
    }
  }
}

Result<Config> load_text(std::string_view text, const std::string& path, NamedFiles named_files) {
  Parsed parsed = parse_config(text, named_files);
  if (parsed.valid()) return std::move(parsed.config);
  std::string message;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    if (!message.empty()) message += '\n';
    message += format(diagnostic, path);
  }
  return Error{ErrorCode::invalid, std::move(message)};
}

Result<Config> load_file(const std::string& path, NamedFiles named_files) {
  const auto text = read_file(path);
  if (!text) return text.error();
  return load_text(*text, path, named_files);
}

}  // namespace sluice::config
