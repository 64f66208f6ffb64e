// The instructions are those of PyGILState_GetThisThreadState in the builds named.
#include "runtime/python/interpreter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace sockleak {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(ThreadKeyAddress, OfASharedLibrary) {  // 3.9: mov ...(%rip),%rax; cmpq $0,0x240(%rax); je; lea 0x248(%rax),%rdi
  const auto code = bytes({0x48, 0x8b, 0x05, 0x21, 0x7b, 0x17, 0x00, 0x48, 0x83, 0xb8, 0x40, 0x02, 0x00, 0x00, 0x00, 0x74,
                           0x0f, 0x48, 0x8d, 0xb8, 0x48, 0x02, 0x00, 0x00});
  EXPECT_EQ(thread_key_address(code, 0x1dc1e0, 0x3acf60, 656), 0x3acf60U + 0x248);
}

TEST(ThreadKeyAddress, OfAProgramAtAFixedAddress) {  // Debian's 3.11.2: cmpq $0,...(%rip); je; mov ...(%rip),%edi
  const auto code = bytes({0x48, 0x83, 0x3d, 0x50, 0x3d, 0x56, 0x00, 0x00, 0x0f, 0x84, 0x1f, 0xc8, 0xf2, 0xff, 0x8b, 0x3d,
                           0x50, 0x3d, 0x56, 0x00, 0xe9, 0xa7, 0x8a, 0xf2, 0xff});
  EXPECT_EQ(thread_key_address(code, 0x4f7c30, 0xa5b740, 0x28b20), 0xa5b740U + 0x250);
}

TEST(ThreadKeyAddress, OfDebians314) {  // cmpl $0,...(%rip); je; mov $...,%edi; jmp
  const auto code = bytes({0xf3, 0x0f, 0x1e, 0xfa, 0x83, 0x3d, 0x3b, 0x49, 0x77, 0x00, 0x00, 0x74, 0x0a, 0xbf, 0xe0, 0x10,
                           0xba, 0x00, 0xe9, 0x7f, 0x2e, 0x11, 0x00, 0x31, 0xc0, 0xc3});
  EXPECT_EQ(thread_key_address(code, 0x42c79a, 0xba07c0, 0x50000), 0xba10e0U);
}

TEST(ThreadKeyAddress, OfNothingKnown) {
  EXPECT_EQ(thread_key_address(bytes({0x31, 0xc0, 0xc3, 0, 0, 0, 0, 0}), 0x1000, 0x2000, 0x100), 0U);
  EXPECT_EQ(thread_key_address({}, 0x1000, 0x2000, 0x100), 0U);
}

TEST(FindPython, IsNotInThisProgram) {
  ModuleStore modules;
  const ModuleId self = modules.add("self", UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  EXPECT_FALSE(find_python(modules.get(self)).has_value());
}

TEST(FindPython, IsInDebiansPython) {
  ModuleStore modules;
  UniqueFd fd(::open("/usr/bin/python3", O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) GTEST_SKIP() << "there is no /usr/bin/python3";
  const auto python = find_python(modules.get(modules.add("python3", std::move(fd))));
  ASSERT_TRUE(python.has_value());
  EXPECT_GE(python->minor, 8U);
  ASSERT_FALSE(python->loop.empty());
  EXPECT_LT(python->loop[0].begin, python->loop[0].end);
  EXPECT_EQ(python->at(0x1000).key, python->layout.key + 0x1000);
}

}  // namespace
}  // namespace sockleak
