#include "event/family.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace sockleak {
namespace {

TEST(Family, HasItsName) {
  EXPECT_EQ(family_name(AF_NETLINK), "netlink");
  EXPECT_EQ(family_name(AF_PACKET), "packet");
  EXPECT_EQ(family_name(AF_VSOCK), "vsock");
  EXPECT_EQ(family_name(AF_BLUETOOTH), "bluetooth");
  EXPECT_EQ(family_name(AF_ALG), "alg");
  EXPECT_EQ(family_name(AF_UNIX), "unix");
  EXPECT_EQ(family_name(AF_CAN), "can");
  EXPECT_EQ(family_name(AF_TIPC), "tipc");
  EXPECT_EQ(family_name(AF_XDP), "xdp");
  EXPECT_EQ(family_name(99), "family 99");
  EXPECT_EQ(family_number("netlink"), AF_NETLINK);
  EXPECT_EQ(family_number("family 99"), std::nullopt);
}

}  // namespace
}  // namespace sockleak
