#include "tools/sluice/table.h"

#include <memory>

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

TEST(ShowTables, EmptyListsAreSentences) {
  const Json::Value none(Json::arrayValue);
  EXPECT_EQ(table_text(config::ShowWhat::services, none), "No services are configured, or none matches.\n");
  EXPECT_EQ(table_text(config::ShowWhat::flows, tree_of(R"({"flows": [], "total": 0})")), "No flows.\n");
}

TEST(ShowTables, MissingMembersAreDashesAndNothingThrows) {
  for (const auto what : {config::ShowWhat::services, config::ShowWhat::servers, config::ShowWhat::ports,
                          config::ShowWhat::workers, config::ShowWhat::drops}) {
    EXPECT_NE(table_text(what, tree_of("[{}]")), "");
    EXPECT_NE(table_text(what, tree_of(R"([{"name": 3, "counters": [], "check": "x"}, 7, null])")), "");
  }
  EXPECT_NE(table_text(config::ShowWhat::info, tree_of("{}")), "");
  EXPECT_NE(table_text(config::ShowWhat::flows, tree_of(R"({"flows": [{}], "total": 5})")), "");
}

}  // namespace
}  // namespace sluice::cli
