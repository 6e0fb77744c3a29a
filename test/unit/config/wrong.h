#pragma once

#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/parse.h"

/// Rows of broken configurations, each with the whole of what is told of it.
namespace sluice::config {

inline std::vector<std::string> told(const std::string& text) {
  std::vector<std::string> lines;
  for (const Diagnostic& diagnostic : parse_config(text, NamedFiles::trusted).diagnostics)
    lines.push_back(format(diagnostic, "f"));
  return lines;
}

/// A configuration on one line around its own part, so that columns are easy to count.
inline std::string around(const std::string& head, const std::string& services) {
  return R"({"ports":[{"name":"lan","device":"af_xdp:eth0"}],)" + head + "\n\"services\":[" + services + "]}";
}

/// One broken rule, and the whole of what is told of it.
struct Row {
  std::string name;
  std::string text;
  std::vector<std::string> diagnostics;
};
inline void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

inline std::string service(const std::string& more, const std::string& servers = "") {
  return R"({"name":"web","vip":"192.0.2.10","port":80)" + more + R"(,"servers":[)" + servers + "]}";
}
inline std::string one_service(const std::string& more, const std::string& servers = "") {
  return around("", service(more, servers));
}
inline std::string dataplane(const std::string& inner) {
  return around("\n\"dataplane\":{" + inner + "},", "");
}
inline std::string ports(const std::string& inner) {
  return "{\"ports\":[" + inner + "]}";
}
/// The check of a service that has one server.
inline std::string check(const std::string& inner) {
  return one_service(",\"check\":{" + inner + "}", R"({"name":"s","address":"192.0.2.11"})");
}
inline std::string server(const std::string& inner) {
  return one_service("", R"({"name":"s","address":"192.0.2.11",)" + inner + "}");
}
inline std::string defaults(const std::string& inner,
                            const std::string& servers = R"({"name":"s","address":"192.0.2.11"})") {
  return around("\n\"defaults\":{" + inner + "},", service("", servers));
}
inline std::string global(const std::string& inner) {
  return around("\n\"global\":{" + inner + "},", "");
}

/// The whole of one instance, whose keys `more` adds to.
inline std::string instance(const std::string& more, const std::string& name = "VI_1",
                            const std::string& addresses = R"("192.0.2.10/24")", int id = 61) {
  return R"({"name":")" + name + R"(","interface":"lan","virtual_router_id":)" + std::to_string(id) +
         R"(,"addresses":[)" + addresses + "]" + more + "}";
}
/// Instances in the second line.
inline std::string vrrp(const std::string& instances, const std::string& services = "") {
  return around("\n\"vrrp\":[" + instances + "],", services);
}

/// Wrong.IsToldInFull (parse_test.cc) runs all rows, wherever they are instantiated.
class Wrong : public testing::TestWithParam<Row> {};

inline std::string name_of_row(const testing::TestParamInfo<Row>& info) {
  return info.param.name;
}

}  // namespace sluice::config
