#include "runtime/go/findings/idle_pools.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace sockleak {
namespace {

Stack stack_of(std::initializer_list<const char*> functions) {
  Stack stack;
  for (const char* function : functions) {
    Frame& frame = stack.frames.emplace_back();
    frame.function = function;
    frame.kind = FrameKind::kGo;
  }
  return stack;
}

TEST(IdlePools, AConnectionOfNetHttpWaitsForItsNextAnswer) {
  EXPECT_TRUE(waits_in_pool(stack_of({"syscall.Read", "net/http.(*persistConn).Read", "bufio.(*Reader).fill",
                                      "bufio.(*Reader).Peek", "net/http.(*persistConn).readLoop", "runtime.goexit"})));
  EXPECT_TRUE(waits_in_pool(stack_of({"syscall.Read", "net/http.(*http2ClientConn).readLoop", "runtime.goexit"})));
}

TEST(IdlePools, WhoReadsAnAnswerDoesNotWaitInThePool) {
  EXPECT_FALSE(waits_in_pool(stack_of({"syscall.Read", "bufio.(*Reader).Peek", "net/http.ReadResponse",
                                       "net/http.(*persistConn).readLoop", "runtime.goexit"})));
  EXPECT_FALSE(waits_in_pool(stack_of({"syscall.Read", "bufio.(*Reader).Peek", "main.main", "runtime.goexit"})));
  EXPECT_FALSE(waits_in_pool(stack_of({"net/http.(*persistConn).readLoop"})));
  EXPECT_FALSE(waits_in_pool({}));
}

}  // namespace
}  // namespace sockleak
