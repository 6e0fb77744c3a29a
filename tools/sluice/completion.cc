#include "tools/sluice/completion.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "config/names.h"
#include "config/wire.h"
#include "tools/sluice/command.h"
#include "tools/sluice/control_client.h"

/// `sluice completion`, and what its script asks for. Theory of operation: the script knows nothing; it hands
/// the words of the line to `sluice __complete`, which walks the same commands and options that are parsed.
namespace sluice::cli {
namespace {

constexpr std::string_view kBashScript =
#include "completion.bash.inc"
    ;

/// Somebody waits with a finger on the key.
constexpr std::chrono::milliseconds kSoon{1'000};

using Words = std::vector<std::string>;

/// The value of the option `name` in `words`, if it is there.
std::optional<std::string> option_value(const Words& words, std::string_view name) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == name && i + 1 < words.size()) return words[i + 1];
    if (words[i].size() > name.size() && words[i].starts_with(name) && words[i][name.size()] == '=')
      return words[i].substr(name.size() + 1);
  }
  return std::nullopt;
}

/// All words that `what`, an option ("--service") or the name of a positional ("SERVICE/SERVER"), may be.
Words values_of(std::string_view what, const Words& words, const Known& known) {
  Words values;
  if (what == "FILE" || what == "--config" || what == "-c" || what == "--in" || what == "--out" ||
      what == "--neighbours") {
    return {":files"};
  }
  if (what == "--runtime-dir" || what == "--libexec-dir") return {":directories"};
  if (what == "SHELL") return {"bash"};
  if (what == "--log-level") return {"debug", "info", "warn", "error"};
  if (what == "--state") {
    return {"udp_opening", "udp_open",   "syn_sent", "syn_received", "established",
            "fin_client",  "fin_server", "closing",  "time_wait",    "reset"};
  }
  if (what == "STATE") {
    for (const auto& [value, name] : config::kNames<config::WaitFor>) values.emplace_back(name);
    return values;
  }
  if (what == "PROTOCOL") {
    for (const auto& [value, name] : config::kNames<config::Protocol>) values.emplace_back(name);
    return values;
  }
  if (what == "INSTANCE") return known.vrrp_instances();
  if (what == "--service") {
    for (const KnownService& service : known.services()) values.push_back(service.name);
    return values;
  }
  const bool pairs = what == "SERVICE/SERVER";
  if (!pairs && what != "--server") return values;
  const auto chosen = option_value(words, "--service");
  for (const KnownService& service : known.services()) {
    if (chosen && *chosen != service.name) continue;
    for (const std::string& server : service.servers)
      values.push_back(pairs || !chosen ? service.name + "/" + server : server);
    if (pairs && service.servers.size() > 1) values.push_back(service.name + "/*");
  }
  return values;
}

const CLI::Option* find_option(const CLI::App& app, const std::string& word) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->check_name(word)) return option;
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

const CLI::App* find_command(const CLI::App& app, const std::string& word) {
  const auto found =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == word; });
  return found.empty() ? nullptr : found.front();
}

/// The place in a command line behind some words.
struct Place {
  const CLI::App* command;
  const CLI::Option* awaiting_value = nullptr;
  std::size_t positionals = 0;  ///< so many stand there already
};

Place walk(const CLI::App& app, const Words& words) {
  Place place{&app};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (place.awaiting_value != nullptr) {
      place.awaiting_value = nullptr;
    } else if (word.starts_with('-')) {
      const CLI::Option* option = find_option(*place.command, word);
      if (option != nullptr && takes_value(*option)) place.awaiting_value = option;
    } else if (const CLI::App* command = find_command(*place.command, word)) {
      place = {command};
    } else {
      ++place.positionals;
    }
  }
  return place;
}

/// As users write it: "--service".
std::string name_of(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_name(true);
}

Words options_of(const CLI::App& command) {
  Words names;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_lnames().empty()) names.push_back("--" + option->get_lnames().front());
  }
  return names;
}

Words commands_of(const CLI::App& command) {
  Words names;
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

/// The positional of number `index`; the last one may take many.
const CLI::Option* positional(const CLI::App& command, std::size_t index) {
  const CLI::Option* found = nullptr;
  std::size_t seen = 0;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    if (seen++ == index) return option;
    found = option;
  }
  return found != nullptr && found->get_items_expected_max() > 1 ? found : nullptr;
}

Words beginning_with(std::string_view start, Words words) {
  if (words.size() == 1 && words.front().starts_with(':')) return words;
  std::erase_if(words, [&](const std::string& word) { return !word.starts_with(start); });
  return words;
}

/// The runtime directory that the words mean.
std::string directory_of(const Words& words) {
  const char* environment = ::getenv("SLUICE_RUNTIME_DIR");
  return option_value(words, "--runtime-dir")
      .value_or(environment != nullptr ? environment : Invocation().runtime_dir);
}

std::vector<KnownService> ask_for_services(const Words& words) {
  const auto line =
      ask_control_plane(config::ShowRequest{config::ShowWhat::names, {}}, directory_of(words), kSoon);
  if (!line) return {};
  const auto content = config::decode_show_reply(config::ShowWhat::names, *line);
  if (!content) return {};
  const auto names = config::from_json<std::vector<config::ServiceNames>>(*content);
  if (!names) return {};
  std::vector<KnownService> known;
  for (const config::ServiceNames& service : *names) known.push_back({service.name, service.servers});
  return known;
}

Words ask_for_vrrp_instances(const Words& words) {
  const auto line = ask_vrrp(config::ReportRequest{}, directory_of(words), kSoon);
  if (!line) return {};
  const auto report = config::decode_vrrp_report_reply(*line);
  if (!report) return {};
  Words names;
  for (const config::VrrpInstanceReport& instance : report->instances) names.push_back(instance.name);
  return names;
}

}  // namespace

std::vector<std::string> candidates(const CLI::App& app, const std::vector<std::string>& words,
                                    const Known& known) {
  const std::string& last = words.back();
  const Place place = walk(app, words);
  if (place.awaiting_value != nullptr)
    return beginning_with(last, values_of(name_of(*place.awaiting_value), words, known));
  if (const std::size_t equals = last.find('='); last.starts_with("--") && equals != std::string::npos) {
    const std::string option = last.substr(0, equals);
    if (find_option(*place.command, option) == nullptr) return {};
    Words values = values_of(option, words, known);
    if (values.size() == 1 && values.front().starts_with(':')) return values;
    for (std::string& value : values) value.insert(0, option + "=");
    return beginning_with(last, std::move(values));
  }
  if (last.starts_with('-')) return beginning_with(last, options_of(*place.command));
  if (Words commands = commands_of(*place.command); !commands.empty())
    return beginning_with(last, std::move(commands));
  const CLI::Option* option = positional(*place.command, place.positionals);
  if (option == nullptr) return beginning_with(last, options_of(*place.command));
  return beginning_with(last, values_of(option->get_name(true), words, known));
}

int complete(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) return 0;
  const Known known{[&] { return ask_for_services(words); }, [&] { return ask_for_vrrp_instances(words); }};
  for (const std::string& candidate : candidates(app, words, known)) fmt::print("{}\n", candidate);
  return 0;
}

void add_completion(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand(
      "completion", "print the script that completes command lines: source <(sluice completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  command->callback([&invocation] { finish(invocation, std::string(kBashScript.substr(1))); });
}

}  // namespace sluice::cli
