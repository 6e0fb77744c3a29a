#include "cp/check_result.h"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

TEST(CheckResult, EveryCodeLeadsBackToItsStatus) {
  for (std::size_t i = 0; i < kCheckStatusCount; ++i) {
    const auto status = static_cast<CheckStatus>(i);
    EXPECT_EQ(check_status(code(status)), status) << code(status);
  }
  EXPECT_EQ(check_status("L8OK"), std::nullopt);
  EXPECT_EQ(check_status(""), std::nullopt);
}

/// Lines of HAProxy 2.6.
TEST(CheckResult, IsDescribedInHaproxysWords) {
  EXPECT_EQ(describe({CheckStatus::l4_ok, "", 0ms}), "reason: Layer4 check passed, check duration: 0ms");
  EXPECT_EQ(describe({CheckStatus::l4_refused, "Connection refused", 0ms}),
            "reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms");
  EXPECT_EQ(describe({CheckStatus::l4_timeout, "", 1001ms}),
            "reason: Layer4 timeout, check duration: 1001ms");
  EXPECT_EQ(describe({CheckStatus::l7_ok, "(tcp-check)", 1ms}),
            "reason: Layer7 check passed, code: 0, info: \"(tcp-check)\", check duration: 1ms");
  EXPECT_EQ(describe({CheckStatus::l7_wrong_status, "Service Unavailable", 4ms, 503}),
            "reason: Layer7 wrong status, code: 503, info: \"Service Unavailable\", check duration: 4ms");
  EXPECT_EQ(describe({CheckStatus::process_error, "", 2ms, -1}),
            "reason: External check error, code: -1, check duration: 2ms");
}

TEST(CheckResult, BytesOfAServerCannotForgeALogLine) {
  EXPECT_EQ(describe({CheckStatus::l7_wrong_status, "via agent : down (\"quoted\")", 3ms}),
            "reason: Layer7 wrong status, code: 0, info: \"via agent : down (<22>quoted<22>)\", check "
            "duration: 3ms");
  EXPECT_EQ(describe({CheckStatus::l6_invalid, "a\nb\x80\x7f", 0ms}),
            "reason: Layer6 invalid response, info: \"a<0A>b<80><7F>\", check duration: 0ms");
}

TEST(CheckResult, InfoIsCut) {
  EXPECT_EQ(shortened(std::string(200, 'a')), std::string(kInfoLength, 'a'));
  EXPECT_EQ(shortened("short"), "short");
}

}  // namespace
}  // namespace sluice::cp
