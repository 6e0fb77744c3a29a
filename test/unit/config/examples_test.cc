#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <memory>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <json/json.h>

#include "config/duration.h"
#include "config/names.h"
#include "config/parse.h"
#include "config/schema_check.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> example_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(SLUICE_SOURCE_DIR) / "config/examples")) {
    files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Json::Value schema() {
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  Json::Value value;
  std::string errors;
  const std::string_view text = schema_text();
  EXPECT_TRUE(reader->parse(text.data(), text.data() + text.size(), &value, &errors)) << errors;
  return value;
}

TEST(Examples, AreAllValid) {
  const auto files = example_files();
  EXPECT_GE(files.size(), 9U);
  for (const fs::path& file : files) {
    const auto config = load_file(file, NamedFiles::trusted);
    EXPECT_TRUE(config) << config.error().message;
  }
}

TEST(Examples, UseEveryKeyOfTheSchema) {
  std::string all;
  for (const fs::path& file : example_files()) all += contents(file);
  const Json::Value whole = schema();
  std::vector<const Json::Value*> open{&whole};
  while (!open.empty()) {
    const Json::Value& node = *open.back();
    open.pop_back();
    for (const Json::Value& inner : node) {
      if (inner.isObject() || inner.isArray()) open.push_back(&inner);
    }
    if (!node.isObject() || !node.isMember("properties") || !node["properties"].isObject()) continue;
    for (const std::string& key : node["properties"].getMemberNames()) {
      if (key == "$schema") continue;
      EXPECT_NE(all.find('"' + key + '"'), std::string::npos) << key;
    }
  }
}

TEST(Examples, KubernetesMeansWhatItSays) {
  const auto config =
      load_file(std::string(SLUICE_SOURCE_DIR) + "/config/examples/kubernetes-one-armed.json");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->services.size(), 3U);
  EXPECT_EQ(config->ports.at(0), (Port{.name = "lan",
                                       .kind = DeviceKind::af_xdp,
                                       .argument = "ens6",
                                       .twin = false,
                                       .twin_name = "",
                                       .queues = 0}));
  const Service& api = config->services[0];
  EXPECT_EQ(api.vip.to_string(), "192.0.2.10:6443");
  EXPECT_EQ(api.servers.at(1).endpoint.to_string(), "192.0.2.12:6443");
  EXPECT_EQ(api.servers.at(1).check.type, CheckType::https);
  EXPECT_EQ(api.servers.at(1).check.http.path, "/readyz");
  EXPECT_FALSE(api.servers.at(1).check.tls.verify);
  EXPECT_EQ(api.servers.at(1).check.interval, Milliseconds(10'000));
  EXPECT_EQ(api.servers.at(1).check.down_interval, Milliseconds(5'000));
  EXPECT_EQ(api.servers.at(1).check.fast_interval, std::nullopt);
  EXPECT_EQ(api.servers.at(1).weight, 100);
  EXPECT_EQ(api.servers.at(1).maxconn, 250U);
  EXPECT_EQ(api.servers.at(1).maxqueue, 256U);
  EXPECT_EQ(api.servers.at(1).slowstart, Milliseconds(60'000));
  EXPECT_EQ(api.timeouts.client, Milliseconds(3'600'000));
  const Service& https = config->services[2];
  EXPECT_EQ(https.servers.at(0).check.type, CheckType::tcp);
  EXPECT_EQ(https.servers.at(0).check.http, CheckHttp{});
  EXPECT_EQ(https.balance, Balance::leastconn);
  EXPECT_EQ(https.servers.at(1).endpoint.to_string(), "192.0.2.22:30443");
  EXPECT_EQ(https.servers.at(1).weight, 50);
}

TEST(Examples, DefaultsAreOverlaidFromTheOutsideIn) {
  const auto config = load_file(std::string(SLUICE_SOURCE_DIR) + "/config/examples/pci.json");
  ASSERT_TRUE(config) << config.error().message;
  const Service& mail = config->services.at(0);
  EXPECT_EQ(mail.servers.at(0).weight, 10) << "the service's default";
  EXPECT_EQ(mail.servers.at(2).weight, 0) << "its own";
  EXPECT_EQ(mail.timeouts.client, Milliseconds(600'000)) << "the service's own";
  EXPECT_EQ(mail.timeouts.connect, Milliseconds(5'000)) << "built in";
  EXPECT_EQ(mail.balance, Balance::leastconn) << "of defaults";
  EXPECT_EQ(config->ports.at(0).argument, "0000:01:00.0");
  EXPECT_EQ(config->ports.at(0).twin_name, "lan");
  const auto two = load_file(std::string(SLUICE_SOURCE_DIR) + "/config/examples/two-armed-af-packet.json");
  ASSERT_TRUE(two) << two.error().message;
  const Check& check = two->services.at(0).servers.at(2).check;
  EXPECT_EQ(check.type, CheckType::tcp) << "of defaults";
  EXPECT_EQ(check.interval, Milliseconds(500)) << "its own";
  EXPECT_EQ(two->ports.at(1).twin_name, "inside0");
  const auto seen = load_file(std::string(SLUICE_SOURCE_DIR) + "/config/examples/client-addresses.json");
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(seen->services.at(0).mode, Mode::dnat) << "of defaults";
  EXPECT_EQ(seen->services.at(1).mode, Mode::fullnat) << "the service's own";
}

/// Names in the schema's "enum"s and in the code are the same ones.
template <Named E>
void expect_enum(const Json::Value& node) {
  std::set<std::string> in_schema;
  for (const Json::Value& name : node["enum"]) in_schema.insert(name.asString());
  std::set<std::string> in_code;
  for (const auto& [value, name] : kNames<E>) in_code.emplace(name);
  EXPECT_EQ(in_schema, in_code);
}

TEST(Schema, KnowsTheSameNamesAsTheCode) {
  const Json::Value definitions = schema()["definitions"];
  expect_enum<Mode>(definitions["mode"]);
  expect_enum<Balance>(definitions["balance"]);
  expect_enum<HashKey>(definitions["hash_key"]);
  expect_enum<CheckType>(definitions["check"]["properties"]["type"]);
  expect_enum<IdleRefresh>(definitions["idle_refresh"]);
  expect_enum<SynCookies>(definitions["syn_cookies"]);
  expect_enum<ClientRefusal>(definitions["clients"]["properties"]["refuse"]);
  expect_enum<NoServer>(definitions["no_server"]);
  expect_enum<Observe>(definitions["observe"]);
  expect_enum<OnError>(definitions["on_error"]);
  expect_enum<OnMarkedDown>(definitions["on_marked_down"]);
  expect_enum<OnMarkedUp>(definitions["on_marked_up"]);
  expect_enum<Protocol>(definitions["service"]["properties"]["protocol"]);
  expect_enum<Hugepages>(definitions["dataplane"]["properties"]["hugepages"]);
  expect_enum<SynOverflow>(definitions["dataplane"]["properties"]["syn_overflow"]);
  expect_enum<VrrpStart>(definitions["vrrp_instance"]["properties"]["state"]);
  expect_enum<IdlePolicy>(definitions["dataplane"]["properties"]["idle"]);
}

TEST(Schema, DescribesEveryKey) {
  const Json::Value whole = schema();
  std::vector<const Json::Value*> open{&whole};
  while (!open.empty()) {
    const Json::Value& node = *open.back();
    open.pop_back();
    for (const Json::Value& inner : node) {
      if (inner.isObject() || inner.isArray()) open.push_back(&inner);
    }
    if (!node.isObject() || !node.isMember("properties")) continue;
    for (const std::string& key : node["properties"].getMemberNames()) {
      const Json::Value& property = node["properties"][key];
      const std::string reference = property.get("$ref", "").asString();
      const auto slash = reference.rfind('/');
      const bool described = property.isMember("description") ||
                             (slash != std::string::npos &&
                              whole["definitions"][reference.substr(slash + 1)].isMember("description"));
      EXPECT_TRUE(described) << key;
    }
  }
}

TEST(Schema, PatternOfDurationsTakesWhatTheCodeTakes) {
  const std::regex pattern(schema()["definitions"]["duration"]["pattern"].asString());
  for (const char* text : {"2000us", "1ms", "10s", "2m", "1h", "20d"}) {
    EXPECT_TRUE(std::regex_search(text, pattern) && parse_duration(text)) << text;
  }
  for (const char* text : {"", "s", "5", "5 s", "-5s", "+5s", "1.5s", "5S", "5weeks"}) {
    EXPECT_FALSE(std::regex_search(text, pattern) || parse_duration(text)) << text;
  }
}

/// Damages a text the ways that editing goes wrong, and some that it does not.
std::string mutated(std::string text, std::mt19937& random) {
  static const std::vector<std::string> kPieces{"{",
                                                "}",
                                                "[",
                                                "]",
                                                ",",
                                                ":",
                                                "\"",
                                                "//",
                                                "/*",
                                                "*/",
                                                "\\",
                                                "\\u12",
                                                "null",
                                                "true",
                                                "-1",
                                                "0",
                                                "1e999",
                                                "99999999999999999999",
                                                "\"\"",
                                                "[]",
                                                "{}",
                                                "\n",
                                                "\"10s\"",
                                                "\"name\":",
                                                "\"check\":",
                                                "\"port\":",
                                                "::1",
                                                "224.0.0.1",
                                                "af_packet:",
                                                "65536",
                                                std::string(1, '\0'),
                                                "\xff",
                                                "\xef\xbb\xbf",
                                                std::string(70, '[')};
  for (unsigned n = 1 + random() % 5; n > 0; --n) {
    const std::size_t place = random() % (text.size() + 1);
    switch (random() % 5) {
      case 0: text.erase(place, random() % 32); break;
      case 1: text.insert(place, kPieces[random() % kPieces.size()]); break;
      case 2: text.insert(place, text.substr(random() % (text.size() + 1), random() % 64)); break;
      case 3:
        if (place < text.size()) text[place] = static_cast<char>(random());
        break;
      default: {
        const std::string piece = kPieces[random() % kPieces.size()];
        text.replace(place, std::min(piece.size(), text.size() - place), piece);
        break;
      }
    }
  }
  return text;
}

TEST(Fuzz, MutatedExamplesAreReadOrExplained) {
  std::vector<std::string> texts;
  for (const fs::path& file : example_files()) texts.push_back(contents(file));
  std::mt19937 random(4711);
  unsigned valid = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = mutated(texts[random() % texts.size()], random);
    const Parsed parsed = parse_config(text, NamedFiles::trusted);
    valid += parsed.valid() ? 1 : 0;
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      ASSERT_FALSE(diagnostic.object.empty()) << text;
      ASSERT_FALSE(diagnostic.text.empty()) << text;
      ASSERT_GE(diagnostic.line, 1U) << text;
      ASSERT_LE(diagnostic.line, 1 + static_cast<unsigned>(std::ranges::count(text, '\n'))) << text;
    }
    if (parsed.valid()) {
      ASSERT_FALSE(parsed.config.ports.empty()) << text;
    }
  }
  EXPECT_GT(valid, 100U) << "some damage is in comments";
  EXPECT_LT(valid, 15'000U);
}

TEST(Fuzz, BytesWithoutSenseAreHarmless) {
  std::mt19937 random(815);
  for (int round = 0; round < 5'000; ++round) {
    std::string text(random() % 200, '\0');
    for (char& c : text) c = static_cast<char>(random());
    EXPECT_FALSE(parse_config(text, NamedFiles::trusted).valid());
    EXPECT_FALSE(parse_config("{" + text, NamedFiles::trusted).valid());
  }
}

}  // namespace
}  // namespace sluice::config
