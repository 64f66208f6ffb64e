// What people read: sections, what is left out, and limits.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>
#include <unordered_map>

#include "scan/cause.hpp"
#include "scan/close_wait.hpp"
#include "scan/scan_report.hpp"
#include "scan/socket_index.hpp"
#include "scan/text_lines.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ScanSocket held(std::uint16_t port, TcpState state, std::uint32_t pid, std::uint32_t netns = 7) {
  ScanSocket socket;
  socket.cookie = SocketId{1000U + port};
  socket.state = state;
  socket.addresses = {{Family::kInet, {10, 0, 0, 1}, port}, {Family::kInet, {10, 0, 0, 2}, 5432}, Protocol::kTcp};
  socket.netns = NetnsId{netns};
  socket.has_socket = socket.has_file = socket.has_port = true;
  socket.holders.push_back({Via::kDescriptor, Pid{pid}, Pid{pid}, Fd{7}, false, false, "orders", 2});
  return socket;
}

ScanReport report_of(std::vector<ScanSocket> sockets) {
  ScanReport report;
  report.snapshot.through_bpf = true;
  report.snapshot.sockets = std::move(sockets);
  for (const std::uint32_t id : {7U, 8U}) {
    NetworkNamespace facts;
    facts.id = NetnsId{id};
    facts.name = id == 7 ? "" : "blue";
    facts.first_port = 40000;
    facts.last_port = 40999;
    facts.settings = {{"net.ipv4.tcp_tw_reuse", id == 7 ? "2" : "1", ""}, {"net.ipv4.tcp_max_orphans", "5", "3"}};
    report.snapshot.namespaces.push_back(facts);
  }
  find_causes(report.snapshot);
  for (std::size_t i = 0; i < report.snapshot.sockets.size(); ++i) report.selected.push_back(i);
  report.ports = measure_ports(report.snapshot);
  return report;
}

std::string text_of(const ScanReport& report) { return write_scan_text(report, {}); }

OtherSocket other(std::uint16_t family, std::uint32_t pid, const char* comm) {
  OtherSocket socket{family, SocketId{0}, {}};
  socket.holders.push_back({Via::kDescriptor, Pid{pid}, Pid{pid}, Fd{9}, false, false, comm, 2});
  return socket;
}

TEST(ScanText, FamiliesThatAreNotJudgedAreCounted) {
  ScanReport report = report_of({});
  for (int i = 0; i < 3; ++i) report.snapshot.others.push_back(other(1, 812, "orders"));
  report.snapshot.others.push_back(other(16, 812, "orders"));
  report.snapshot.others.push_back(other(16, 813, "proxy"));
  report.selected_others = {0, 1, 2, 3};
  std::string text = text_of(report);
  EXPECT_THAT(text, HasSubstr("\n4 sockets of families that are not judged: 3 unix, 1 netlink · held by orders (812)\n"));
  EXPECT_THAT(text, HasSubstr("\nno socket of an internet family · "));
  report.selected_others.push_back(4);
  text = text_of(report);
  EXPECT_THAT(text, HasSubstr("5 sockets of families that are not judged: 3 unix, 2 netlink · held by orders (812) 4, proxy (813) 1"));
  std::string json;
  const auto keep = [&](std::string_view piece) -> Result<void> { json += piece; return {}; };
  ASSERT_TRUE(write_scan_json(report, keep));
  const auto others = nlohmann::json::parse(json)["other_families"];
  EXPECT_EQ(others["count"], 5);
  EXPECT_EQ(others["families"][0]["family"], "unix");
  EXPECT_EQ(others["families"][1]["count"], 2);
  EXPECT_EQ(others["holders"][0]["pid"], 812);
}

TEST(ScanText, AFullTableOfDescriptorsSaysWhatIsInIt) {
  ScanReport report = report_of({});
  report.snapshot.descriptors = {{Pid{812}, "orders", 900, 1000}};
  for (int i = 0; i < 60; ++i) report.snapshot.others.push_back(other(1, 812, "orders"));
  EXPECT_THAT(text_of(report), HasSubstr("orders (812)  900 of 1 000, among them 60 unix sockets"));
}

TEST(ScanText, FiltersMeanOtherFamiliesByHolderAndFamily) {
  const OtherSocket socket = other(1, 812, "orders");
  for (const char* filter : {"pid = 812", "comm orders", "family unix", "not comm nginx"}) {
    EXPECT_TRUE(Filter::parse(filter)->matches(subject_of(socket, true, {}))) << filter;
  }
  for (const char* filter : {"pid = 1", "state close-wait", "exclude close-wait", "sport = :80", "ownerless", "proto tcp"}) {
    EXPECT_FALSE(Filter::parse(filter)->matches(subject_of(socket, true, {}))) << filter;
  }
}

TEST(ScanText, CloseWaitIsToldByHolderAndAge) {
  std::vector<ScanSocket> sockets;
  const Duration ages[] = {2h, 30min, 30min, 5s};
  for (std::uint16_t i = 0; i < 4; ++i) {
    sockets.push_back(held(static_cast<std::uint16_t>(50000 + i), TcpState::kCloseWait, 812));
    sockets.back().since_peer = ages[i];
  }
  const ScanReport report = report_of(std::move(sockets));
  EXPECT_THAT(text_of(report), AllOf(HasSubstr("CLOSE_WAIT  4 sockets"), HasSubstr("orders (812)  4 ·"),
                                     HasSubstr("1 for at least 1 h, 2 for at least 10 min, 1 for less"),
                                     HasSubstr("oldest 2 h"), HasSubstr("sockleak trace -p 812")));
  const auto groups = close_wait_by_holder(report);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].oldest, Duration(2h));
}

TEST(ScanText, AFewPortsInUseAreEverydayLife) {
  ScanSocket listener = held(40001, TcpState::kListen, 812);
  listener.blocks_port = true;
  std::vector<ScanSocket> sockets{listener};
  EXPECT_THAT(text_of(report_of(sockets)), Not(HasSubstr("PORTS")));
  for (std::uint16_t port = 40002; port < 40012; ++port) sockets.push_back(held(port, TcpState::kEstablished, 812));
  EXPECT_THAT(text_of(report_of(sockets)),
              AllOf(HasSubstr("PORTS  network namespace 7, ephemeral 40000-40999"), HasSubstr("11 of 1 000 (1 %)")));
}

TEST(ScanText, WhatIsNotOwnerlessIsNotFiledUnderIt) {
  ScanSocket kernel = held(50000, TcpState::kEstablished, 812);
  kernel.holders.clear();
  kernel.kernel = true;
  EXPECT_THAT(text_of(report_of({kernel})), AllOf(HasSubstr("OWNERLESS  0 sockets"), HasSubstr("KERNEL  1 socket")));
  ScanReport report = report_of({});
  report.snapshot.sockets = {held(50000, TcpState::kEstablished, 812)};
  report.snapshot.sockets[0].holders.clear();
  report.snapshot.hidden_processes = 1;
  find_causes(report.snapshot);
  report.selected = {0};
  EXPECT_THAT(text_of(report), AllOf(HasSubstr("OWNERLESS  0 sockets"), HasSubstr("HIDDEN  1 socket")));
}

TEST(ScanText, SettingsOfOtherNamespacesAreToldWhereTheyDiffer) {
  EXPECT_THAT(text_of(report_of({})), AllOf(HasSubstr("net.ipv4.tcp_max_orphans = 5 (3 in use)"),
                                            HasSubstr("in network namespace 8 of blue: net.ipv4.tcp_tw_reuse = 1\n")));
}

TEST(ScanText, ControlBytesOfNamesDoNotReachTheTerminal) {
  ScanSocket socket = held(50000, TcpState::kCloseWait, 812);
  socket.holders[0].comm = "\033[2Jevil";
  socket.since_peer = 1s;
  EXPECT_THAT(text_of(report_of({socket})), AllOf(Not(HasSubstr("\033")), HasSubstr("evil")));
}

TEST(ScanReport, AFilterLeavesTheGaugesOfWhatItMeans) {
  ScanReport report = report_of({held(40001, TcpState::kEstablished, 812), held(40001, TcpState::kEstablished, 813, 8)});
  report.snapshot.descriptors = {{Pid{812}, "orders", 90, 100}, {Pid{813}, "other", 90, 100}};
  report.selected = {1};
  keep_gauges_of_selected(report);
  ASSERT_EQ(report.ports.size(), 1U);
  EXPECT_EQ(report.ports[0].netns, NetnsId{8});
  ASSERT_EQ(report.snapshot.descriptors.size(), 1U);
  EXPECT_EQ(report.snapshot.descriptors[0].pid, Pid{813});
  EXPECT_THAT(text_of(report), HasSubstr("SETTINGS  of network namespace 8 of blue"));
}

TEST(ScanReport, LimitsAreExceededOrKeptOrCannotBeChecked) {
  ScanReport report = report_of({held(50000, TcpState::kCloseWait, 812), held(50001, TcpState::kEstablished, 812)});
  check_limits(report, {{}, 1, 0});
  EXPECT_TRUE(report.exceeded.empty());
  EXPECT_TRUE(report.undecided.empty());
  check_limits(report, {{}, 0, {}});
  EXPECT_THAT(report.exceeded, testing::ElementsAre("1 socket in CLOSE_WAIT, more than 0"));
  report.exceeded.clear();
  report.snapshot.sockets[1].ownerless.reset();
  check_limits(report, {{}, {}, 0});
  EXPECT_TRUE(report.exceeded.empty());
  EXPECT_THAT(report.undecided, testing::ElementsAre(HasSubstr("1 socket whose holder cannot be seen")));
}

TEST(ScanJson, ComesInPiecesAndIsWholeTogether) {
  std::vector<ScanSocket> sockets;
  for (std::uint16_t i = 0; i < 2000; ++i) sockets.push_back(held(static_cast<std::uint16_t>(50000 + i), TcpState::kEstablished, 812));
  const ScanReport report = report_of(std::move(sockets));
  std::string whole;
  int pieces = 0;
  ASSERT_TRUE(write_scan_json(report, [&](std::string_view piece) -> Result<void> {
    whole += piece;
    ++pieces;
    return {};
  }));
  EXPECT_GT(pieces, 2);
  const auto parsed = nlohmann::json::parse(whole);
  EXPECT_EQ(parsed.at("sockets").size(), 2000U);
  EXPECT_EQ(parsed["sockets"][0]["local"]["address"], "10.0.0.1");
  const auto full = [](std::string_view) -> Result<void> { return fail(ErrorKind::kOutput, "the disk is full"); };
  EXPECT_FALSE(write_scan_json(report, full));
}

TEST(SocketIndex, KeepsWhatAMapWouldKeep) {
  SocketIndex index(0);
  std::unordered_map<std::uint64_t, std::size_t> map;
  std::mt19937_64 random(7);
  for (std::size_t place = 0; place < 20'000; ++place) {
    const std::uint64_t key = random() % 3 == 0 ? random() % 5'000 : random();
    EXPECT_EQ(index.insert(key, place), map.emplace(key, place).second);
  }
  for (const auto& [key, place] : map) EXPECT_EQ(index.find(key), std::optional(place));
  EXPECT_FALSE(index.find(~std::uint64_t{0}));
}

TEST(TextLines, LinesAreFoldedAtBlanksAndCountedInColumns) {
  TextLines lines(0);
  std::string text;
  for (int i = 0; i < 40; ++i) text += (i == 0 ? "" : " ") + std::string("wörd");
  lines.line(text, 2, 8);
  const std::string out = lines.take();
  const std::size_t first = out.find('\n');
  EXPECT_EQ(first, 116U + 23U) << "23 words of 4 columns and 5 bytes";
  EXPECT_EQ(out.substr(first, 12), "\n          w");
}

}  // namespace
}  // namespace sockleak
