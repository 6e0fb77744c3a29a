#include <string>

#include "probe_fixture.h"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using After = Behaviour::After;
using config::CheckType;
namespace ssl = boost::asio::ssl;

const char* const kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const char* const kFailure = "SSL handshake failure";

class TlsProbe : public ProbeTest {
 protected:
  TlsProbe() {
    server_tls_.use_certificate_chain_file(files_.certificate_file);
    server_tls_.use_private_key_file(files_.key_file, ssl::context::pem);
  }
  config::Check check(CheckType type = CheckType::tls, config::Milliseconds timeout = 20s) {
    config::Check check = check_of(type, timeout);
    check.tls.ca_file = files_.ca_file;
    return check;
  }
  CheckResult run_tls(const config::Check& check) {
    const FakeServer server(io_, {kOk}, &server_tls_);
    return run(check, server.port());
  }

  const TestCertificates& files_ = TestCertificates::get();
  ssl::context server_tls_{ssl::context::tls_server};
};

TEST_F(TlsProbe, PassesOnAHandshake) {
  const CheckResult result = run_tls(check());
  EXPECT_EQ(code(result.status), "L6OK");
  EXPECT_EQ(result.info, "");
}

TEST_F(TlsProbe, RefusesAnUnknownAuthority) {
  config::Check unknown = check();
  unknown.tls.ca_file.clear();
  const CheckResult result = run_tls(unknown);
  EXPECT_EQ(code(result.status), "L6RSP");
  EXPECT_EQ(result.info, kFailure);
}

TEST_F(TlsProbe, TakesAnyCertificateUnverified) {
  config::Check any = check();
  any.tls.ca_file.clear();
  any.tls.verify = false;
  any.tls.sni = "other.test";
  EXPECT_EQ(code(run_tls(any).status), "L6OK");
}

TEST_F(TlsProbe, ComparesTheNameWithTheCertificate) {
  config::Check named = check();
  named.tls.sni = "srv.test";
  EXPECT_EQ(code(run_tls(named).status), "L6OK");
  named.tls.sni = "127.0.0.1";
  EXPECT_EQ(code(run_tls(named).status), "L6OK");
  named.tls.sni = "other.test";
  const CheckResult result = run_tls(named);
  EXPECT_EQ(code(result.status), "L6RSP");
  EXPECT_EQ(result.info, "Server presented an SSL certificate different from the expected one");
}

TEST_F(TlsProbe, TakesTheNameFromHttpsHost) {
  config::Check https = check(CheckType::https);
  https.http.host = "srv.test:6443";
  CheckResult result = run_tls(https);
  EXPECT_EQ(code(result.status), "L7OK") << result.info;
  EXPECT_EQ(result.answer_code, 200);
  https.http.host = "other.test";
  EXPECT_EQ(code(run_tls(https).status), "L6RSP");
}

TEST_F(TlsProbe, ShowsTheClientsCertificate) {
  server_tls_.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  server_tls_.load_verify_file(files_.ca_file);
  config::Check https = check(CheckType::https);
  EXPECT_FALSE(run_tls(https).passed()) << "without one";
  https.tls.certificate_file = files_.certificate_file;
  https.tls.key_file = files_.key_file;
  const CheckResult result = run_tls(https);
  EXPECT_EQ(code(result.status), "L7OK") << result.info;
}

TEST_F(TlsProbe, SpeaksTlsWithinAScript) {
  config::CheckStep connect, send, expect;
  connect.tls = true;
  send.kind = config::CheckStep::Kind::send;
  send.data = "GET / HTTP/1.0\r\n\r\n";
  expect.kind = config::CheckStep::Kind::expect;
  expect.expect.pattern = "hello";
  config::Check script = check(CheckType::tcp_check);
  script.steps = {connect};
  EXPECT_EQ(code(run_tls(script).status), "L6OK");
  script.steps = {connect, send, expect};
  EXPECT_EQ(code(run_tls(script).status), "L7OK");
  // Closed as TCP is, without TLS being told.
  const FakeServer closes(io_, {""}, &server_tls_);
  const CheckResult result = run(script, closes.port());
  EXPECT_EQ(code(result.status), "L7RSP");
  EXPECT_EQ(result.info, "TCPCHK got an empty response at step 3");
}

TEST_F(TlsProbe, EndsWithServersThatSpeakNoTls) {
  const struct {
    const char* name;
    Behaviour server;
    const char* code;
    const char* info;
  } rows[] = {
      {"text", {"-ERR\r\n"}, "L6RSP", kFailure},
      {"closed", {""}, "L6RSP", kFailure},
      {"reset", {"", After::reset}, "L6RSP", kFailure},
      {"endless", {"x", After::endless}, "L6RSP", kFailure},
      {"silent", {"", After::hold}, "L6TOUT", ""},
      // A record that never ends.
      {"slow",
       {std::string("\x16\x03\x03\x40\x00", 5) + std::string(16'000, '\2'), After::hold, true, 1},
       "L6TOUT",
       ""},
  };
  for (const auto& row : rows) {
    const FakeServer server(io_, row.server);
    const CheckResult result = run(check(CheckType::tls, 200ms), server.port());
    EXPECT_EQ(code(result.status), row.code) << row.name;
    EXPECT_EQ(result.info, row.info) << row.name;
  }
}

TEST_F(TlsProbe, MissingFilesAreNamedWhenTheConfigurationIsTaken) {
  config::Config config;
  config::Service& service = config.services.emplace_back();
  service.name = "web";
  config::Server& server = service.servers.emplace_back();
  server.name = "a";
  server.check = check();
  server.check.tls.ca_file = "/nonexistent/ca.pem";
  const auto prepared = prepare_checks(config);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().message.rfind("check of server web/a: ca_file \"/nonexistent/ca.pem\": ", 0), 0U)
      << prepared.error().message;
}

TEST_F(TlsProbe, OneContextServesAllChecksOfOneSetting) {
  TlsContexts contexts;
  config::CheckTls one = check().tls;
  one.sni = "a.test";
  config::CheckTls other = one;
  other.sni = "b.test";
  EXPECT_EQ(*contexts.get(one), *contexts.get(other)) << "the name is no part of it";
  other.verify = false;
  EXPECT_NE(*contexts.get(one), *contexts.get(other));
}

}  // namespace
}  // namespace sluice::cp
