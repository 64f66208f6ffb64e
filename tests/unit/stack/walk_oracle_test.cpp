// The rule walk against libdw's own unwinder on the same registers and bytes. Equal to the outermost frame, or the
// walk itself says why it is short and what it has is equal: nothing else passes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "stack/snapshot_unwinder.hpp"
#include "unit/stack/dwfl_oracle.hpp"
#include "unit/stack/traced_program.hpp"

namespace sockleak {
namespace {

constexpr Pid kPid{1};

struct Tally {
  std::uint64_t compared = 0, frames = 0;
  std::uint64_t flagged = 0;     // the walk says that it is short
  std::uint64_t guessed = 0;     // complete, with a rule that no table backs
  std::uint64_t unverified = 0;  // return addresses that follow no call
  std::uint64_t oracle_short = 0;
  std::map<WalkEnd, std::uint64_t> ends;
  std::map<int, std::uint64_t> kinds;  // SL_RULE_*
};

class Comparison {
 public:
  explicit Comparison(TracedProgram& program)
      : program_(program), compiler_(modules_), unwinder_(modules_, map_, compiler_) {}

  /// Takes the modules anew if the program's code mappings changed.
  void refresh() {
    auto lines = program_.code();
    if (lines == lines_) return;
    lines_ = std::move(lines);
    oracle_ = std::make_unique<DwflOracle>(program_.pid());
    ++now_.ns;
    map_.exec(kPid, now_);
    now_.ns += 1'000'000'000;
    for (const MapsLine& line : lines_) {
      const bool file = line.path.starts_with('/');
      ModuleId module = ModuleStore::kUnknown;
      const std::string bare = line.path + ".bare";  // what we shall read in its place
      const std::string& path = file && std::filesystem::exists(bare) ? bare : line.path;
      if (file) module = modules_.add(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
      map_.map(kPid, now_, {line.start, line.end, line.offset, module});
    }
  }

  /// False at the first stack that differs.
  bool compare(const StackSnapshot& snapshot, bool interrupted) {
    const auto& r = snapshot.registers;
    const StackCopy copy{.pc = r.rip,
                         .sp = r.rsp,
                         .bp = r.rbp,
                         .interrupted = interrupted,
                         .bytes = snapshot.bytes(),
                         .wanted = snapshot.bytes().size()};
    bool guessed = false;
    const auto mine = unwinder_.walk(kPid, now_, copy, 500, [&](std::uint64_t, const UnwindRule& rule) {
      ++tally.kinds[rule.kind];
      const auto source = static_cast<RuleSource>(rule.source);
      guessed |= source == RuleSource::kFramePointer || source == RuleSource::kLeaf || source == RuleSource::kPrologue;
    });
    auto truth = oracle_->walk(snapshot);
    ++tally.compared;
    tally.frames += mine.stack.frames.size();
    tally.unverified += mine.unverified;
    ++tally.ends[mine.stack.end];
    const bool complete = mine.stack.end == WalkEnd::kComplete;
    tally.flagged += complete ? 0 : 1;
    tally.guessed += complete && guessed ? 1 : 0;
    const auto& frames = mine.stack.frames;
    if (truth.frames.empty() || truth.frames[0] != r.rip)
      return report("libdw has no first frame", snapshot, frames, truth);
    truth.frames.erase(truth.frames.begin());
    if (!truth.complete && !truth.frames.empty() && truth.frames.back() == 0) truth.frames.pop_back();  // its guess
    const std::size_t both = std::min(frames.size(), truth.frames.size());
    if (!std::equal(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(both), truth.frames.begin())) {
      return report("frames differ", snapshot, frames, truth);
    }
    if (!truth.complete) ++tally.oracle_short;
    if (complete && truth.complete && frames.size() != truth.frames.size()) {
      return report("lengths differ", snapshot, frames, truth);
    }
    if (truth.complete && frames.size() > truth.frames.size()) return report("too long", snapshot, frames, truth);
    return true;
  }

  void print(const std::string& name) const {
    std::cout << "  " << name << ": " << tally.compared << " stacks compared, " << tally.frames << " frames, "
              << tally.flagged << " flagged as short, " << tally.guessed << " with guessed rules, " << tally.unverified
              << " unverified return addresses, " << tally.oracle_short << " where libdw gave up";
    for (const auto& [end, count] : tally.ends) {
      if (end != WalkEnd::kComplete) std::cout << "; " << count << ": " << why_short(end);
    }
    std::cout << "; rules by kind:";
    for (const auto& [kind, count] : tally.kinds) std::cout << ' ' << kind << '=' << count;
    std::cout << '\n';
  }

  Tally tally;

 private:
  bool report(const char* what, const StackSnapshot& snapshot, const std::vector<std::uint64_t>& mine,
              const OracleWalk& truth) {
    std::cout << what << " at system call " << snapshot.system_call << ", stack " << tally.compared
              << ", libdw complete: " << truth.complete << '\n';
    for (std::size_t i = 0; i < std::max(mine.size(), truth.frames.size()); ++i) {
      std::cout << "  " << name_of(i < mine.size() ? mine[i] : 0) << "   libdw "
                << name_of(i < truth.frames.size() ? truth.frames[i] : 0) << '\n';
    }
    return false;
  }

  std::string name_of(std::uint64_t pc) const {
    const Mapping* mapping = map_.find(kPid, now_, pc);
    if (mapping == nullptr) return std::to_string(pc);
    const Module& module = modules_.get(mapping->module);
    char text[32];
    std::snprintf(text, sizeof text, "+0x%lx", module.address_of_offset(mapping->offset + (pc - mapping->start)));
    return std::filesystem::path(module.path).filename().string() + text;
  }

  TracedProgram& program_;
  std::vector<MapsLine> lines_;
  ModuleStore modules_;
  AddressMap map_;
  RuleCompiler compiler_;
  SnapshotUnwinder unwinder_;
  std::unique_ptr<DwflOracle> oracle_;
  KernelTime now_{1'000'000'000};
};

std::string subject(const std::string& name) {
  return std::string(SOCKLEAK_SUBJECTS) + "/subject_" + name;
}

/// How many stacks of each program are compared. A run over many is a test of its own (label `oracle`).
unsigned long wanted_stacks() {
  const char* text = std::getenv("SOCKLEAK_ORACLE_STACKS");
  return text == nullptr ? 1300 : std::strtoul(text, nullptr, 10);
}

class SubjectWalk : public testing::TestWithParam<const char*> {};

TEST_P(SubjectWalk, EqualsLibdwAtSystemCalls) {
  const std::string program_path = subject(GetParam());
  if (!std::filesystem::exists(program_path)) GTEST_SKIP() << "does not link here";
  const unsigned long wanted = wanted_stacks();
  TracedProgram program({program_path, "7", std::to_string(wanted)});
  if (!program.started()) GTEST_SKIP() << "ptrace is refused here";
  Comparison comparison(program);
  while (const auto snapshot = program.next_system_call({SYS_getppid, SYS_socket})) {
    comparison.refresh();
    if (!comparison.compare(*snapshot, false)) FAIL();
  }
  comparison.print(GetParam());
  EXPECT_GE(comparison.tally.compared, wanted);
  EXPECT_EQ(comparison.tally.unverified, 0u);
  if (std::string_view(GetParam()).starts_with("no_tables")) {
    EXPECT_GT(comparison.tally.guessed, 0u);
  } else {
    EXPECT_EQ(comparison.tally.flagged, 0u);
    EXPECT_EQ(comparison.tally.guessed, 0u);
    EXPECT_GT(comparison.tally.kinds[SL_RULE_BP_DEREF], 0u);
  }
  EXPECT_GT(comparison.tally.kinds[SL_RULE_SIGNAL], 0u);
}

TEST_P(SubjectWalk, EqualsLibdwAtEveryInstruction) {
  const std::string program_path = subject(GetParam());
  if (!std::filesystem::exists(program_path)) GTEST_SKIP() << "does not link here";
  TracedProgram program({program_path, "11", "40"}, true);
  if (!program.started()) GTEST_SKIP() << "ptrace is refused here";
  Comparison comparison(program);
  if (!program.next_system_call({SYS_getppid})) FAIL() << "the program ended early";
  comparison.refresh();
  for (int i = 0; i < 2000; ++i) {
    const auto snapshot = program.next_instruction();
    if (!snapshot) break;
    if (!comparison.compare(*snapshot, true)) FAIL() << "after " << i << " instructions";
  }
  comparison.print(GetParam());
  EXPECT_GT(comparison.tally.compared, 1000u);
}

INSTANTIATE_TEST_SUITE_P(Builds, SubjectWalk,
                         testing::Values("frameless", "frame_pointer", "unoptimized", "realigned", "debug_frame",
                                         "no_tables", "no_tables_frameless", "static", "static_pie"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(SystemProgramWalk, EqualsLibdwAtEverySystemCall) {
  // Each round of theirs is two system calls at least.
  const std::string rounds = std::to_string(wanted_stacks() / 2);
  const std::vector<std::vector<std::string>> programs{
      {"/usr/bin/python3", "-c", "import json, socket\nfor i in range(" + rounds + "): socket.socket().close()"},
      {"/usr/bin/perl", "-e", "for (1.." + rounds + ") { getppid(); -e '/'; } sort { -e '/'; $a <=> $b } 3, 1, 2"},
      {"/bin/bash", "-c", "for ((i = 0; i < " + rounds + "; ++i)); do test -e /; test -e /tmp; done; x=$(echo $i)"},
  };
  bool any = false;
  for (const auto& arguments : programs) {
    if (!std::filesystem::exists(arguments[0])) continue;
    TracedProgram program(arguments);
    if (!program.started()) GTEST_SKIP() << "ptrace is refused here";
    any = true;
    Comparison comparison(program);
    while (const auto snapshot = program.next_system_call({})) {
      comparison.refresh();
      if (!comparison.compare(*snapshot, false)) FAIL() << arguments[0];
    }
    comparison.print(arguments[0]);
    // Debian's ld.so has no unwind table for its own entry: neither side gets beyond it.
    EXPECT_LE(comparison.tally.flagged, comparison.tally.oracle_short) << arguments[0];
    EXPECT_LT(comparison.tally.oracle_short, comparison.tally.compared / 5) << arguments[0];
  }
  if (!any) GTEST_SKIP() << "no such programs here";
}

#ifdef SOCKLEAK_GO_PROGRAMS
// An unstripped Go program has the same depths in .debug_frame, which our walk does not ask.
TEST(GoWalk, EqualsLibdwAtSystemCalls) {
  TracedProgram program({SOCKLEAK_GO_PROGRAMS "/go_error_path", "--truth", "/dev/null"});
  if (!program.started()) GTEST_SKIP() << "ptrace is refused here";
  Comparison comparison(program);
  while (const auto snapshot = program.next_system_call({SYS_socket, SYS_connect, SYS_accept4, SYS_close})) {
    comparison.refresh();
    if (!comparison.compare(*snapshot, false)) FAIL();
  }
  comparison.print("go");
  EXPECT_GE(comparison.tally.compared, 100u);
  // The loader opens files before Go runs, and Debian's has no unwind table for its entry.
  EXPECT_LE(comparison.tally.flagged, comparison.tally.oracle_short);
  EXPECT_LE(comparison.tally.flagged, 3u);
  EXPECT_EQ(comparison.tally.guessed, 0u);
  EXPECT_EQ(comparison.tally.unverified, 0u);
}
#endif

}  // namespace
}  // namespace sockleak
