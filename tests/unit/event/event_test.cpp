// Names and addresses as the report prints them.
#include "event/event.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

TEST(Event, StatesHaveTheKernelsNames) {
  EXPECT_STREQ(to_string(TcpState::kCloseWait), "CLOSE_WAIT");
  EXPECT_STREQ(to_string(TcpState::kEstablished), "ESTABLISHED");
  EXPECT_STREQ(to_string(TcpState::kNewSynRecv), "NEW_SYN_RECV");
  EXPECT_STREQ(to_string(static_cast<TcpState>(77)), "UNKNOWN");
}

TEST(Event, ProtocolsAndClosesHaveTheReportsNames) {
  EXPECT_STREQ(to_string(Protocol::kTcp), "tcp");
  EXPECT_STREQ(to_string(Protocol::kMptcp), "mptcp");
  EXPECT_STREQ(to_string(static_cast<Protocol>(77)), "none");
  EXPECT_STREQ(to_string(CloseHow::kCall), "close");
  EXPECT_STREQ(to_string(CloseHow::kExec), "exec");
}

TEST(Event, EndpointsReadAsUsersWriteThem) {
  Endpoint four{Family::kInet, {10, 0, 0, 9}, 5432};
  EXPECT_EQ(address_text(four), "10.0.0.9");
  EXPECT_EQ(to_string(four), "10.0.0.9:5432");
  Endpoint six{Family::kInet6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 443};
  EXPECT_EQ(address_text(six), "2001:db8::1");
  EXPECT_EQ(to_string(six), "[2001:db8::1]:443");
  EXPECT_EQ(to_string(Endpoint{}), "");
  EXPECT_EQ(to_string(Endpoint{Family::kUnix, {}, 0}), "");
}

}  // namespace
}  // namespace sockleak
