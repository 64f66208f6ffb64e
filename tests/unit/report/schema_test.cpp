// What write_json() writes is what docs/report.schema.json promises.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "report/writers.hpp"
#include "unit/report/sample_report.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;

constexpr int kNoJsonschema = 77;

/// A directory of this test alone, removed at its end.
class Schema : public testing::Test {
protected:
  Schema() {
    std::string pattern = testing::TempDir() + "sockleak-schema-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~Schema() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  void add(const std::string &name, const Report &report) {
    const fs::path path = directory_ / (name + ".json");
    std::ofstream(path) << write_json(report);
    files_ += " '" + path.string() + "'";
  }

  [[nodiscard]] int check() const {
    const fs::path here = fs::absolute(__FILE__).parent_path();
    const fs::path schema = here / "../../../docs/report.schema.json";
    const std::string command = "/usr/bin/python3 '" +
                                (here / "check_schema.py").string() + "' '" +
                                schema.string() + "'" + files_ + " > '" +
                                (directory_ / "out").string() + "' 2>&1";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  [[nodiscard]] std::string output() const {
    std::ifstream file(directory_ / "out");
    return {std::istreambuf_iterator<char>(file), {}};
  }

private:
  fs::path directory_;
  std::string files_;
};

TEST_F(Schema, DescribesWhatIsWritten) {
  add("clean", sample::clean_report());
  add("finding", sample::report());
  add("ownerless", sample::ownerless_report());
  add("hostile", sample::hostile_report());
  Report incomplete = sample::report();
  incomplete.counters.set(Counter::events_lost, 12);
  incomplete.target = {.kind = "command",
                       .pids = {7},
                       .command = {"./orders"},
                       .exit_status = {}};
  ReportFinding &before_attach = incomplete.findings[0];
  before_attach.finding.site.origin = Origin::kBeforeAttach;
  before_attach.finding.verdict = Verdict::kSuspect;
  before_attach.creators = {{}};
  before_attach.created_at = {{}, true, "opened before sockleak attached, or by a process that it does not watch"};
  before_attach.sockets[0].record = {};
  add("incomplete", incomplete);
  Report verbose = sample::report();
  verbose.host = {};  // as of a recording that was cut
  verbose.window = {};
  verbose.sites = {verbose.findings[0], verbose.findings[0]};
  verbose.sites->at(1).finding.evidence.clear();
  verbose.open_sockets = {{sample::socket(4, 7), "0123456789abcdef", ""}};
  verbose.open_sockets[0].socket.record.creator = {{Pid{812}, 5}, Pid{815}};
  add("verbose", verbose);
  Report unix_sockets = sample::report();
  unix_sockets.findings[0].sockets[0].record.addresses = {{}, {}, Protocol::kUnix, SocketType::kDatagram};
  unix_sockets.findings[0].sockets[0].name = UnixName{"", "/dev/log", SocketId{9}};
  unix_sockets.findings[0].paths = {{"/dev/log", 1}};
  unix_sockets.findings[0].closed_at = {{1, "unseen", {}, 0}};
  add("unix", unix_sockets);

  const int status = check();
  if (status == kNoJsonschema || status == 127)
    GTEST_SKIP() << output();
  EXPECT_EQ(status, 0) << output();
}

} // namespace
} // namespace sockleak
