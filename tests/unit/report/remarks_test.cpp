#include "report/remarks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/writers.hpp"
#include "unit/report/sample_report.hpp"

namespace sockleak {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Remarks, NameTheFamiliesThatAreNotFollowed) {
  Report report = sample::clean_report();
  EXPECT_THAT(remarks(report), IsEmpty());
  report.other_families = {{"netlink", 60}};
  EXPECT_THAT(remarks(report), ElementsAre("60 sockets of families that are not followed (netlink) were left open"));
  EXPECT_THAT(write_text(report, {}),
              EndsWith("data complete for what is followed\n"
                       "60 sockets of families that are not followed (netlink) were left open\n"));
  report.other_families = {{"netlink", 1000}, {"packet", 2}};
  EXPECT_THAT(remarks(report),
              ElementsAre("1 002 sockets of families that are not followed (1 000 netlink, 2 packet) were left open"));
  report.other_families = {{"vsock", 1}};
  EXPECT_THAT(remarks(report), ElementsAre("1 socket of a family that is not followed (vsock) was left open"));
  EXPECT_EQ(nlohmann::json::parse(write_json(report))["other_families"].dump(), R"([{"count":1,"family":"vsock"}])");
}

TEST(Remarks, TellOfPortsFromSixtyPercentOn) {
  Report report = sample::clean_report();
  report.ports = {{7, "10.0.0.1", "10.0.0.9", 5432, 59, 100}};
  EXPECT_THAT(write_text(report, {}), Not(HasSubstr("PORTS")));
  report.ports[0].used = 60;
  EXPECT_THAT(
      write_text(report, {}),
      HasSubstr("PORTS  60 % of the ephemeral ports (60 of 100) are used from 10.0.0.1 to 10.0.0.9:5432\n  remedy"));
  report.ports[0].remote_address = "fe80::1";
  EXPECT_THAT(write_text(report, {}), HasSubstr(" to [fe80::1]:5432"));
  const auto json = nlohmann::json::parse(write_json(report))["ports"];
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0].dump(), R"({"local_address":"10.0.0.1","netns":7,"percent":60.0,"range":100,)"
                            R"("remote":{"address":"fe80::1","port":5432},"used":60})");
}

TEST(Remarks, SayWhatCounts) {
  Report report = sample::clean_report();
  report.counting = ReportCounting{};
  EXPECT_THAT(remarks(report), IsEmpty()) << "the default needs no words";
  report.counting = ReportCounting{true, {"growth", "close-wait"}, 30, 0, 4, 12};
  EXPECT_THAT(remarks(report),
              ElementsAre("12 accused sockets were left out: opened before the warm-up of 30 s was over",
                          "4 sockets count for the exit status (--fail-on suspect --only growth,close-wait)"));
  const auto json = nlohmann::json::parse(write_json(report))["counting"];
  EXPECT_EQ(json["fail_on"], "suspect");
  EXPECT_EQ(json["counted"], 4);
  EXPECT_EQ(json["left_out"], 12);
}

}  // namespace
}  // namespace sockleak
