#include "base/log.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#define SPDLOG_NO_EXCEPTIONS  // base is built without; spdlog's headers then report to stderr instead
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace sluice::base::log {
namespace {

struct LevelName {
  Level level;
  spdlog::level::level_enum spdlog;
  std::string_view name;
  char priority;  ///< syslog's, as systemd reads it in "<N>" (sd-daemon(3))
};
constexpr std::array<LevelName, 4> kLevels{{
    {Level::debug, spdlog::level::debug, "debug", '7'},
    {Level::info, spdlog::level::info, "info", '6'},
    {Level::warn, spdlog::level::warn, "warn", '4'},
    {Level::error, spdlog::level::err, "error", '3'},
}};

const LevelName& row(Level level) noexcept {
  return kLevels[static_cast<std::size_t>(level)];
}

const LevelName& row(spdlog::level::level_enum level) noexcept {
  for (const LevelName& candidate : kLevels) {
    if (candidate.spdlog == level) return candidate;
  }
  return row(Level::error);
}

/// %* in a pattern: the level's name or priority.
class LevelFlag final : public spdlog::custom_flag_formatter {
 public:
  explicit LevelFlag(bool priority) : priority_(priority) {}

  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const LevelName& level = row(message.level);
    if (priority_) {
      out.push_back(level.priority);
    } else {
      out.append(level.name.data(), level.name.data() + level.name.size());
    }
  }
  [[nodiscard]] std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<LevelFlag>(priority_);
  }

 private:
  bool priority_;
};

/// JOURNAL_STREAM holds "device:inode" of the journal's stream; stderr may since have been sent elsewhere
/// (systemd.exec(5)), so that only the comparison tells.
bool stderr_is_journal() noexcept {
  const char* stream = std::getenv("JOURNAL_STREAM");
  if (stream == nullptr) return false;
  const std::string_view text{stream};
  dev_t device = 0;
  ino_t inode = 0;
  const char* end = text.data() + text.size();
  const auto [colon, bad_device] = std::from_chars(text.data(), end, device);
  if (bad_device != std::errc{} || colon == end || *colon != ':') return false;
  const auto [rest, bad_inode] = std::from_chars(colon + 1, end, inode);
  if (bad_inode != std::errc{} || rest != end) return false;
  struct stat status {};
  return ::fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

std::unique_ptr<spdlog::logger> make_logger(std::string_view program, Level least) {
  const bool journal = stderr_is_journal();
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelFlag>('*', journal);
  formatter->set_pattern(journal ? "<%*>%n: %v" : "%Y-%m-%dT%H:%M:%S.%e %n %*: %v");
  auto logger = std::make_unique<spdlog::logger>(std::string{program},
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::move(formatter));
  logger->set_level(row(least).spdlog);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

std::unique_ptr<spdlog::logger>& logger() {
  static std::unique_ptr<spdlog::logger> instance = make_logger("sluice", Level::info);
  return instance;
}

}  // namespace

Result<Level> parse_level(std::string_view text) {
  for (const LevelName& candidate : kLevels) {
    if (candidate.name == text) return candidate.level;
  }
  return Error{ErrorCode::invalid, fmt::format("log level \"{}\": must be debug, info, warn or error", text)};
}

void init(std::string_view program, Level least) {
  logger() = make_logger(program, least);
}

bool enabled(Level level) noexcept {
  return logger()->should_log(row(level).spdlog);
}

void write(Level level, fmt::string_view format, fmt::format_args args) {
  if (!enabled(level)) return;
  fmt::memory_buffer text;
  fmt::vformat_to(fmt::appender{text}, format, args);
  logger()->log(row(level).spdlog, spdlog::string_view_t{text.data(), text.size()});
}

std::string RateLimited::Pass::note() const {
  return suppressed == 0 ? std::string{} : fmt::format(" ({} more suppressed)", suppressed);
}

std::optional<RateLimited::Pass> RateLimited::pass(std::uint64_t now_ms) noexcept {
  const std::uint64_t second = now_ms / 1000;
  if (second != second_) {
    second_ = second;
    spent_ = 0;
  }
  if (spent_ >= per_second_) {
    ++suppressed_;
    return std::nullopt;
  }
  ++spent_;
  return Pass{std::exchange(suppressed_, 0)};
}

}  // namespace sluice::base::log
