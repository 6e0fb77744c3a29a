#include "base/fd.h"

#include <fcntl.h>
#include <utility>

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

bool open_now(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

TEST(Fd, ClosesWhatItOwns) {
  int number = -1;
  {
    const Fd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    ASSERT_TRUE(fd);
    number = fd.get();
    EXPECT_TRUE(open_now(number));
  }
  EXPECT_FALSE(open_now(number));
}

TEST(Fd, MovesOwnership) {
  Fd a{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int first = a.get();
  Fd b{std::move(a)};
  EXPECT_EQ(b.get(), first);
  Fd c{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int second = c.get();
  c = std::move(b);
  EXPECT_EQ(c.get(), first);
  EXPECT_FALSE(open_now(second));
  const int released = c.release();
  EXPECT_FALSE(c);
  EXPECT_TRUE(open_now(released));
  c.reset(released);
  c.reset();
  EXPECT_FALSE(open_now(released));
}

}  // namespace
}  // namespace sluice::base
