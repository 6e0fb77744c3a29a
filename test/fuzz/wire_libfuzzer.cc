// What the processes say to each other, from anyone who can open a socket: each line is a value or an Error;
// a value, written again, is read as the same. The first byte of the input chooses who reads, the rest is the
// line.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "config/build_info.h"
#include "config/wire.h"
#include "config/wire_vrrp.h"

namespace sluice::test {
namespace {

using namespace config;

/// Reads a line; the value as it is written, nothing where it is refused.
using Reader = std::optional<std::string> (*)(std::string_view line);

template <auto kDecode, auto kEncode>
std::optional<std::string> read(std::string_view line) {
  const auto value = kDecode(line);
  if (value) return kEncode(*value);
  EXPECT_FALSE(value.error().message.empty()) << "refused without a word";
  return std::nullopt;
}

template <typename T>
std::optional<std::string> read_value(std::string_view text) {
  return read<from_json<T>, to_json<T>>(text);
}

std::optional<std::string> read_shown(std::string_view line) {
  const auto value = decode_show_reply(ShowWhat::servers, line);
  if (!value) return std::nullopt;
  return encode_show_reply(ShowWhat::servers, *value);
}

/// By the letter that the input begins with, from 'a'. New ones go to the end: the corpus knows them by it.
constexpr std::array<Reader, 22> kReaders{
    read<decode_dp_request, encode_request>,
    read<decode_cp_request, encode_cp_request>,
    read<decode_vrrp_request, encode_vrrp_request>,
    read<decode_apply_reply, encode_apply_reply>,
    read<decode_report_reply, encode_report_reply>,
    read<decode_flows_reply, encode_flows_reply>,
    read<decode_state_reply, encode_state_reply>,
    read<decode_kill_reply, encode_kill_reply>,
    read<decode_failures_reply, encode_failures_reply>,
    read<decode_alive_reply, encode_alive_reply>,
    read<decode_explain_reply, encode_explain_reply>,
    read<decode_done_reply, encode_done_reply>,
    read<decode_reload_reply, encode_reload_reply>,
    read<decode_vrrp_report_reply, encode_vrrp_report_reply>,
    read_shown,
    read_value<std::vector<ServiceNames>>,
    read_value<MetricsReport>,
    read_value<BuildInfo>,
    read_value<DataplaneReport>,
    read_value<ForwardingState>,
    read_value<std::vector<FlowReport>>,
    read_value<std::vector<VrrpInstanceReport>>,
};

void run(std::string_view input) {
  if (input.empty()) return;
  const auto letter = static_cast<std::uint8_t>(input.front() - 'a');
  const Reader reader = kReaders[letter % kReaders.size()];
  const auto written = reader(input.substr(1));
  if (!written) return;
  EXPECT_EQ(written->find('\n'), std::string::npos) << "a line each: " << *written;
  const auto again = reader(*written);
  ASSERT_TRUE(again) << "not read again: " << *written;
  EXPECT_EQ(*again, *written);
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::run({reinterpret_cast<const char*>(data), size});
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}
