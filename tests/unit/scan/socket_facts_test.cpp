// What a look says of a socket's use: from its queue and its state.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;

ScanSocket tcp(TcpState state, std::uint32_t queue) {
  ScanSocket socket;
  socket.addresses.protocol = Protocol::kTcp;
  socket.state = state;
  socket.receive_queue = queue;
  socket.queue_known = true;
  return socket;
}

TEST(ScanFacts, ThePeersEndIsNoByte) {
  EXPECT_EQ(unread(tcp(TcpState::kEstablished, 5)), 5U);
  EXPECT_EQ(end_read(tcp(TcpState::kEstablished, 5)), std::nullopt);
  for (const TcpState state : {TcpState::kCloseWait, TcpState::kLastAck, TcpState::kClosing}) {
    EXPECT_EQ(unread(tcp(state, 6)), 5U);
    EXPECT_EQ(end_read(tcp(state, 6)), false);
    EXPECT_EQ(unread(tcp(state, 1)), 0U);
    EXPECT_EQ(end_read(tcp(state, 1)), false);
    EXPECT_EQ(unread(tcp(state, 0)), 0U);
    EXPECT_EQ(end_read(tcp(state, 0)), true);
  }
}

TEST(ScanFacts, WhatHasNoQueueSaysNothing) {
  EXPECT_EQ(unread(tcp(TcpState::kListen, 0)), std::nullopt);
  ScanSocket socket = tcp(TcpState::kCloseWait, 0);
  socket.queue_known = false;
  EXPECT_EQ(unread(socket), std::nullopt);
  EXPECT_EQ(end_read(socket), std::nullopt);
}

TEST(ScanFacts, DatagramsHaveNoEnd) {
  ScanSocket socket = tcp(TcpState::kClose, 768);
  socket.addresses.protocol = Protocol::kUdp;
  EXPECT_EQ(unread(socket), 768U);
  EXPECT_EQ(end_read(socket), std::nullopt);
}

TEST(ScanFacts, DwellsInCloseWaitOnly) {
  ScanSocket socket = tcp(TcpState::kCloseWait, 1);
  EXPECT_EQ(dwell(socket), std::nullopt);
  socket.since_peer = 5s;
  EXPECT_EQ(dwell(socket), Duration(5s));
  socket.state = TcpState::kEstablished;
  EXPECT_EQ(dwell(socket), std::nullopt);
}

TEST(ScanFacts, AreInTheListAndInTheJson) {
  ScanReport report;
  ScanSocket socket = tcp(TcpState::kCloseWait, 8);
  socket.idle = 90s;
  socket.since_peer = 60s;
  socket.waiter = Waiter::kNobody;
  report.snapshot.sockets = {socket, tcp(TcpState::kListen, 0)};
  report.selected = {0, 1};
  std::string text;
  ASSERT_TRUE(write_scan_json(report, [&](std::string_view piece) -> Result<void> {
    text += piece;
    return {};
  }));
  const auto sockets = nlohmann::json::parse(text)["sockets"];
  EXPECT_EQ(sockets[0]["idle_s"], 90);
  EXPECT_EQ(sockets[0]["unread_bytes"], 7);
  EXPECT_EQ(sockets[0]["end_read"], false);
  EXPECT_EQ(sockets[0]["dwell_s"], 60);
  EXPECT_EQ(sockets[0]["waiter"], "nobody");
  for (const char* key : {"idle_s", "unread_bytes", "end_read", "dwell_s", "waiter"}) EXPECT_EQ(sockets[1][key], nullptr) << key;
  const std::string list = write_scan_text(report, {.list = true});
  EXPECT_NE(list.find("  7 bytes unread  end not read  for 1 min  waits: nobody"), std::string::npos) << list;
}

}  // namespace
}  // namespace sockleak
