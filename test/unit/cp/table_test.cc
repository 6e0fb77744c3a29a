#include "tools/sluice/table.h"

#include <algorithm>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <json/json.h>

#include "tools/sluice/show_tables.h"
#include "tools/sluice/units.h"

namespace sluice::cli {
namespace {

TEST(Table, AlignsColumnsToTheirWidestCell) {
  Table table({{"NAME"}, {"COUNT", Align::right}, {"X"}});
  table.add({"a", "1", "p"});
  table.add({"größer", "1,234", ""});
  EXPECT_EQ(table.to_string(),
            "NAME    COUNT  X\n"
            "a           1  p\n"
            "größer  1,234\n");
}

TEST(Units, ReadAsPeopleWriteThem) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'005), "1,005");
  EXPECT_EQ(count_text(999'999), "999,999");
  EXPECT_EQ(count_text(1'234'567), "1.23M");
  EXPECT_EQ(count_text(45'600'000'000), "45.6G");
  EXPECT_EQ(bytes_text(1'023), "1023 B");
  EXPECT_EQ(bytes_text(1'536), "1.50 KiB");
  EXPECT_EQ(bytes_text(3ULL << 30), "3.00 GiB");
  EXPECT_EQ(duration_text(250), "250ms");
  EXPECT_EQ(duration_text(12'999), "12s");
  EXPECT_EQ(duration_text(200'000), "3m20s");
  EXPECT_EQ(duration_text(3 * 86'400'000 + 7'200'000), "3d2h");
  EXPECT_EQ(percent_text(1, 8), "12.5%");
  EXPECT_EQ(percent_text(1, 0), "-");
}

Json::Value tree_of(const std::string& text) {
  Json::Value value;
  const std::unique_ptr<Json::CharReader> reader(Json::CharReaderBuilder().newCharReader());
  EXPECT_TRUE(reader->parse(text.data(), text.data() + text.size(), &value, nullptr));
  return value;
}

TEST(ShowTables, ListOnlyDropsThatHappenedMostFirst) {
  const std::string text = table_text(config::ShowWhat::drops, tree_of(R"([
      {"reason": "ttl", "description": "It expired.", "packets": 2},
      {"reason": "mtu", "description": "Too long.", "packets": 0},
      {"reason": "no_server", "description": "None left.", "packets": 1000}])"));
  EXPECT_EQ(text,
            "PACKETS  REASON     MEANING\n"
            "  1,000  no_server  None left.\n"
            "      2  ttl        It expired.\n"
            "1 other reasons did not occur; --json lists all.\n");
}

/// Words of the row that holds `start` first.
std::string row_of(const std::string& table, const std::string& start) {
  const std::size_t begin = table.find("\n" + start);
  if (begin == std::string::npos) return table;
  return table.substr(begin + 1, table.find('\n', begin + 1) - begin - 1);
}

TEST(ShowTables, WeightsAndLimitsShowWhatDiffersFromTheConfiguration) {
  const std::string text = table_text(config::ShowWhat::servers, tree_of(R"([
      {"service": "web", "name": "a", "status": "UP", "weight": 100, "configured_weight": 100,
       "counters": {"connections_current": 7}},
      {"service": "web", "name": "b", "status": "UP", "backup": true, "weight": 13, "configured_weight": 100,
       "throttle": 12, "maxconn": 30, "counters": {"connections_current": 7}}])"));
  const std::string a = row_of(text, "web      a");
  const std::string b = row_of(text, "web      b");
  EXPECT_EQ(a.find("100/100"), std::string::npos) << a;
  EXPECT_NE(b.find("13/100 12%"), std::string::npos) << b;
  EXPECT_NE(b.find("UP backup"), std::string::npos) << b;
  EXPECT_NE(b.find("7/30"), std::string::npos) << b;
}

TEST(ShowTables, ServicesTellHowManyConnectionsTheirLimitsByClientRefused) {
  const std::string text = table_text(config::ShowWhat::services, tree_of(R"([
      {"name": "web", "clients": {"denied": 1, "over_rate": 20, "over_maxconn": 300, "untracked": 4000}}])"));
  EXPECT_NE(text.find(" 321 "), std::string::npos) << text;
}

TEST(ShowTables, AnAgentHasARowOfItsOwnBelowItsServer) {
  const std::string text = table_text(config::ShowWhat::health, tree_of(R"([
      {"service": "web", "name": "a", "status": "DOWN", "admin": "ready",
       "check": {"type": "http", "status": "L7STS", "code": 503, "info": "Service Unavailable", "value": 2,
                 "rise": 2, "fall": 3},
       "agent": {"type": "agent", "status": "L7STS", "info": "closed"}}])"));
  EXPECT_NE(text.find("L7STS 503 Service Unavailable"), std::string::npos) << text;
  EXPECT_NE(text.find("2/4"), std::string::npos) << text;
  EXPECT_NE(text.find("L7STS closed"), std::string::npos) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 3) << text;
}

TEST(ShowTables, EmptyListsAreSentences) {
  const Json::Value none(Json::arrayValue);
  EXPECT_EQ(table_text(config::ShowWhat::services, none), "No services are configured, or none matches.\n");
  EXPECT_EQ(table_text(config::ShowWhat::flows, tree_of(R"({"flows": [], "total": 0})")), "No flows.\n");
}

TEST(ShowTables, MissingMembersAreDashesAndNothingThrows) {
  for (const auto what : {config::ShowWhat::services, config::ShowWhat::servers, config::ShowWhat::ports,
                          config::ShowWhat::workers, config::ShowWhat::drops, config::ShowWhat::health,
                          config::ShowWhat::queue, config::ShowWhat::names}) {
    EXPECT_NE(table_text(what, tree_of("[{}]")), "");
    EXPECT_NE(table_text(what, tree_of(R"([{"name": 3, "counters": [], "check": "x"}, 7, null])")), "");
  }
  EXPECT_NE(table_text(config::ShowWhat::info, tree_of("{}")), "");
  EXPECT_NE(table_text(config::ShowWhat::flows, tree_of(R"({"flows": [{}], "total": 5})")), "");
}

}  // namespace
}  // namespace sluice::cli
