// Configurations from strangers: any text is a configuration or a list of complaints with their places. One
// without complaints compiles, and what it asks of the data plane survives being sent to it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <gtest/gtest.h>

#include "config/diff.h"
#include "config/parse.h"
#include "config/wire.h"
#include "dp/control/service_compiler.h"

namespace sluice::test {
namespace {

config::ForwardingServer as_configured(const config::Service&, const config::Server& server) {
  return {.name = server.name,
          .endpoint = server.endpoint,
          .weight = server.disabled ? 0U : server.weight,
          .maxconn = server.maxconn,
          .maxqueue = server.maxqueue};
}

void expect_places(const config::Parsed& parsed, std::string_view text) {
  const auto lines =
      static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return c == '\n' || c == '\r'; })) +
      1;
  unsigned line = 0;
  for (const config::Diagnostic& diagnostic : parsed.diagnostics) {
    EXPECT_GE(diagnostic.line, line) << "by position";
    EXPECT_LE(diagnostic.line, lines) << "beyond the end";
    EXPECT_FALSE(diagnostic.text.empty());
    EXPECT_EQ(config::format(diagnostic, "f").find('\n'), std::string::npos) << "a line each";
    line = diagnostic.line;
  }
}

void run(std::string_view text) {
  const config::Parsed parsed = config::parse_config(text, config::NamedFiles::trusted);
  expect_places(parsed, text);
  if (!parsed.valid()) return;
  EXPECT_TRUE(config::diff(parsed.config, parsed.config).empty());

  const config::ForwardingState state = config::forwarding_of(parsed.config, 1, as_configured);
  const auto sent = config::decode_dp_request(config::encode_request(config::ApplyRequest{state}));
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(std::get<config::ApplyRequest>(*sent).state, state);

  dp::ServiceCompiler compiler(parsed.config.dataplane.workers);
  const auto tables = compiler.compile(state, dp::KernelPorts{});
  EXPECT_TRUE(tables) << "what is valid can be compiled: " << tables.error().message;
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::run({reinterpret_cast<const char*>(data), size});
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
