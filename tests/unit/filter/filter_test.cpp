#include "filter/filter.hpp"

#include <gmock/gmock.h>

namespace sockleak {
namespace {

using namespace std::chrono_literals;

Endpoint ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port) {
  return {Family::kInet, {a, b, c, d}, port};
}

/// 10.0.0.1:40000 -> 10.1.2.9:5432, CLOSE_WAIT, held by orders (812).
FilterSubject subject() {
  FilterSubject socket;
  socket.socket = SocketId{77};
  socket.inode = 1234;
  socket.protocol = Protocol::kTcp;
  socket.state = TcpState::kCloseWait;
  socket.addresses = {ipv4(10, 0, 0, 1, 40000), ipv4(10, 1, 2, 9, 5432), Protocol::kTcp};
  socket.netns = NetnsId{4026531840};
  socket.at_least_old = 30s;
  socket.ownerless = false;
  socket.holders = {{Pid{812}, Pid{815}, "orders", "/system.slice/orders.service"}};
  return socket;
}

bool matches(std::string_view text, const FilterSubject& socket = subject()) {
  auto filter = Filter::parse(text);
  EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().what);
  return filter && filter->matches(socket);
}

TEST(Filter, WordsOfSsMeanWhatTheyMeanThere) {
  for (const char* text : {"", "state close-wait", "state CLOSE_WAIT", "exclude established", "state connected",
                           "src 10.0.0.1", "src 10.0.0.0/8", "dst 10.1.2.9:5432", "dst 10.1.0.0/16:5432", "dst :5432",
                           "dst *:5432", "src 10.0.0.1:*", "sport = :40000", "sport > 1024", "sport gt :1024",
                           "dport :5432", "dport eq 5432", "dport>=5432", "dst != 10.1.2.8", "src 0.0.0.0/0",
                           "( state listening or state close-wait ) and dport = :5432", "! state established",
                           "not ( sport :22 or sport :80 )", "sport 40000 dport 5432", "state big", "proto tcp"}) {
    EXPECT_TRUE(matches(text)) << text;
  }
  for (const char* text : {"state established", "exclude close-wait", "src 10.0.0.2", "src 10.0.0.128/25", "dst :5433",
                           "sport < 1024", "state bucket", "state listening or state established", "not dport 5432",
                           "dport 5432 and sport 1", "proto udp", "family inet6", "dst ::/0", "src != 10.0.0.0/8"}) {
    EXPECT_FALSE(matches(text)) << text;
  }
}

TEST(Filter, AndBindsTighterThanOr) {
  EXPECT_TRUE(matches("dport 5432 or sport 1 and sport 2"));
  EXPECT_FALSE(matches("( dport 5432 or sport 1 ) and sport 2"));
}

TEST(Filter, KnowsHoldersAgeAndCause) {
  for (const char* text : {"pid 812", "pid = 815", "pid != 1", "comm orders", "comm ord*", "comm != x",
                           "cgroup /system.slice", "cgroup /system.slice/", "cgroup */orders.service",
                           "netns 4026531840", "age 30s", "age > 29s", "age >= 30s", "not ownerless", "cookie 77",
                           "inode 1234"}) {
    EXPECT_TRUE(matches(text)) << text;
  }
  for (const char* text : {"pid 1", "pid != 812", "comm order", "comm != ord*", "cgroup /system", "netns 1", "age > 30s",
                           "age < 10s", "ownerless", "cause orphan", "cookie 78"}) {
    EXPECT_FALSE(matches(text)) << text;
  }
}

TEST(Filter, NeverMatchesByIgnorance) {
  FilterSubject socket = subject();
  socket.at_least_old.reset();
  socket.ownerless.reset();
  socket.netns.reset();
  socket.holders_known = false;
  for (const char* text : {"age > 1s", "not age > 1s", "age < 1h", "ownerless", "not ownerless", "netns 1", "netns != 1",
                           "pid != 812", "pid 5", "not pid 5", "not comm x", "cause orphan", "cause != orphan"}) {
    EXPECT_FALSE(matches(text, socket)) << text;
  }
  EXPECT_TRUE(matches("age > 1s or dport 5432", socket));
  EXPECT_TRUE(matches("pid 812", socket));
}

TEST(Filter, AnUpperBoundOfTheAgeMakesItYoung) {
  FilterSubject socket = subject();
  socket.at_least_old = 1s;
  socket.at_most_old = 5s;
  EXPECT_TRUE(matches("age < 6s", socket));
  EXPECT_TRUE(matches("not age > 5s", socket));
  EXPECT_FALSE(matches("age < 3s", socket));
}

TEST(Filter, CausesAreNames) {
  FilterSubject socket = subject();
  socket.ownerless = true;
  socket.cause = "accept-queue";
  socket.holders.clear();
  EXPECT_TRUE(matches("ownerless and cause accept-queue", socket));
  EXPECT_TRUE(matches("cause accept*", socket));
  EXPECT_FALSE(matches("cause orphan", socket));
  EXPECT_FALSE(matches("cause != accept-queue", socket));
}

TEST(Filter, Ipv6AddressesTakeBracketsWithAPort) {
  FilterSubject socket = subject();
  socket.addresses.local = {Family::kInet6, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 22};
  socket.addresses.remote = {Family::kInet6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}, 80};
  for (const char* text : {"src 2001:db8::1", "src [2001:db8::1]:22", "src 2001:db8::/32", "src [2001:db8::]/32:22",
                           "src [2001:db8::/32]:22", "dst 192.0.2.0/24", "dst ::ffff:192.0.2.7", "family inet6"}) {
    EXPECT_TRUE(matches(text, socket)) << text;
  }
  EXPECT_FALSE(matches("src [2001:db8::1]:23", socket));
  EXPECT_FALSE(matches("src ::1", socket));
}

TEST(Filter, SaysWhichWordItDoesNotUnderstand) {
  for (const char* text : {"colour red", "state", "state blue", "src 10.0.0.1/33", "src example.org", "sport",
                           "sport 70000", "sport :", "age", "age = 3s", "age soon", "pid x", "pid -1", "( sport 1",
                           "sport 1 )", "and", "sport 1 and", "not", "src [::1", "src [10.0.0.1]:2", "or sport 1",
                           "comm > a", "proto ftp", "family ours", "netns 4294967296", "state = = x", "cause stuk-exit"}) {
    const auto filter = Filter::parse(text);
    ASSERT_FALSE(filter) << text;
    EXPECT_EQ(filter.error().kind, ErrorKind::kUsage) << text;
    EXPECT_FALSE(filter.error().hint.empty()) << text;
  }
  EXPECT_THAT(Filter::parse("colour red").error().what, testing::HasSubstr("'colour'"));
}

TEST(Filter, DepthAndLengthAreBounded) {
  EXPECT_FALSE(Filter::parse(std::string(100000, '(')));
  std::string nots;
  for (int i = 0; i < 3000; ++i) nots += "not ";
  EXPECT_FALSE(Filter::parse(nots + "ownerless"));
  std::string many = "sport 1";
  for (int i = 0; i < 10000; ++i) many += " or sport 1";
  EXPECT_FALSE(Filter::parse(many));
}

TEST(Filter, TellsWhichWordsItUses) {
  const auto filter = Filter::parse("not ( state established or pid 3 )");
  ASSERT_TRUE(filter);
  EXPECT_TRUE(filter->mentions("state"));
  EXPECT_TRUE(filter->mentions("pid"));
  EXPECT_FALSE(filter->mentions("ownerless"));
  EXPECT_FALSE(filter->is_empty());
  EXPECT_TRUE(Filter::parse(" ")->is_empty());
}

}  // namespace
}  // namespace sockleak
