#include "tools/replay/replay.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <json/json.h>

#include "base/fd.h"
#include "config/parse.h"
#include "config/suggest.h"
#include "dp/drop_reason.h"
#include "tools/replay/capture_writer.h"
#include "tools/replay/packet_line.h"
#include "tools/sluice/command.h"

/// `sluice replay`: what sluice would have done with the packets of a capture. docs/replay.md explains it.
namespace sluice::cli {
namespace {

using dp::Verdict;
using replay::Event;
using replay::Network;

struct Words {
  std::string config, in, out, neighbours;
  std::vector<std::string> port_of;
  unsigned workers = 0;  ///< 0: as configured
  std::uint64_t seed = 0;
  std::uint16_t mtu = 1500;
};

/// A file's bytes, mapped for as long as it lives.
class MappedFile {
 public:
  /// `what` it is, for errors.
  static base::Result<MappedFile> open(std::string_view what, const std::string& path) {
    const std::string subject = fmt::format("{} {}", what, config::in_quotes(path));
    const base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return base::system_error(subject, errno);
    if (!S_ISREG(info.st_mode))
      return base::Error{base::ErrorCode::invalid, subject + ": is not a regular file"};
    MappedFile file;
    file.size_ = static_cast<std::size_t>(info.st_size);
    if (file.size_ == 0) return file;
    file.start_ = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (file.start_ == MAP_FAILED) return base::system_error(subject, errno);
    return file;
  }
  MappedFile(MappedFile&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile() {
    if (start_ != nullptr && start_ != MAP_FAILED) ::munmap(start_, size_);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(start_), size_};
  }

 private:
  MappedFile() = default;
  void* start_ = nullptr;
  std::size_t size_ = 0;
};

/// "MAC=NAME". Throws CLI::ValidationError.
replay::PortOf port_of(const std::string& word) {
  const std::size_t equals = word.find('=');
  const auto mac = base::Mac::parse(std::string_view(word).substr(0, equals));
  if (equals == std::string::npos || !mac) {
    throw CLI::ValidationError(fmt::format(
        "--port-of {}: expected MAC=NAME, the MAC address and the name of a port", config::in_quotes(word)));
  }
  return {*mac, word.substr(equals + 1)};
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::forward: return "forward";
    case Verdict::reflect: return "answer";
    case Verdict::hold: return "hold";
    case Verdict::keep: return "keep";
    case Verdict::park: return "park";
    case Verdict::punt: return "kernel";
    case Verdict::drop: return "drop";
    case Verdict::pending:
    case Verdict::hand_over: break;
  }
  return "?";
}

std::string_view word(Network::Absent absent) {
  switch (absent) {
    case Network::Absent::none: break;
    case Network::Absent::sent: return "sent_by_port";
    case Network::Absent::no_port: return "no_port";
    case Network::Absent::no_ethernet: return "no_ethernet";
  }
  return "";
}

std::string_view word(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::frame: return "frame";
    case Event::Kind::stored: return "stored";
    case Event::Kind::kept: return "kept";
    case Event::Kind::own: return "own";
  }
  return "";
}

/// What is told of an event, in words; empty: it has none.
struct Line {
  std::string_view kind, verdict, reason, direction;
  std::string port, out_port;
  replay::PacketLine in, out;
};

Line line_of(const Event& event, const std::vector<std::string>& ports) {
  Line line;
  line.kind = word(event.kind);
  if (!event.in.empty()) line.in = replay::packet_line(event.in, event.in_length);
  if (event.absent != Network::Absent::none) {
    line.verdict = "skip";
    line.reason = word(event.absent);
    return line;
  }
  line.verdict = word(event.verdict);
  // What the kernel gets is refused only where there is none.
  if (event.reason != dp::DropReason::none && event.verdict != Verdict::punt)
    line.reason = dp::info(event.reason).name;
  if (event.kind != Event::Kind::own) line.port = ports[event.port];
  if (!event.service.empty() && event.verdict != Verdict::punt)
    line.direction = event.direction == dp::Direction::to_server ? "to_server" : "to_client";
  if (!event.out.empty()) {
    line.out = replay::packet_line(event.out, event.out_length);
    if (event.out_port < ports.size()) line.out_port = ports[event.out_port];
  }
  return line;
}

std::string headers(const replay::PacketLine& packet) {
  std::string text = fmt::format("{} > {} {}", packet.source, packet.destination, packet.protocol);
  if (!packet.flags.empty()) text += " " + packet.flags;
  if (!packet.fragment.empty()) text += " fragment " + packet.fragment;
  return text;
}

std::string text_of(const Event& event, const Line& line, std::uint64_t since_ns) {
  std::string text = fmt::format("{:>7} {:>6}.{:06} {:<8} {:<7}",
                                 event.number == 0 ? std::string("-") : fmt::to_string(event.number),
                                 since_ns / 1'000'000'000, since_ns / 1'000 % 1'000'000,
                                 event.kind == Event::Kind::own ? "own" : line.port, line.verdict);
  if (event.kind == Event::Kind::stored || event.kind == Event::Kind::kept)
    text += fmt::format(" {}", line.kind);
  if (!line.reason.empty()) text += fmt::format(" {}", line.reason);
  if (!event.service.empty() && !line.direction.empty()) {
    text += " " + event.service;
    if (!event.server.empty()) text += "/" + event.server;
    text += fmt::format(" {}", line.direction);
  }
  if (event.flow != 0) text += fmt::format(" flow {} {}", event.flow, event.state);
  if (event.icmp_error) text += " icmp_error";
  if (event.absent == Network::Absent::none)
    text += fmt::format(" worker {}{}", event.worker, event.handed_over ? " handed_over" : "");
  if (!line.in.protocol.empty()) text += ": " + headers(line.in);
  if (!line.out.protocol.empty()) text += fmt::format(" => {} by {}", headers(line.out), line.out_port);
  if (!event.further.empty())
    text +=
        fmt::format(" and {} more fragment{}", event.further.size(), event.further.size() == 1 ? "" : "s");
  return text;
}

Json::Value tree_of(const replay::PacketLine& packet) {
  Json::Value tree(Json::objectValue);
  tree["protocol"] = packet.protocol;
  tree["source"] = packet.source;
  tree["destination"] = packet.destination;
  if (!packet.flags.empty()) tree["flags"] = packet.flags;
  if (!packet.fragment.empty()) tree["fragment"] = packet.fragment;
  return tree;
}

Json::Value tree_of(const Event& event, const Line& line, std::uint64_t since_ns) {
  Json::Value tree(Json::objectValue);
  const auto put = [&tree](const char* name, std::string_view value) {
    if (!value.empty()) tree[name] = std::string(value);
  };
  put("kind", line.kind);
  if (event.number != 0) tree["number"] = Json::UInt64{event.number};
  tree["time_ns"] = Json::UInt64{since_ns};
  put("port", line.port);
  put("verdict", line.verdict);
  put("reason", line.reason);
  if (!line.direction.empty()) put("service", event.service);
  put("server", event.server);
  put("direction", line.direction);
  if (event.flow != 0) tree["flow"] = Json::UInt64{event.flow};
  put("state", event.state);
  if (event.icmp_error) tree["icmp_error"] = true;
  if (event.absent == Network::Absent::none) {
    tree["worker"] = event.worker;
    if (event.handed_over) tree["handed_over"] = true;
  }
  if (!line.in.protocol.empty()) tree["in"] = tree_of(line.in);
  if (!line.out.protocol.empty()) tree["out"] = tree_of(line.out);
  put("out_port", line.out_port);
  if (!event.further.empty()) tree["further_fragments"] = Json::UInt64{event.further.size()};
  return tree;
}

/// How often each thing happened.
struct Tally {
  std::uint64_t read = 0, sent = 0;
  std::map<std::string_view, std::uint64_t> verdicts, reasons;

  void count(const Event& event, const Line& line) {
    if (event.kind == Event::Kind::frame) ++read;
    if (event.kind != Event::Kind::own) ++verdicts[line.verdict];
    if (!line.reason.empty()) ++reasons[line.reason];
    if (!event.out.empty()) sent += 1 + event.further.size();
  }
};

Json::Value tree_of(const std::map<std::string_view, std::uint64_t>& counts) {
  Json::Value tree(Json::objectValue);
  for (const auto& [name, count] : counts) tree[std::string(name)] = Json::UInt64{count};
  return tree;
}

std::string text_of(const std::map<std::string_view, std::uint64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} {}", name, count));
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string compact(const Json::Value& tree) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  return Json::writeString(builder, tree);
}

/// Standard output, of which the first failure is remembered.
class Output {
 public:
  void line(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fputc('\n', stdout) == EOF)
      fail();
  }
  /// Error: not all of it could be written.
  base::Result<void> finish() {
    if (std::fflush(stdout) != 0) fail();
    if (error_ == 0) return {};
    return base::system_error("standard output cannot be written", error_);
  }

 private:
  void fail() {
    if (error_ == 0) error_ = errno == 0 ? EIO : errno;
  }
  int error_ = 0;
};

std::string summary_of(const Tally& tally, const replay::Replay& replay, bool json) {
  if (json) {
    Json::Value summary(Json::objectValue);
    summary["frames"] = Json::UInt64{tally.read};
    summary["sent"] = Json::UInt64{tally.sent};
    summary["flows"] = Json::UInt64{replay.flows_begun()};
    summary["flows_at_end"] = Json::UInt64{replay.flows()};
    summary["verdicts"] = tree_of(tally.verdicts);
    summary["reasons"] = tree_of(tally.reasons);
    Json::Value tree(Json::objectValue);
    tree["summary"] = summary;
    return compact(tree);
  }
  return fmt::format(
      "\nframes    {} read, {} sent\nflows     {} begun, {} at the end\nverdicts  {}\nreasons   {}",
      tally.read, tally.sent, replay.flows_begun(), replay.flows(), text_of(tally.verdicts),
      text_of(tally.reasons));
}

/// Prints the lines as they come; returns nothing more to print.
base::Result<std::string> run(const Words& words, Network::Options options, bool json) {
  const auto config = config::load_file(words.config, config::NamedFiles::trusted);
  if (!config) return config.error();
  if (!words.neighbours.empty()) {
    const auto file = MappedFile::open("neighbours file", words.neighbours);
    if (!file) return file.error();
    const std::span<const std::byte> bytes = file->bytes();
    auto parsed = replay::parse_neighbours({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                                           words.neighbours);
    if (!parsed) return parsed.error();
    options.neighbours = *std::move(parsed);
  }
  const auto capture = MappedFile::open("capture", words.in);
  if (!capture) return capture.error();
  const auto of_capture = [&](const base::Error& error) {
    return base::Error{error.code, fmt::format("capture {}: {}", config::in_quotes(words.in), error.message)};
  };
  const auto network = Network::explore(*config, capture->bytes(), options);
  if (!network) return of_capture(network.error());
  std::optional<replay::CaptureWriter> writer;
  if (!words.out.empty()) {
    auto created = replay::CaptureWriter::create(words.out, network->port_names());
    if (!created) return created.error();
    writer.emplace(std::move(*created));
  }

  Tally tally;
  Output output;
  std::optional<std::uint64_t> began_ns;
  const auto sink = [&](const Event& event) {
    const Line line = line_of(event, network->port_names());
    tally.count(event, line);
    if (writer && !event.out.empty()) writer->add(event.time_ns, event.out_port, event.out, event.out_length);
    for (const auto& frame : event.further) {
      if (writer) writer->add(event.time_ns, event.out_port, frame, static_cast<std::uint32_t>(frame.size()));
    }
    if (!began_ns) began_ns = event.time_ns;
    const std::uint64_t since = event.time_ns > *began_ns ? event.time_ns - *began_ns : 0;
    output.line(json ? compact(tree_of(event, line, since)) : text_of(event, line, since));
  };
  const unsigned workers = words.workers == 0 ? config->dataplane.workers : words.workers;
  auto replay = replay::Replay::create(*config, *network, {.workers = workers, .seed = words.seed}, sink);
  if (!replay) return replay.error();
  auto reader = replay::CaptureReader::open(capture->bytes());
  while (reader) {
    const auto frame = reader->next();
    if (!frame) return of_capture(frame.error());
    if (!*frame) break;
    (*replay)->run(**frame);
  }
  output.line(summary_of(tally, **replay, json));
  if (auto printed = output.finish(); !printed) return std::move(printed).error();
  if (writer) {
    if (auto finished = writer->finish(); !finished) return std::move(finished).error();
  }
  return std::string();
}

}  // namespace

void add_replay(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("replay", "what would become of the packets of a capture: no NIC, no root needed");
  const auto words = std::make_shared<Words>();
  command->add_option("-c,--config", words->config, "configuration file")->required();
  command->add_option("--in", words->in, "capture to read: pcap or pcapng")->required();
  command->add_option("--out", words->out, "capture to write: what would have been sent");
  command->add_option("--workers", words->workers, "workers; default: as configured")
      ->check(CLI::Range(1, 128));
  command->add_option("--seed", words->seed, "of all that is random")->capture_default_str();
  command->add_option("--mtu", words->mtu, "of next hops")
      ->check(CLI::Range(68, 65'535))
      ->capture_default_str();
  command->add_option("--port-of", words->port_of,
                      "MAC=NAME: frames for this MAC address come in by that port; several are allowed");
  command->add_option("--neighbours", words->neighbours, "file that says how addresses are reached");
  command->add_flag("--json", invocation.json, "print JSON: one object a line");
  command->callback([words, &invocation] {
    Network::Options options{.port_of = {}, .neighbours = {}, .mtu = words->mtu};
    for (const std::string& each : words->port_of) options.port_of.push_back(port_of(each));
    finish(invocation, run(*words, std::move(options), invocation.json));
  });
}

}  // namespace sluice::cli
