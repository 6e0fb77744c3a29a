#include "base/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{ErrorCode::invalid, "number " + std::to_string(n) + ": not even"};
  return n / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  const auto good = half(8);
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(*good, 4);
  const auto bad = half(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::invalid);
  EXPECT_EQ(bad.error().message, "number 7: not even");
}

TEST(Result, ChainsUntilTheFirstError) {
  EXPECT_EQ(*half(12).and_then(half), 3);
  EXPECT_EQ(half(6).and_then(half).error().message, "number 3: not even");
  EXPECT_EQ(*half(6).transform([](int n) { return std::to_string(n); }), "3");
  EXPECT_EQ(half(5).transform([](int n) { return n + 1; }).error().message, "number 5: not even");
  EXPECT_EQ(half(5).value_or(-1), -1);
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = *std::move(made);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, VoidIsSuccessUnlessAnErrorIsGiven) {
  EXPECT_TRUE(Result<void>{});
  const Result<void> failed = Error{ErrorCode::exists, "taken"};
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "taken");
}

TEST(SystemError, NamesTheCauseAndSortsItsKind) {
  const Error error = system_error("file \"/x\"", ENOENT);
  EXPECT_EQ(error.message, "file \"/x\": No such file or directory");
  EXPECT_EQ(error.code, ErrorCode::not_found);
  EXPECT_EQ(system_error("", EACCES).code, ErrorCode::permission);
  EXPECT_EQ(system_error("", EADDRINUSE).code, ErrorCode::exists);
  EXPECT_EQ(system_error("", EMFILE).code, ErrorCode::exhausted);
  EXPECT_EQ(system_error("", ECONNREFUSED).code, ErrorCode::unavailable);
  EXPECT_EQ(system_error("", EIO).code, ErrorCode::system);
}

}  // namespace
}  // namespace sluice::base
