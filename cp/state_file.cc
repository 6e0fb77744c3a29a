#include "cp/state_file.h"

#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <json/json.h>

namespace sluice::cp {
namespace {

constexpr unsigned kVersion = 1;

constexpr std::array<std::pair<Operation, const char*>, 4> kOperations{{
    {Operation::stopped, "stopped"},
    {Operation::starting, "starting"},
    {Operation::running, "running"},
    {Operation::stopping, "stopping"},
}};

Json::Value tree_of(const SavedServer& server) {
  const ServerMemory& memory = server.memory;
  Json::Value tree(Json::objectValue);
  tree["service"] = server.service;
  tree["server"] = server.server;
  tree["endpoint"] = server.endpoint.to_string();
  for (const auto& [operation, name] : kOperations) {
    if (operation == memory.operation) tree["operation"] = name;
  }
  tree["maintenance"] = memory.maintenance;
  tree["drained"] = memory.drained;
  tree["shutdowns"] = Json::UInt{memory.shutdowns};
  tree["checked"] = memory.checked;
  tree["health"] = Json::UInt{memory.health};
  tree["agent"] = Json::UInt{memory.agent};
  tree["failed_checks"] = Json::UInt64{memory.failed_checks};
  tree["times_down"] = Json::UInt64{memory.times_down};
  tree["downtime_ms"] = Json::UInt64{memory.downtime_ms};
  tree["last_change"] = Json::Int64{memory.last_change};
  tree["last_check"] = Json::Int64{memory.last_check};
  tree["result"]["status"] = std::string(code(memory.last_result.status));
  tree["result"]["info"] = memory.last_result.info;
  tree["result"]["duration_ms"] = Json::Int64{memory.last_result.duration.count()};
  tree["result"]["code"] = Json::Int{memory.last_result.answer_code};
  if (memory.weight) tree["weight"] = Json::UInt{*memory.weight};
  if (memory.maxconn) tree["maxconn"] = Json::UInt{*memory.maxconn};
  tree["configured"]["weight"] = Json::UInt{memory.configured_weight};
  tree["configured"]["maxconn"] = Json::UInt{memory.configured_maxconn};
  tree["configured"]["disabled"] = memory.configured_disabled;
  return tree;
}

/// Takes the members of an object; the first that is not as it must be is remembered.
class Taker {
 public:
  explicit Taker(const Json::Value& tree) : tree_(tree) {
    if (!tree.isObject()) wrong_ = "an object";
  }
  void take(const char* name, bool& out) { one(name, &Json::Value::isBool, &Json::Value::asBool, out); }
  void take(const char* name, std::uint32_t& out) {
    one(name, &Json::Value::isUInt, &Json::Value::asUInt, out);
  }
  void take(const char* name, std::uint64_t& out) {
    one(name, &Json::Value::isUInt64, &Json::Value::asUInt64, out);
  }
  void take(const char* name, std::int64_t& out) {
    one(name, &Json::Value::isInt64, &Json::Value::asInt64, out);
  }
  void take(const char* name, int& out) { one(name, &Json::Value::isInt, &Json::Value::asInt, out); }
  void take(const char* name, std::string& out) {
    one(name, &Json::Value::isString, &Json::Value::asString, out);
  }
  void take(const char* name, std::optional<std::uint32_t>& out) {
    if (!wrong_.empty() || !tree_.isMember(name)) return;
    take(name, out.emplace());
  }
  Json::Value member(const char* name) const { return wrong_.empty() ? tree_[name] : Json::Value(); }
  void complain(std::string name) {
    if (wrong_.empty()) wrong_ = std::move(name);
  }
  /// Empty: all was there.
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  template <typename Is, typename As, typename T>
  void one(const char* name, Is is, As as, T& out) {
    if (!wrong_.empty()) return;
    const Json::Value& value = tree_[name];
    if ((value.*is)()) {
      out = static_cast<T>((value.*as)());
    } else {
      wrong_ = name;
    }
  }

  const Json::Value& tree_;
  std::string wrong_;
};

std::string take_server(const Json::Value& tree, SavedServer& server) {
  ServerMemory& memory = server.memory;
  Taker from(tree);
  std::string endpoint;
  std::string operation;
  from.take("service", server.service);
  from.take("server", server.server);
  from.take("endpoint", endpoint);
  from.take("operation", operation);
  from.take("maintenance", memory.maintenance);
  from.take("drained", memory.drained);
  from.take("shutdowns", memory.shutdowns);
  from.take("checked", memory.checked);
  from.take("health", memory.health);
  from.take("agent", memory.agent);
  from.take("failed_checks", memory.failed_checks);
  from.take("times_down", memory.times_down);
  from.take("downtime_ms", memory.downtime_ms);
  from.take("last_change", memory.last_change);
  from.take("last_check", memory.last_check);
  from.take("weight", memory.weight);
  from.take("maxconn", memory.maxconn);
  const Json::Value configured_tree = from.member("configured");
  Taker configured(configured_tree);
  configured.take("weight", memory.configured_weight);
  configured.take("maxconn", memory.configured_maxconn);
  configured.take("disabled", memory.configured_disabled);
  const Json::Value result_tree = from.member("result");
  Taker result(result_tree);
  std::string status;
  std::int64_t duration = 0;
  result.take("status", status);
  result.take("info", memory.last_result.info);
  result.take("duration_ms", duration);
  result.take("code", memory.last_result.answer_code);
  memory.last_result.duration = config::Milliseconds(duration);

  const auto parsed_endpoint = base::Endpoint::parse(endpoint);
  if (parsed_endpoint) {
    server.endpoint = *parsed_endpoint;
  } else {
    from.complain("endpoint");
  }
  const auto parsed_status = check_status(status);
  if (parsed_status) {
    memory.last_result.status = *parsed_status;
  } else {
    from.complain("result.status");
  }
  bool known = false;
  for (const auto& [value, name] : kOperations) {
    if (operation != name) continue;
    memory.operation = value;
    known = true;
  }
  if (!known) from.complain("operation");
  if (!configured.wrong().empty()) from.complain("configured." + configured.wrong());
  if (!result.wrong().empty()) from.complain("result." + result.wrong());
  // A time in the distant past or future is no time: arithmetic on it must not overflow.
  constexpr std::int64_t kLatest = std::int64_t{1} << 52;
  for (const std::int64_t time : {memory.last_change, memory.last_check}) {
    if (time < 0 || time > kLatest) from.complain("last_change");
  }
  if (memory.downtime_ms > kLatest) from.complain("downtime_ms");
  if (memory.health > std::numeric_limits<std::uint16_t>::max() * 2U) from.complain("health");
  if (memory.agent > 1) from.complain("agent");
  return from.wrong();
}

base::Error malformed(std::string what) {
  return base::Error{base::ErrorCode::invalid, std::move(what)};
}

}  // namespace

std::string encode_state(const SavedState& state) {
  Json::Value tree(Json::objectValue);
  tree["version"] = kVersion;
  tree["saved_at"] = Json::Int64{state.saved_at};
  Json::Value& servers = tree["servers"] = Json::Value(Json::arrayValue);
  for (const SavedServer& server : state.servers) servers.append(tree_of(server));
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  return Json::writeString(builder, tree) + "\n";
}

base::Result<SavedState> decode_state(std::string_view text) {
  Json::Value tree;
  std::string errors;
  Json::CharReaderBuilder builder;
  builder["stackLimit"] = 32;
  builder["rejectDupKeys"] = true;
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  try {
    if (!reader->parse(text.data(), text.data() + text.size(), &tree, &errors))
      return malformed("it is not JSON");
  } catch (const std::exception& error) {  // nested too deeply
    return malformed(fmt::format("it is not JSON: {}", error.what()));
  }
  if (!tree.isObject() || !tree["version"].isUInt() || tree["version"].asUInt() != kVersion)
    return malformed(fmt::format("it is not of version {}", kVersion));
  if (!tree["saved_at"].isInt64() || tree["saved_at"].asInt64() < 0 || !tree["servers"].isArray())
    return malformed("it lacks saved_at or servers");
  SavedState state;
  state.saved_at = tree["saved_at"].asInt64();
  for (const Json::Value& server : tree["servers"]) {
    const std::string wrong = take_server(server, state.servers.emplace_back());
    if (!wrong.empty()) {
      return malformed(fmt::format("servers[{}]: {} is missing or wrong", state.servers.size() - 1, wrong));
    }
  }
  return state;
}

}  // namespace sluice::cp
