#include "cp/check/http_answer.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::cp {
namespace {

constexpr std::size_t kVersionLength = 8;  // "HTTP/1.1"
/// A line between chunks that is longer is no such line.
constexpr std::size_t kLineLimit = 1'024;

constexpr bool digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// RFC 9110 §5.6.2.
bool is_token(std::string_view text) noexcept {
  static constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || kOthers.find(c) != std::string_view::npos;
  });
}

/// The whole of `text` as a number.
bool parse(std::string_view text, std::uint64_t& value, int base) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

HttpAnswer::State HttpAnswer::feed(std::string_view bytes) {
  if (state_ == State::complete || state_ == State::invalid) return state_;
  pending_ += bytes;
  if (state_ == State::head && !read_head()) state_ = State::invalid;
  if (state_ == State::body) read_body();
  return state_;
}

HttpAnswer::State HttpAnswer::finish() noexcept {
  if (state_ == State::head) state_ = State::invalid;
  if (state_ == State::body) state_ = State::complete;
  return state_;
}

bool HttpAnswer::take_line(std::string& line) {
  const std::size_t end = pending_.find('\n');
  if (end == std::string::npos) return false;
  line = pending_.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  pending_.erase(0, end + 1);
  return true;
}

/// False: it is no HTTP. The state stays `head` as long as it is not all there.
bool HttpAnswer::read_head() {
  // What cannot become a status line need not be waited for.
  constexpr std::string_view kStart = "HTTP/";
  const std::size_t known = std::min(pending_.size(), kStart.size());
  if (pending_.compare(0, known, kStart.substr(0, known)) != 0) return false;

  // The head ends with an empty line.
  std::size_t end = std::string::npos;
  for (std::size_t at = pending_.find('\n'); at != std::string::npos; at = pending_.find('\n', at + 1)) {
    const std::string_view behind = std::string_view(pending_).substr(at + 1);
    if (behind.starts_with('\n') || behind.starts_with("\r\n")) {
      end = at;
      break;
    }
  }
  if (end == std::string::npos) return pending_.size() < kHeadLimit;
  if (end > kHeadLimit) return false;

  std::string line;
  if (!take_line(line) || !read_status_line(line)) return false;
  while (take_line(line) && !line.empty()) {
    if (!read_field(line)) return false;
  }
  state_ = State::body;
  // RFC 9112 §6.3: these have no body, whatever the fields say.
  const bool bodiless = (status_ >= 100 && status_ < 200) || status_ == 204 || status_ == 304;
  if (bodiless || (framing_ == Framing::length && left_ == 0)) state_ = State::complete;
  return true;
}

bool HttpAnswer::read_status_line(std::string_view line) {
  if (line.size() < kVersionLength || !digit(line[5]) || line[6] != '.' || !digit(line[7])) return false;
  line.remove_prefix(kVersionLength);
  if (!line.starts_with(' ')) return false;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view number = line.substr(0, std::min(line.find_first_not_of("0123456789"), line.size()));
  std::uint64_t status = 0;
  if (number.size() > 4 || !parse(number, status, 10)) return false;
  status_ = static_cast<int>(status);
  phrase_ = trimmed(line.substr(number.size()));
  return true;
}

bool HttpAnswer::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same(name, "transfer-encoding")) {
    if (value.size() >= 7 && same(value.substr(value.size() - 7), "chunked")) framing_ = Framing::chunk_size;
    return true;
  }
  if (!same(name, "content-length")) return true;
  std::uint64_t length = 0;
  if (!parse(value, length, 10)) return false;
  if (has_length_ && length != left_) return false;  // two answers to one question: RFC 9112 §6.3
  has_length_ = true;
  left_ = length;
  // Chunks go before a length, whichever came first.
  if (framing_ == Framing::until_close) framing_ = Framing::length;
  return true;
}

std::size_t HttpAnswer::take_data(std::uint64_t count) {
  const auto taken =
      static_cast<std::size_t>(std::min<std::uint64_t>({count, pending_.size(), kBodyLimit - body_.size()}));
  body_.append(pending_, 0, taken);
  pending_.erase(0, taken);
  return taken;
}

void HttpAnswer::read_body() {
  std::string line;
  while (state_ == State::body && !pending_.empty()) {
    switch (framing_) {
      case Framing::until_close: take_data(pending_.size()); break;
      case Framing::length:
        left_ -= take_data(left_);
        if (left_ == 0) state_ = State::complete;
        break;
      case Framing::chunk_size: {
        if (!take_line(line)) {
          if (pending_.size() > kLineLimit) state_ = State::invalid;
          return;
        }
        const std::string_view size = trimmed(std::string_view(line).substr(0, line.find(';')));
        if (!parse(size, left_, 16)) {
          state_ = State::invalid;
        } else {
          framing_ = left_ == 0 ? Framing::trailer : Framing::chunk_data;
        }
        break;
      }
      case Framing::chunk_data:
        left_ -= take_data(left_);
        if (left_ == 0) framing_ = Framing::chunk_end;
        break;
      case Framing::chunk_end:
        if (!take_line(line)) return;
        if (!line.empty()) state_ = State::invalid;
        framing_ = Framing::chunk_size;
        break;
      case Framing::trailer: state_ = State::complete; break;  // its fields are of no interest
    }
    if (state_ == State::body && body_.size() >= kBodyLimit) state_ = State::complete;
  }
}

}  // namespace sluice::cp
