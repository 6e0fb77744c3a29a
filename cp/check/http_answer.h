#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::cp {

/// Reads an HTTP/1 response (RFC 9112) as it comes in, piece by piece, as leniently as HAProxy's checks do:
/// bare LF, a status line without a phrase, a status of any number of digits up to four. Bounded: a head
/// longer than kHeadLimit is an error, a body is looked at up to kBodyLimit bytes. Thread: plain data.
class HttpAnswer {
 public:
  static constexpr std::size_t kHeadLimit = 16'384;
  static constexpr std::size_t kBodyLimit = 65'536;

  enum class State : std::uint8_t {
    head,      ///< the status is not known yet
    body,      ///< status() and phrase() hold; body() grows
    complete,  ///< body() is whole, or as long as is looked at
    invalid,   ///< this is no HTTP
  };

  /// Takes in the next bytes. Post: state() is what they lead to; in complete and invalid nothing changes any
  /// more.
  State feed(std::string_view bytes);
  /// The connection ended: what has a body is complete, what has no head is invalid.
  State finish() noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& phrase() const noexcept { return phrase_; }
  [[nodiscard]] const std::string& body() const noexcept { return body_; }

 private:
  enum class Framing : std::uint8_t { until_close, length, chunk_size, chunk_data, chunk_end, trailer };

  bool read_head();
  bool read_status_line(std::string_view line);
  bool read_field(std::string_view line);
  void read_body();
  /// The next line of pending_, without its end, taken out of it; false: not all of it is there.
  bool take_line(std::string& line);
  /// Moves up to `count` bytes from pending_ to the body; tells how many.
  std::size_t take_data(std::uint64_t count);

  State state_ = State::head;
  Framing framing_ = Framing::until_close;
  std::string pending_;  ///< not understood yet
  int status_ = 0;
  std::string phrase_;
  std::string body_;
  bool has_length_ = false;
  std::uint64_t left_ = 0;  ///< of the body, or of its chunk
};

}  // namespace sluice::cp
