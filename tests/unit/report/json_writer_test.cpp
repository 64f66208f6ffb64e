#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "report/writers.hpp"
#include "unit/report/sample_report.hpp"

namespace sockleak {
namespace {

using nlohmann::json;

json parsed(const Report& report) {
  return json::parse(write_json(report));
}

TEST(JsonWriter, WritesACleanReportByteForByte) {
  Report report = sample::clean_report();
  report.counters.set(Counter::stacks_lost, 3);
  EXPECT_EQ(write_json(report), R"({
  "schema": "sockleak.report/1",
  "tool": {
    "version": "0.1.0"
  },
  "host": {
    "kernel": "6.18.0",
    "arch": "x86_64",
    "boot_id": "11111111-2222-3333-4444-555555555555"
  },
  "target": {
    "kind": "pid",
    "pids": [
      812
    ]
  },
  "window": {
    "start": "2030-01-01T00:00:00Z",
    "end": "2030-01-01T00:01:00Z",
    "seconds": 60.0
  },
  "hooks": {
    "create": "cgroup/sock_create",
    "state": "tp_btf/inet_sock_set_state"
  },
  "completeness": {
    "complete": true,
    "counters": {
      "stacks_lost": 3
    }
  },
  "totals": {
    "created": 11902,
    "closed": 11850,
    "open": 52,
    "leaked": 0,
    "ownerless": 0
  },
  "open_by": {
    "listening": 0,
    "in_use": 0,
    "pooled": 0,
    "kept": 0,
    "undecided": 0
  },
  "findings": [],
  "ownerless": [],
  "ports": [],
  "limits": [],
  "other_families": []
}
)");
}

TEST(JsonWriter, ListsSitesWithoutEvidenceWithoutAVerdict) {
  Report report = sample::clean_report();
  EXPECT_FALSE(parsed(report).contains("sites"));
  ReportFinding quiet = sample::finding();
  quiet.finding.evidence.clear();
  report.sites = {sample::finding(), quiet};
  const json sites = parsed(report)["sites"];
  ASSERT_EQ(sites.size(), 2U);
  EXPECT_EQ(sites[0]["verdict"], "leak");
  EXPECT_TRUE(sites[1]["verdict"].is_null());
  EXPECT_EQ(sites[0]["created_at"], sites[1]["created_at"]);
}

TEST(JsonWriter, WritesNullForWhatACutRecordingDoesNotTell) {
  Report report = sample::clean_report();
  report.host = {};
  report.window = {};
  EXPECT_TRUE(parsed(report)["host"]["kernel"].is_null());
  EXPECT_TRUE(parsed(report)["window"]["start"].is_null());
}

TEST(JsonWriter, WritesAFindingFieldForField) {
  Report report = sample::report();
  ReportFinding& finding = report.findings[0];
  finding.created_at.frames.resize(2);
  finding.closed_at[0].stack = {{}, true, "user memory was not readable"};
  finding.sockets.resize(1);
  EXPECT_EQ(parsed(report)["findings"], json::parse(R"json([{
    "site": "0123456789abcdef", "verdict": "leak", "confidence": 0.98,
    "created": 4849, "closed": 4812, "leaked": 37,
    "rules": [{"rule": "close-wait", "evidence": "35 sockets ≥ 10 s, oldest 48 s"},
              {"rule": "growth", "evidence": "rose in 6 windows of 5 s"}],
    "protocol": "tcp", "origin": "connect",
    "states": {"CLOSE_WAIT": 35, "ESTABLISHED": 2},
    "peers": [{"address": "10.0.0.9", "port": 5432, "count": 37}],
    "creators": [{"pid": 812, "tid": 815, "comm": "orders", "thread": "worker-3", "exe": "/srv/orders",
                  "cgroup": null, "container": null, "goroutine": null, "count": 37}],
    "created_at": {"frames": [
      {"function": "connect", "file": null, "line": null, "column": null,
       "module": "/lib/x86_64-linux-gnu/libc.so.6", "build_id": null, "offset": "0x10e3f7", "inlined": false,
       "kind": "native"},
      {"function": "db::connect(Url const&)", "file": "src/db/pool.cc", "line": 88, "column": null,
       "module": "/srv/orders", "build_id": "c0ffee", "offset": "0x1058", "inlined": false, "kind": "native"
}],
      "truncated": false, "why": null
}
, "closed_at" : [ {
  "count" : 4812,
  "how" : "close",
  "stack" : {"frames" : [], "truncated" : true, "why" : "user memory was not readable"}
} ],
                "last_touched_at" : [],
                                    "sockets"
    : [ {
      "cookie" : 1,
      "protocol" : "tcp",
      "state" : "CLOSE_WAIT",
      "local" : {"address" : "10.0.0.1", "port" : 40000},
      "remote" : {"address" : "10.0.0.9", "port" : 5432},
      "netns" : 4026531840,
      "inode" : 90001,
      "age_s" : 48.0,
      "idle_s" : null,
      "rx_bytes" : 1,
      "tx_bytes" : 1234,
      "holders" : [ {"pid" : 812, "tid" : 812, "comm" : "orders", "fd" : 19, "via" : "fd", "cloexec" : false,
                      "handed_over" : null} ]
    } ]
}])json"));
}

TEST(JsonWriter, SaysHowASocketWasUsedIfThatIsKnown) {
  Report report = sample::report();
  SocketUse& use = report.findings[0].sockets[0].use;
  const auto written = [&report] { return parsed(report)["findings"][0]["sockets"][0]; };
  EXPECT_FALSE(written().contains("unread_bytes"));
  use.facts.known = true;
  json socket = written();
  EXPECT_EQ(socket["idle_s"], nullptr);
  EXPECT_EQ(socket["unread_bytes"], 0);
  EXPECT_EQ(socket["end_read"], nullptr);
  EXPECT_EQ(socket["waiter"], nullptr);
  EXPECT_EQ(socket["dwell_s"], nullptr);
  EXPECT_EQ(socket["uses"], nullptr);
  use.idle_s = 12.5;
  use.dwell_s = 3;
  use.counted_s = 40;
  use.facts.unread = 512;
  use.facts.end_read = false;
  use.facts.waiter = Waiter::kEpoll;
  use.facts.uses = {.since = KernelTime{1}, .bursts = 3, .first = {}, .last = {}, .longest_gap = std::chrono::seconds(7)};
  socket = written();
  EXPECT_EQ(socket["idle_s"], 12.5);
  EXPECT_EQ(socket["unread_bytes"], 512);
  EXPECT_EQ(socket["end_read"], false);
  EXPECT_EQ(socket["waiter"], "epoll");
  EXPECT_EQ(socket["dwell_s"], 3);
  EXPECT_EQ(socket["uses"], json::parse(R"({"since_s": 40, "bursts": 3, "longest_gap_s": 7})"));
}

TEST(JsonWriter, OmitsAListenerThatIsNotKnown) {
  Report report = sample::report();
  EXPECT_FALSE(parsed(report)["findings"][0].contains("listener_created_at"));
  report.findings[0].listener_created_at = Stack{};
  EXPECT_TRUE(parsed(report)["findings"][0].contains("listener_created_at"));
}

TEST(JsonWriter, NamesTheGroupThatWasWatched) {
  Report report = sample::clean_report();
  report.target = {.kind = "cgroup", .pids = {5}, .path = "/x", .command = {}, .exit_status = {}};
  EXPECT_EQ(parsed(report)["target"], json::parse(R"({"kind": "cgroup", "pids": [5], "path": "/x"})"));
  report.target = {.kind = "container", .pids = {5}, .path = "/docker/3f2a", .id = "3f2a", .command = {}, .exit_status = {}};
  EXPECT_EQ(parsed(report)["target"],
            json::parse(R"({"kind": "container", "pids": [5], "id": "3f2a", "path": "/docker/3f2a"})"));
  report.findings = {sample::finding()};
  report.findings[0].creators[0].cgroup = "/docker/3f2a";
  report.findings[0].creators[0].container = "3f2a";
  const json creator = parsed(report)["findings"][0]["creators"][0];
  EXPECT_EQ(creator["cgroup"], "/docker/3f2a");
  EXPECT_EQ(creator["container"], "3f2a");
}

TEST(JsonWriter, TellsHowACommandEnded) {
  Report report = sample::clean_report();
  report.target = {.kind = "command", .pids = {5}, .command = {"./a", "b c"}, .exit_status = 3};
  EXPECT_EQ(parsed(report)["target"],
            json::parse(R"({"kind": "command", "pids": [5], "command": ["./a", "b c"], "exit_status": 3})"));
  report.target.exit_status.reset();
  EXPECT_TRUE(parsed(report)["target"]["exit_status"].is_null());
}

TEST(JsonWriter, NeverCallsLossyDataComplete) {
  Report report = sample::clean_report();
  report.counters.set(Counter::events_lost, 12);
  report.complete = true;
  EXPECT_EQ(parsed(report)["completeness"], json::parse(R"({"complete": false, "counters": {"events_lost": 12}})"));
}

TEST(JsonWriter, RoundsAndKeepsNumbersFinite) {
  Report report = sample::report();
  const auto confidence = [&](double value) {
    report.findings[0].finding.confidence = value;
    return parsed(report)["findings"][0]["confidence"].get<double>();
  };
  EXPECT_EQ(confidence(0.98765), 0.99);
  EXPECT_EQ(confidence(1.7), 1.0);
  EXPECT_EQ(confidence(-0.001), 0.0);
  EXPECT_FALSE(std::signbit(confidence(-0.001)));
  EXPECT_EQ(confidence(std::numeric_limits<double>::quiet_NaN()), 0.0);
  report.findings[0].sockets[0].age_s = 1.23456;
  EXPECT_EQ(parsed(report)["findings"][0]["sockets"][0]["age_s"], 1.235);
}

TEST(JsonWriter, KeepsSixtyFourBitNumbers) {
  Report report = sample::report();
  report.findings[0].sockets[0].record.id.value = std::numeric_limits<std::uint64_t>::max();
  EXPECT_NE(write_json(report).find("\"cookie\": 18446744073709551615,"), std::string::npos);
}

TEST(JsonWriter, GivesTheSameBytesForTheSameReport) {
  EXPECT_EQ(write_json(sample::report()), write_json(sample::report()));
}

TEST(JsonWriter, EmitsOnlyPrintableAsciiWhateverProgramsAreCalled) {
  const std::string out = write_json(sample::hostile_report());
  for (const char c : out) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7F)) << static_cast<int>(c);
  EXPECT_EQ(out.back(), '\n');
  const json frames = json::parse(out)["findings"][0]["created_at"]["frames"];
  EXPECT_EQ(frames[0]["function"], "\x1b]0;owned\x07\n\u009b2J\uFFFD\uFFFD\uFFFD\uFFFD\u202e\"\\</script>");
}

TEST(JsonWriter, TellsOfGoroutines) {
  Report report = sample::report();
  ReportFinding& finding = report.findings[0];
  const Stack statement{{sample::frame("main.main", "main.go", 9)}, false, {}};
  EXPECT_FALSE(parsed(report)["findings"][0].contains("goroutine_created_at"));
  finding.creators[0].goroutine = 77;
  finding.creators[0].goroutines = 1;
  finding.goroutine_created_at = statement;
  finding.goroutine_ancestors = {{0, true, statement, 0}, {1, false, statement, 0}};
  const json out = parsed(report)["findings"][0];
  EXPECT_EQ(out["creators"][0]["goroutine"], 77);
  EXPECT_FALSE(out["creators"][0].contains("goroutines"));
  EXPECT_EQ(out["goroutine_created_at"]["frames"][0]["function"], "main.main");
  ASSERT_EQ(out["goroutine_ancestors"].size(), 2U);
  EXPECT_EQ(out["goroutine_ancestors"][0]["goroutine"], nullptr);
  EXPECT_EQ(out["goroutine_ancestors"][0]["exact"], true);
  EXPECT_EQ(out["goroutine_ancestors"][1]["goroutine"], 1);
  EXPECT_EQ(out["goroutine_ancestors"][1]["exact"], false);
  finding.creators[0].goroutine = 0;
  finding.creators[0].goroutines = 12;
  EXPECT_EQ(parsed(report)["findings"][0]["creators"][0]["goroutines"], 12);
}

}  // namespace
}  // namespace sockleak
