#include "cp/metrics.h"

#include <gmock/gmock.h>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/sluice/show_metrics.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

/// The lines of `text` that begin with `start`.
std::vector<std::string> lines(const std::string& text, const std::string& start) {
  std::vector<std::string> found;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(start)) found.push_back(line);
  }
  return found;
}

config::VrrpReport one_instance() {
  config::VrrpInstanceReport instance;
  instance.name = "VI_1";
  instance.interface = "lan";
  instance.virtual_router_id = 61;
  instance.state = config::VrrpState::master;
  instance.state_ms = 3'648;
  instance.priority = 100;
  instance.effective_priority = 80;
  instance.advert_ms = 1'000;
  instance.master_down_ms = 3'609;
  instance.addresses = {"192.0.2.10/24 dev lan", "192.0.2.11/32 dev lan"};
  instance.addresses_missing = {"192.0.2.11/32 dev lan"};
  instance.adverts_sent = 1;
  instance.adverts_received = 2;
  instance.send_errors = 3;
  instance.became_master = 4;
  instance.became_backup = 5;
  instance.became_fault = 6;
  instance.priority_zero_sent = 7;
  instance.priority_zero_received = 8;
  instance.addresses_repaired = 9;
  instance.announcements = 10;
  instance.announce_errors = 15;
  instance.timer_late_us = 11;
  instance.timer_late_max_us = 1'200'000;
  config::VrrpReport report;
  report.uptime_ms = 5'000;
  report.realtime = true;
  report.instances = {instance};
  report.unknown_vrid = 99;
  return report;
}

TEST(VrrpMetrics, TellAllOfAnInstance) {
  config::VrrpReport report = one_instance();
  report.instances[0].troubles = {{"script", "script \"chk\" exits with 1", -20}};
  report.instances[0].trouble_counts = {{"link", 2}, {"script", 14}};
  report.instances[0].refusals = {{"ttl", "The advert has crossed a router.", 13}};
  std::string values;
  std::istringstream stream(exposition(vrrp_metrics(report)));
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with("# HELP")) values += line + "\n";
  }
  EXPECT_EQ(values, R"(# TYPE sluice_vrrp_uptime_seconds gauge
sluice_vrrp_uptime_seconds 5
# TYPE sluice_vrrp_realtime gauge
sluice_vrrp_realtime 1
# TYPE sluice_vrrp_memory_locked gauge
sluice_vrrp_memory_locked 0
# TYPE sluice_vrrp_unknown_router_adverts_total counter
sluice_vrrp_unknown_router_adverts_total 99
# TYPE sluice_vrrp_state gauge
sluice_vrrp_state{instance="VI_1",interface="lan",vrid="61",state="INIT"} 0
sluice_vrrp_state{instance="VI_1",interface="lan",vrid="61",state="FAULT"} 0
sluice_vrrp_state{instance="VI_1",interface="lan",vrid="61",state="BACKUP"} 0
sluice_vrrp_state{instance="VI_1",interface="lan",vrid="61",state="MASTER"} 1
# TYPE sluice_vrrp_state_seconds gauge
sluice_vrrp_state_seconds{instance="VI_1",interface="lan",vrid="61"} 3.648
# TYPE sluice_vrrp_priority gauge
sluice_vrrp_priority{instance="VI_1",interface="lan",vrid="61",kind="configured"} 100
sluice_vrrp_priority{instance="VI_1",interface="lan",vrid="61",kind="effective"} 80
# TYPE sluice_vrrp_yielded gauge
sluice_vrrp_yielded{instance="VI_1",interface="lan",vrid="61"} 0
# TYPE sluice_vrrp_addresses gauge
sluice_vrrp_addresses{instance="VI_1",interface="lan",vrid="61"} 2
# TYPE sluice_vrrp_addresses_missing gauge
sluice_vrrp_addresses_missing{instance="VI_1",interface="lan",vrid="61"} 1
# TYPE sluice_vrrp_transitions_total counter
sluice_vrrp_transitions_total{instance="VI_1",interface="lan",vrid="61",state="MASTER"} 4
sluice_vrrp_transitions_total{instance="VI_1",interface="lan",vrid="61",state="BACKUP"} 5
sluice_vrrp_transitions_total{instance="VI_1",interface="lan",vrid="61",state="FAULT"} 6
# TYPE sluice_vrrp_adverts_sent_total counter
sluice_vrrp_adverts_sent_total{instance="VI_1",interface="lan",vrid="61"} 1
# TYPE sluice_vrrp_adverts_received_total counter
sluice_vrrp_adverts_received_total{instance="VI_1",interface="lan",vrid="61"} 2
# TYPE sluice_vrrp_send_errors_total counter
sluice_vrrp_send_errors_total{instance="VI_1",interface="lan",vrid="61"} 3
# TYPE sluice_vrrp_priority_zero_sent_total counter
sluice_vrrp_priority_zero_sent_total{instance="VI_1",interface="lan",vrid="61"} 7
# TYPE sluice_vrrp_priority_zero_received_total counter
sluice_vrrp_priority_zero_received_total{instance="VI_1",interface="lan",vrid="61"} 8
# TYPE sluice_vrrp_addresses_repaired_total counter
sluice_vrrp_addresses_repaired_total{instance="VI_1",interface="lan",vrid="61"} 9
# TYPE sluice_vrrp_announcements_total counter
sluice_vrrp_announcements_total{instance="VI_1",interface="lan",vrid="61"} 10
# TYPE sluice_vrrp_announce_errors_total counter
sluice_vrrp_announce_errors_total{instance="VI_1",interface="lan",vrid="61"} 15
# TYPE sluice_vrrp_advert_interval_seconds gauge
sluice_vrrp_advert_interval_seconds{instance="VI_1",interface="lan",vrid="61"} 1
# TYPE sluice_vrrp_master_down_seconds gauge
sluice_vrrp_master_down_seconds{instance="VI_1",interface="lan",vrid="61"} 3.609
# TYPE sluice_vrrp_timer_lateness_seconds gauge
sluice_vrrp_timer_lateness_seconds{instance="VI_1",interface="lan",vrid="61"} 1.1e-05
# TYPE sluice_vrrp_timer_lateness_max_seconds gauge
sluice_vrrp_timer_lateness_max_seconds{instance="VI_1",interface="lan",vrid="61"} 1.2
# TYPE sluice_vrrp_trouble gauge
sluice_vrrp_trouble{instance="VI_1",interface="lan",vrid="61",tracker="link"} 0
sluice_vrrp_trouble{instance="VI_1",interface="lan",vrid="61",tracker="script"} 1
# TYPE sluice_vrrp_troubles_total counter
sluice_vrrp_troubles_total{instance="VI_1",interface="lan",vrid="61",tracker="link"} 2
sluice_vrrp_troubles_total{instance="VI_1",interface="lan",vrid="61",tracker="script"} 14
# TYPE sluice_vrrp_adverts_refused_total counter
sluice_vrrp_adverts_refused_total{instance="VI_1",interface="lan",vrid="61",reason="ttl"} 13
)");
}

class EachTrouble : public testing::TestWithParam<const char*> {};

TEST_P(EachTrouble, IsAMetricOfItsOwnWhileItLasts) {
  config::VrrpReport report = one_instance();
  config::VrrpInstanceReport& instance = report.instances[0];
  // Two of a kind, as of two scripts, are one series.
  instance.troubles = {{GetParam(), "a sentence", 0}, {GetParam(), "another one", -20}};
  instance.trouble_counts = {{GetParam(), 3}};
  const std::string label = std::string(R"(vrid="61",tracker=")") + GetParam() + R"("})";
  const std::string begins = R"({instance="VI_1",interface="lan",)" + label;
  std::string text = exposition(vrrp_metrics(report));
  EXPECT_THAT(lines(text, "sluice_vrrp_trouble{"), ElementsAre("sluice_vrrp_trouble" + begins + " 1"));
  EXPECT_THAT(lines(text, "sluice_vrrp_troubles_total{"),
              ElementsAre("sluice_vrrp_troubles_total" + begins + " 3"));
  EXPECT_THAT(text, Not(HasSubstr("sentence"))) << "texts without bound are no labels";

  instance.troubles.clear();
  text = exposition(vrrp_metrics(report));
  EXPECT_THAT(lines(text, "sluice_vrrp_trouble{"), ElementsAre("sluice_vrrp_trouble" + begins + " 0"));
}
INSTANTIATE_TEST_SUITE_P(VrrpMetrics, EachTrouble,
                         testing::Values("interface", "link", "address", "dataplane", "script", "service",
                                         "socket", "operator", "group"),
                         [](const auto& info) { return std::string(info.param); });

TEST(VrrpMetrics, NothingOfInstancesWhereThereAreNone) {
  const std::string text = exposition(vrrp_metrics({}));
  EXPECT_THAT(text, HasSubstr("sluice_vrrp_unknown_router_adverts_total 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("sluice_vrrp_state")));
}

/// Service "web": a (checked) and z (not), both known to the data plane, which also lets a server of the same
/// name drain.
class BalancerMetrics : public testing::Test {
 protected:
  static config::Config web() {
    config::Config config;
    config::Service& service = config.services.emplace_back();
    service.name = "web";
    service.vip = *base::Endpoint::parse("192.0.2.1:80");
    service.maxconn = 1'000;
    for (const char* name : {"a", "z"}) {
      config::Server& server = service.servers.emplace_back();
      server.name = name;
      server.endpoint = *base::Endpoint::parse(name == std::string("a") ? "10.0.0.1:80" : "10.0.0.2:80");
      server.weight = 100;
      server.check.type = name == std::string("a") ? config::CheckType::tcp : config::CheckType::none;
    }
    return config;
  }
  void SetUp() override {
    config::ServiceReport& service = report_.services.emplace_back();
    service.name = "web";
    service.counters = {11, 12, 13, 14, 15, 16, 17};
    service.handshakes = {21, 22, 23, 24, 25, 26};
    service.queue = {.waiting = 31, .oldest_ms = 3'200, .entered = 33, .timed_out = 34};
    service.clients = {.denied = 41, .over_rate = 42, .over_maxconn = 43, .untracked = 44};
    config::ServerReport& a = service.servers.emplace_back();
    a.name = "a";
    a.endpoint = *base::Endpoint::parse("10.0.0.1:80");
    a.counters.connections_new = 5;
    a.ports_free = 40;
    a.ports_total = 64;
    a.failures_in_row = 2;
    config::ServerReport& gone = service.servers.emplace_back(a);
    gone.endpoint = *base::Endpoint::parse("10.0.0.99:80");
    gone.draining = true;
    gone.counters.connections_new = 6;
    report_.drops = {{"no_server", "the service has no usable server", 7}, {"fragment", "", 0}};
    report_.generation = 3;
    config::PortReport& port = report_.ports.emplace_back();
    port.name = "lan";
    port.link_up = true;
    port.rx_packets = 1;
    port.rx_missed = 5;
    port.tx_errors = 7;
    config::WorkerReport& worker = report_.workers.emplace_back();
    worker.id = 1;
    worker.flows = 9;
    worker.flows_max = 65'536;
  }
  [[nodiscard]] std::string text(const config::DataplaneReport* report) const {
    return exposition(balancer_metrics(controller_, process_, report, start_ + 30s));
  }

  TimePoint start_{};
  Controller controller_{web(), start_};
  ProcessView process_;
  config::DataplaneReport report_;
};

TEST_F(BalancerMetrics, TellWhatTheDataPlaneCountsOfAService) {
  const std::string text = this->text(&report_);
  EXPECT_THAT(lines(text, "sluice_service_"),
              ElementsAre(R"(sluice_service_servers{service="web"} 2)",
                          R"(sluice_service_servers_active{service="web"} 2)",
                          R"(sluice_service_maxconn{service="web"} 1000)",
                          R"(sluice_service_packets_total{service="web",direction="in"} 11)",
                          R"(sluice_service_packets_total{service="web",direction="out"} 13)",
                          R"(sluice_service_bytes_total{service="web",direction="in"} 12)",
                          R"(sluice_service_bytes_total{service="web",direction="out"} 14)",
                          R"(sluice_service_connections_total{service="web"} 15)",
                          R"(sluice_service_connections_failed_total{service="web"} 16)",
                          R"(sluice_service_connections_current{service="web"} 17)",
                          R"(sluice_service_handshakes_total{service="web",outcome="answered"} 21)",
                          R"(sluice_service_handshakes_total{service="web",outcome="refused"} 22)",
                          R"(sluice_service_handshakes_total{service="web",outcome="unreachable"} 23)",
                          R"(sluice_service_handshakes_total{service="web",outcome="unanswered"} 24)",
                          R"(sluice_service_retries_total{service="web"} 25)",
                          R"(sluice_service_redispatches_total{service="web"} 26)",
                          R"(sluice_service_queue_connections{service="web"} 31)",
                          R"(sluice_service_queue_oldest_seconds{service="web"} 3.2)",
                          R"(sluice_service_queue_entered_total{service="web"} 33)",
                          R"(sluice_service_queue_timeouts_total{service="web"} 34)",
                          R"(sluice_service_clients_refused_total{service="web",reason="denied"} 41)",
                          R"(sluice_service_clients_refused_total{service="web",reason="rate"} 42)",
                          R"(sluice_service_clients_refused_total{service="web",reason="maxconn"} 43)",
                          R"(sluice_service_clients_untracked_total{service="web"} 44)"));
}

TEST_F(BalancerMetrics, TellWhatBothPlanesKnowOfAServer) {
  for (int i = 0; i < 3; ++i)
    controller_.record_check(controller_.servers(0)[0].id(), {CheckStatus::l4_refused, "no", 3ms, 0},
                             start_ + 10s);
  const std::string text = this->text(&report_);
  const auto a = [&](const std::string& name) {
    const std::string start = "sluice_server_" + name + R"({service="web",server="a")";
    std::vector<std::string> found = lines(text, start);
    for (std::string& line : found) line.erase(0, start.size());
    return found;
  };
  EXPECT_THAT(a("up"), ElementsAre("} 0"));
  EXPECT_THAT(a("usable"), ElementsAre("} 0"));
  EXPECT_THAT(a("check_status"), ElementsAre(R"(,status="L4CON"} 1)"));
  EXPECT_THAT(a("downs_total"), ElementsAre("} 1"));
  EXPECT_THAT(a("downtime_seconds_total"), ElementsAre("} 20")) << "the present time is counted";
  EXPECT_THAT(a("state_seconds"), ElementsAre("} 20"));
  EXPECT_THAT(a("admin"),
              ElementsAre(R"(,state="ready"} 1)", R"(,state="drain"} 0)", R"(,state="maint"} 0)"));
  EXPECT_THAT(a("source_ports"), ElementsAre("} 64"));
  EXPECT_THAT(a("source_ports_free"), ElementsAre("} 40"));
  EXPECT_THAT(a("failures_in_row"), ElementsAre("} 2"));
  EXPECT_THAT(a("connections_total"), ElementsAre("} 5")) << "what drains is another server";
  EXPECT_THAT(lines(text, R"(sluice_server_up{service="web",server="z"})"),
              ElementsAre(R"(sluice_server_up{service="web",server="z"} 1)"));
  EXPECT_THAT(lines(text, R"(sluice_server_check_status{service="web",server="z")"), IsEmpty());
  EXPECT_THAT(lines(text, R"(sluice_server_connections_total{service="web",server="z"})"),
              ElementsAre(R"(sluice_server_connections_total{service="web",server="z"} 0)"));
}

TEST_F(BalancerMetrics, TellOfPortsWorkersAndDrops) {
  const std::string text = this->text(&report_);
  for (const char* line :
       {"sluice_dp_generation 3", R"(sluice_port_up{port="lan"} 1)",
        R"(sluice_port_rx_packets_total{port="lan"} 1)", R"(sluice_port_rx_missed_total{port="lan"} 5)",
        R"(sluice_port_tx_errors_total{port="lan"} 7)", R"(sluice_worker_flows{worker="1"} 9)",
        R"(sluice_worker_flows_max{worker="1"} 65536)",
        R"(sluice_dropped_packets_total{reason="no_server"} 7)",
        R"(sluice_dropped_packets_total{reason="fragment"} 0)"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  }
}

TEST_F(BalancerMetrics, WithoutADataPlaneTellWhatTheControlPlaneKnows) {
  const std::string text = this->text(nullptr);
  EXPECT_THAT(text, HasSubstr(R"(sluice_server_up{service="web",server="a"} 1)"));
  for (const char* unknown : {"_connections", "sluice_port", "sluice_worker", "sluice_dp", "dropped"})
    EXPECT_THAT(text, Not(HasSubstr(unknown)));
}

TEST_F(BalancerMetrics, NamesAreWhatPrometheusWants) {
  Families families = balancer_metrics(controller_, process_, &report_, start_);
  for (auto& family : vrrp_metrics(one_instance())) families.push_back(std::move(family));
  families.push_back(up_metric({{"cp", true}}));
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : families) {
    EXPECT_THAT(family.name, StartsWith("sluice_"));
    const bool is_total = family.name.ends_with("_total");
    EXPECT_EQ(is_total, family.type == kCounter) << family.name;
    // OpenMetrics calls a counter by its name without "_total".
    const std::string name = family.name.substr(0, family.name.size() - (is_total ? 6 : 0));
    EXPECT_TRUE(names.insert(name).second) << family.name << " stands in two places";
    EXPECT_FALSE(family.help.empty()) << family.name;
    std::set<Labels> seen;
    for (const auto& series : family.metric)
      EXPECT_TRUE(seen.insert(series.label).second) << family.name << " has a series twice";
  }
}

TEST(Exposition, EscapesWhatALabelMayNotHold) {
  EXPECT_EQ(exposition({up_metric({{"a \"quoted\" \\ name\nof two lines", true}})}),
            "# HELP sluice_up Whether the process answers.\n"
            "# TYPE sluice_up gauge\n"
            "sluice_up{process=\"a \\\"quoted\\\" \\\\ name\\nof two lines\"} 1\n");
}

const base::Error kSilent{base::ErrorCode::unavailable, "nobody answers"};

TEST(ShowMetrics, WhoDoesNotAnswerIsToldOf) {
  const config::MetricsReport answer{.text = "sluice_cp_x 1\n", .data_plane = true, .vrrp = true};
  const auto up = [](const auto& text) { return lines(*text, "sluice_up"); };

  auto text = cli::metrics_text(answer, one_instance());
  EXPECT_THAT(up(text), ElementsAre(R"(sluice_up{process="cp"} 1)", R"(sluice_up{process="dp"} 1)",
                                    R"(sluice_up{process="vrrp"} 1)"));
  EXPECT_THAT(*text, HasSubstr("\nsluice_cp_x 1\n"));
  EXPECT_THAT(*text, HasSubstr("sluice_vrrp_state{"));

  text = cli::metrics_text(answer, kSilent);
  EXPECT_THAT(up(text), ElementsAre(R"(sluice_up{process="cp"} 1)", R"(sluice_up{process="dp"} 1)",
                                    R"(sluice_up{process="vrrp"} 0)"));
  EXPECT_THAT(*text, Not(HasSubstr("sluice_vrrp")));

  text = cli::metrics_text(kSilent, one_instance());
  EXPECT_THAT(up(text), ElementsAre(R"(sluice_up{process="cp"} 0)", R"(sluice_up{process="vrrp"} 1)"))
      << "of the data plane nothing is known then";
  EXPECT_THAT(*text, HasSubstr("sluice_vrrp_state{"));

  text = cli::metrics_text(config::MetricsReport{}, kSilent);
  EXPECT_THAT(up(text), ElementsAre(R"(sluice_up{process="cp"} 1)", R"(sluice_up{process="dp"} 0)"))
      << "nobody misses sluice-vrrp where no instance is configured";
}

TEST(ShowMetrics, WhereNobodyAnswersItFails) {
  const auto text = cli::metrics_text(kSilent, base::Error{base::ErrorCode::unavailable, "neither"});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "nobody answers");
}

}  // namespace
}  // namespace sluice::cp
