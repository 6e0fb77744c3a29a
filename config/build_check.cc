#include "config/build_check.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "config/build_expect.h"
#include "config/readable_file.h"
#include "config/suggest.h"

namespace sluice::config {
namespace {

constexpr unsigned bit(CheckType type) {
  return 1U << static_cast<unsigned>(type);
}
constexpr unsigned kHttp = bit(CheckType::http) | bit(CheckType::https);
constexpr unsigned kTls = bit(CheckType::https) | bit(CheckType::tls) | bit(CheckType::tcp_check);
constexpr unsigned kUdp = bit(CheckType::udp);

struct KeyUse {
  std::string_view key;
  unsigned types;
};
/// Which types use a key; the keys that are not here are for all of them.
constexpr std::array kKeyUses{
    KeyUse{"linger", bit(CheckType::tcp)},
    KeyUse{"steps", bit(CheckType::tcp_check)},
    KeyUse{"method", kHttp},
    KeyUse{"path", kHttp},
    KeyUse{"host", kHttp},
    KeyUse{"status", kHttp},
    KeyUse{"body", kHttp},
    KeyUse{"verify", kTls},
    KeyUse{"ca_file", kTls},
    KeyUse{"certificate_file", kTls},
    KeyUse{"key_file", kTls},
    KeyUse{"sni", kTls},
    KeyUse{"query", bit(CheckType::dns)},
    KeyUse{"query_type", bit(CheckType::dns)},
    KeyUse{"send", kUdp},
    KeyUse{"send_binary", kUdp},
    KeyUse{"expect", kUdp},
    KeyUse{"command", bit(CheckType::external)},
};

/// `"http" and "https"`.
std::string types_text(unsigned types) {
  std::vector<std::string> names;
  for (const auto& [type, name] : kNames<CheckType>) {
    if ((types & bit(type)) != 0) names.push_back(in_quotes(name));
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

void refuse_keys_of_other_types(const Section& section, const CheckDraft& draft, SectionReader& reader) {
  // Who turns checks off may leave their settings where they are.
  if (draft.type_path.empty() || draft.check.type == CheckType::none) return;
  for (const KeyUse& use : kKeyUses) {
    if (!section.has(use.key) || (use.types & bit(draft.check.type)) != 0) continue;
    reader.refuse_key(pointer(section.path, use.key),
                      "key " + in_quotes(use.key) + " is not for checks of type " +
                          in_quotes(name_of(draft.check.type)) + ", only for " + types_text(use.types),
                      {draft.type_path});
  }
}

/// One item of "status": a number, "200" or "200-299".
void read_status_item(const Section& item, std::vector<StatusRange>& out, SectionReader& reader) {
  constexpr StatusRange kAll{100, 599};
  if (item.object.isUInt64()) {
    const auto code = static_cast<std::uint16_t>(std::min<std::uint64_t>(item.object.asUInt64(), 999));
    if (code >= kAll.first && code <= kAll.last) out.push_back({code, code});
    return;
  }
  if (!item.object.isString()) return;
  const std::string word = item.object.asString();
  StatusRange range;
  const char* const end = word.data() + word.size();
  const auto [middle, bad_first] = std::from_chars(word.data(), end, range.first);
  bool good = bad_first == std::errc();
  if (good && middle == end) {
    range.last = range.first;
  } else if (good) {
    const auto [rest, bad_last] = std::from_chars(*middle == '-' ? middle + 1 : end, end, range.last);
    good = bad_last == std::errc() && rest == end;
  }
  const auto is_status = [&](std::uint16_t code) { return code >= kAll.first && code <= kAll.last; };
  if (!good || !is_status(range.first) || !is_status(range.last)) {
    return reader.refuse(item.path, in_quotes(word) +
                                        " is not an HTTP status from 100 to 599 or a range of them, such as "
                                        "\"200-299\"");
  }
  if (range.first > range.last) {
    const std::string turned = std::to_string(range.last) + "-" + std::to_string(range.first);
    return reader.refuse(
        item.path, in_quotes(word) + " ends before it begins (did you mean " + in_quotes(turned) + "?)");
  }
  out.push_back(range);
}

void read_status(const Section& check, std::vector<StatusRange>& out, SectionReader& reader) {
  const Section status = check.inner("status");
  std::vector<StatusRange> ranges;
  if (status.object.isArray()) {
    for (const Section& item : check.elements("status")) read_status_item(item, ranges, reader);
  } else {
    read_status_item(status, ranges, reader);
  }
  if (!ranges.empty()) out = std::move(ranges);
}

bool is_blank_or_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f;
}

/// A word of a request: a blank or a line end in it would make it another request.
void read_word(const Section& section, std::string_view key, std::string& out, SectionReader& reader) {
  auto word = SectionReader::text(section, key);
  if (!word) return;
  if (std::ranges::any_of(*word, is_blank_or_control)) {
    return reader.refuse(pointer(section.path, key),
                         in_quotes(*word) + " has a blank or a control character");
  }
  out = *std::move(word);
}

void read_method(const Section& section, std::string& out, SectionReader& reader) {
  const auto word = SectionReader::text(section, "method");
  if (!word) return;
  const bool good =
      !word->empty() && std::ranges::all_of(*word, [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
  if (!good) {
    return reader.refuse(pointer(section.path, "method"),
                         in_quotes(*word) + " is not an HTTP method, such as \"GET\" or \"HEAD\"");
  }
  out = *word;
}

void read_path(const Section& section, std::string& out, SectionReader& reader) {
  const auto word = SectionReader::text(section, "path");
  if (!word) return;
  const std::string where = pointer(section.path, "path");
  if (!word->starts_with('/')) {
    return reader.refuse(where, in_quotes(*word) + " is not a path: it begins with / (did you mean " +
                                    in_quotes("/" + *word) + "?)");
  }
  if (std::ranges::any_of(*word, is_blank_or_control)) {
    return reader.refuse(where,
                         in_quotes(*word) + " has a blank or a control character: write %20 for a blank");
  }
  out = *word;
}

/// A host name as DNS has it: labels of 1 to 63 characters, 253 in all.
void read_query(const Section& section, std::string& out, SectionReader& reader) {
  const auto word = SectionReader::text(section, "query");
  if (!word) return;
  std::string_view rest = *word;
  if (rest.ends_with('.') && rest.size() > 1) rest.remove_suffix(1);
  bool good = rest.size() <= 253 && std::ranges::none_of(rest, is_blank_or_control);
  while (good && rest != ".") {
    const std::size_t length = std::min(rest.find('.'), rest.size());
    good = length >= 1 && length <= 63;
    if (length == rest.size()) break;
    rest.remove_prefix(length + 1);
  }
  if (!good) {
    return reader.refuse(
        pointer(section.path, "query"),
        in_quotes(*word) + " is not a name that DNS can be asked for, such as \"example.com\"");
  }
  out = *word;
}

void read_file_name(const Section& section, std::string_view key, FileAccess access, std::string& out,
                    SectionReader& reader) {
  const auto word = SectionReader::text(section, key);
  if (!word) return;
  if (reader.names_file(*word, pointer(section.path, key), access)) out = *word;
}

void read_http(const Section& section, CheckHttp& out, SectionReader& reader) {
  read_method(section, out.method, reader);
  read_path(section, out.path, reader);
  read_word(section, "host", out.host, reader);
  read_status(section, out.status, reader);
  if (auto body = read_expect(section.inner("body"), reader)) out.body = std::move(body);
}

void read_tls(const Section& section, CheckTls& out, SectionReader& reader) {
  SectionReader::read_flag(section, "verify", out.verify);
  read_file_name(section, "ca_file", FileAccess::read, out.ca_file, reader);
  read_file_name(section, "certificate_file", FileAccess::read, out.certificate_file, reader);
  read_file_name(section, "key_file", FileAccess::read, out.key_file, reader);
  read_word(section, "sni", out.sni, reader);
}

/// `check` without the settings that are for other types than its own.
Check of_own_type(Check check) {
  const Check blank;
  const auto uses = [type = check.type](unsigned types) { return (types & bit(type)) != 0; };
  if (!uses(bit(CheckType::tcp))) check.linger = blank.linger;
  if (!uses(bit(CheckType::tcp_check))) check.steps.clear();
  if (!uses(kHttp)) check.http = blank.http;
  if (!uses(kTls)) check.tls = blank.tls;
  if (!uses(bit(CheckType::dns))) {
    check.query.clear();
    check.query_type = blank.query_type;
  }
  if (!uses(kUdp)) {
    check.send.clear();
    check.expect.reset();
  }
  if (!uses(bit(CheckType::external))) check.command.clear();
  return check;
}

}  // namespace

void read_check(const Section& section, CheckDraft& draft, SectionReader& reader) {
  Check& check = draft.check;
  SectionReader::read_name_of(section, "type", check.type);
  if (section.has("type")) draft.type_path = pointer(section.path, "type");
  refuse_keys_of_other_types(section, draft, reader);
  SectionReader::read_number(section, "port", check.port);
  reader.read_host(section, "address", check.address);
  reader.read_duration(section, "interval", check.interval);
  reader.read_duration(section, "down_interval", check.down_interval);
  reader.read_duration(section, "fast_interval", check.fast_interval);
  reader.read_duration(section, "timeout", check.timeout);
  SectionReader::read_number(section, "rise", check.rise);
  SectionReader::read_number(section, "fall", check.fall);
  SectionReader::read_flag(section, "linger", check.linger);
  if (section.has("steps")) check.steps = read_steps(section, reader);
  read_http(section, check.http, reader);
  read_tls(section, check.tls, reader);
  read_query(section, check.query, reader);
  if (auto type = SectionReader::text(section, "query_type")) check.query_type = *std::move(type);
  if (auto payload = read_payload(section, reader)) check.send = *std::move(payload);
  if (auto expect = read_expect(section.inner("expect"), reader)) check.expect = std::move(expect);
  read_file_name(section, "command", FileAccess::execute, check.command, reader);
}

void refuse_typeless(const Section& section, const CheckDraft& draft, SectionReader& reader) {
  if (!draft.type_path.empty()) return;
  for (const KeyUse& use : kKeyUses) {
    if (!section.has(use.key)) continue;
    reader.refuse_key(pointer(section.path, use.key), "key " + in_quotes(use.key) +
                                                          " is for checks of type " + types_text(use.types) +
                                                          ", but no type is given");
  }
}

Check finish_check(const CheckDraft& draft, const Section& server, const Section& service,
                   SectionReader& reader) {
  const Section own = server.inner("check");
  refuse_typeless(own, draft, reader);
  Check check = of_own_type(draft.check);
  // What is missing is missing where the type was given; of defaults that is the service.
  const std::string where = (own.has("type") ? own : service.inner("check")).path;
  const auto require = [&](std::string_view key, bool given, std::string_view use) {
    const std::string path = pointer(where, key);
    if (!given) {
      reader.refuse_key(
          path, "key " + in_quotes(key) + " is missing: " + std::string(use),
          {own.path + "/" + std::string(key), draft.type_path, "/defaults/check/" + std::string(key)});
    }
  };
  if (check.type == CheckType::dns) require("query", !check.query.empty(), "the name to ask for");
  if (check.type == CheckType::external) {
    require("command", !check.command.empty(), "the program that checks the server");
  }
  if (!check.tls.key_file.empty()) {
    require("certificate_file", !check.tls.certificate_file.empty(),
            "the certificate that goes with key_file");
  }
  return check;
}

}  // namespace sluice::config
