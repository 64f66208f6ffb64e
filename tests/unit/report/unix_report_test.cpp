// How unix sockets are shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/writers.hpp"
#include "unit/report/sample_report.hpp"

namespace sockleak {
namespace {

using ::testing::HasSubstr;

Report unix_report(Origin origin, const UnixName& name) {
  Report report = sample::report();
  ReportFinding& finding = report.findings[0];
  finding.finding.site.protocol = Protocol::kUnix;
  finding.finding.site.origin = origin;
  finding.peers.clear();
  const std::string& path = name.path.empty() ? name.peer_path : name.path;
  if (!path.empty()) finding.paths = {{path, finding.sockets.size()}};
  for (ReportSocket& socket : finding.sockets) {
    socket.record.addresses = {{}, {}, Protocol::kUnix, SocketType::kStream};
    socket.name = name;
  }
  return report;
}

std::string headline(const Report& report) {
  const std::string text = write_text(report, {});
  return text.substr(0, text.find('\n'));
}

TEST(UnixReport, TheHeadlineSaysWhatTheyAreConnectedTo) {
  EXPECT_THAT(headline(unix_report(Origin::kSocket, {"", "/run/db.sock", SocketId{9}})), HasSubstr("UNIX stream to /run/db.sock"));
  EXPECT_THAT(headline(unix_report(Origin::kAccept, {"@bus", "", SocketId{9}})), HasSubstr("UNIX stream on @bus"));
  EXPECT_THAT(headline(unix_report(Origin::kSocketPair, {"", "", SocketId{9}})), HasSubstr("UNIX stream socketpair"));
}

TEST(UnixReport, PathsCannotSteerATerminal) {
  const std::string text = write_text(unix_report(Origin::kSocket, {"", "/\x1b[2J", {}}), {.color = false, .verbose = true, .top = 0});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(UnixReport, ASocketHasTypePathAndPeer) {
  const auto json = nlohmann::json::parse(write_json(unix_report(Origin::kSocket, {"", "/run/db.sock", SocketId{9}})));
  const auto& socket = json["findings"][0]["sockets"][0];
  EXPECT_EQ(socket["protocol"], "unix");
  EXPECT_EQ(socket["type"], "stream");
  EXPECT_EQ(socket["path"], nullptr);
  EXPECT_EQ(socket["peer_path"], "/run/db.sock");
  EXPECT_EQ(socket["peer"], 9);
  EXPECT_EQ(json["findings"][0]["peers"][0]["address"], "/run/db.sock");
  EXPECT_FALSE(nlohmann::json::parse(write_json(sample::report()))["findings"][0]["sockets"][0].contains("path"));
}

TEST(UnixReport, AnUnseenCloseHasNoPlace) {
  Report report = unix_report(Origin::kSocket, {});
  report.findings[0].closed_at = {{3, "unseen", {}, 0}};
  EXPECT_THAT(write_text(report, {}), HasSubstr("3 found gone, their close unseen"));
}

}  // namespace
}  // namespace sockleak
