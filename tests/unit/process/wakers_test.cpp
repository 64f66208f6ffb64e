// Functions by name from a list of the kernel's symbols; how long a jiffy is.
#include "process/wakers.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

namespace sockleak {
namespace {

std::array<unsigned long long, 9> found_in(const std::string& text) {
  const std::string path = testing::TempDir() + "/kallsyms." + std::to_string(getpid());
  std::ofstream(path) << text;
  std::array<unsigned long long, 9> wakers{};
  find_wakers(wakers, path);
  unlink(path.c_str());
  return wakers;
}

TEST(Wakers, AreFoundByTheirWholeNames) {
  const auto wakers = found_in(
      "ffffffff8122be70 t io_poll_wake.cold\n"
      "ffffffff813b4d30 T default_wake_function\n"
      "ffffffff813db980 T woken_wake_function\n"
      "ffffffff813def00 T autoremove_wake_function\n"
      "ffffffff816f6d00 t pollwake\n"
      "ffffffff816f6d80 t pollwake_other\n"
      "ffffffff81750750 t ep_poll_callback.isra.0\n"
      "ffffffff81b93be0 t io_poll_wake\n"
      "ffffffff81e9b640 t receiver_wake_function\n"
      "ffffffffc0001000 t pollwake\t[module]\n");
  EXPECT_EQ(wakers[0], 0xffffffff81750750U);
  EXPECT_EQ(wakers[1], 0xffffffff816f6d00U);
  EXPECT_EQ(wakers[2], 0xffffffff81b93be0U);
  EXPECT_EQ(wakers[3], 0U);
  EXPECT_EQ(wakers[4], 0U);
  EXPECT_EQ(wakers[5], 0xffffffff813db980U);
  EXPECT_EQ(wakers[6], 0xffffffff813def00U);
  EXPECT_EQ(wakers[7], 0xffffffff81e9b640U);
  EXPECT_EQ(wakers[8], 0xffffffff813b4d30U);
}

TEST(Wakers, HiddenOrMissingOnesAreNone) {
  const auto hidden = found_in("0000000000000000 t pollwake\n\nrubbish\n1 t\n");
  for (const auto address : hidden) EXPECT_EQ(address, 0U);
  std::array<unsigned long long, 9> wakers{};
  find_wakers(wakers, "/nonexistent/kallsyms");
  for (const auto address : wakers) EXPECT_EQ(address, 0U);
}

TEST(Wakers, AJiffyIsOneOfTheKernelsFour) {
  const std::uint32_t tick = tick_ns();
  EXPECT_TRUE(tick == 10'000'000 || tick == 4'000'000 || (tick >= 3'333'333 && tick <= 3'333'334) || tick == 1'000'000)
      << tick;
}

}  // namespace
}  // namespace sockleak
