#include "app/options.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/handle.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Arguments = std::vector<std::string>;

Options understood(const Arguments& arguments) {
  const auto parsed = parse_options(arguments);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().what;
    return {};
  }
  return std::get<Options>(*parsed);
}

Error refused(const Arguments& arguments) {
  const auto parsed = parse_options(arguments);
  if (!parsed) return parsed.error();
  ADD_FAILURE() << "accepted";
  return {};
}

std::string words(const Arguments& arguments) {
  const auto parsed = parse_options(arguments);
  if (!parsed || !std::holds_alternative<Words>(*parsed)) {
    ADD_FAILURE() << "no words";
    return {};
  }
  return std::get<Words>(*parsed).text;
}

TEST(Options, TakeEveryOptionOfTrace) {
  const UniqueFd fd(::dup(STDOUT_FILENO));
  const Options options = understood({"trace",
                                      "-p",
                                      "812,813",
                                      "--pid",
                                      "814",
                                      "-d",
                                      "1m",
                                      "-i",
                                      "2s",
                                      "--older",
                                      "30",
                                      "--settle",
                                      "250ms",
                                      "-o",
                                      "out.txt",
                                      "-T",
                                      "3",
                                      "--record",
                                      "a.slk",
                                      "-q",
                                      "-v",
                                      "--no-color",
                                      "--no-children",
                                      "--no-snapshot",
                                      "--hooks",
                                      "fallback",
                                      "--ready-fd",
                                      std::to_string(fd.get())});
  EXPECT_EQ(options.subcommand, Subcommand::kTrace);
  EXPECT_THAT(options.pids, ElementsAre(Pid{812}, Pid{813}, Pid{814}));
  EXPECT_EQ(options.duration, 60s);
  EXPECT_EQ(options.interval, 2s);
  EXPECT_EQ(options.older, 30s);
  EXPECT_EQ(options.settle, 250ms);
  ASSERT_EQ(options.outputs.size(), 1U);
  EXPECT_EQ(options.outputs[0].path, "out.txt");
  EXPECT_EQ(options.outputs[0].format, Format::kText);
  EXPECT_EQ(options.top, 3U);
  EXPECT_EQ(options.record, "a.slk");
  EXPECT_TRUE(options.quiet);
  EXPECT_TRUE(options.verbose);
  EXPECT_FALSE(options.color);
  EXPECT_FALSE(options.follow_children);
  EXPECT_FALSE(options.copy_stacks);
  EXPECT_EQ(options.hooks, HookSet::kFallback);
  EXPECT_EQ(options.ready_fd, fd.get());
  EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC) << "no command must inherit it";
}

TEST(Options, HaveDefaults) {
  const Options options = understood({"check", "-p", "1"});
  EXPECT_EQ(options.duration, std::nullopt);
  EXPECT_EQ(options.older, std::nullopt);
  EXPECT_EQ(options.settle, 0s);
  ASSERT_EQ(options.outputs.size(), 1U);
  EXPECT_EQ(options.outputs[0].path, "");
  EXPECT_TRUE(options.follow_children);
  EXPECT_TRUE(options.copy_stacks);
  EXPECT_EQ(options.max_leaks, 0U);
  EXPECT_EQ(options.leak_exit_code, 1);
  EXPECT_EQ(options.go_ancestors, 10U);
  EXPECT_EQ(understood({"trace", "-p", "1"}).go_ancestors, 0U);
  EXPECT_EQ(understood({"check", "--go-ancestors", "0", "-p", "1"}).go_ancestors, 0U);
}

TEST(Options, LeaveTheCommandAlone) {
  const Options options = understood({"check", "--max-leaks", "2", "--leak-exit-code", "42", "--user", "nobody", "--",
                                      "./run", "--json", "-p", "x", "--", "-h"});
  EXPECT_THAT(options.command, ElementsAre("./run", "--json", "-p", "x", "--", "-h"));
  EXPECT_EQ(options.max_leaks, 2U);
  EXPECT_EQ(options.leak_exit_code, 42);
  EXPECT_EQ(options.user, "nobody");
}

TEST(Options, SayWhatMakesCheckFail) {
  const Options options = understood({"check", "-p", "7", "--fail-on", "suspect", "--only", "growth,close-wait", "--only",
                                      "invisible", "--warmup", "30s"});
  EXPECT_TRUE(options.fail_on_suspect);
  EXPECT_THAT(options.only, ElementsAre("growth", "close-wait", "invisible"));
  EXPECT_EQ(options.warmup, 30s);
  EXPECT_FALSE(understood({"check", "-p", "7", "--fail-on", "leak"}).fail_on_suspect);
  EXPECT_FALSE(understood({"check", "-p", "7"}).fail_on_suspect);
}

TEST(Options, OfCheckTakeACommandThatLoadsTheTarget) {
  const Options options = understood({"check", "-p", "7", "--", "./load", "-p", "8"});
  EXPECT_TRUE(options.command_is_load());
  EXPECT_THAT(options.pids, ElementsAre(Pid{7}));
  EXPECT_THAT(options.command, ElementsAre("./load", "-p", "8"));
  EXPECT_TRUE(understood({"check", "-c", "x", "--", "./load"}).command_is_load());
  EXPECT_FALSE(understood({"check", "--", "./load"}).command_is_load());
}

TEST(Options, NameAPidOnce) {
  EXPECT_THAT(understood({"trace", "-p", "7,8", "-p", "7"}).pids, ElementsAre(Pid{7}, Pid{8}));
  EXPECT_THAT(understood({"trace", "--pid=7,8"}).pids, ElementsAre(Pid{7}, Pid{8}));
}

TEST(Options, TakeAScopeAsTheTarget) {
  EXPECT_EQ(understood({"trace", "-c", "system.slice/x.service"}).cgroup, "system.slice/x.service");
  EXPECT_EQ(understood({"check", "--cgroup=/x"}).cgroup, "/x");
  EXPECT_EQ(understood({"trace", "--container", "3f2a90c1"}).container, "3f2a90c1");
  EXPECT_TRUE(understood({"trace", "-a"}).all);
  EXPECT_TRUE(understood({"trace", "--all"}).all);
}

TEST(Options, TakeTypesOfSockets) {
  EXPECT_THAT(understood({"trace", "-a", "-t", "tcp,mptcp", "--type", "icmp,unix"}).types,
              ElementsAre(Protocol::kTcp, Protocol::kMptcp, Protocol::kIcmp, Protocol::kUnix));
  EXPECT_THAT(understood({"trace", "-a"}).types, IsEmpty());
}

TEST(Options, TakeRecordings) {
  const Options options = understood({"report", "a.slk", "b.slk", "--older", "1m", "-v"});
  EXPECT_EQ(options.subcommand, Subcommand::kReport);
  EXPECT_THAT(options.recordings, ElementsAre("a.slk", "b.slk"));
  EXPECT_EQ(options.older, 60s);
}

struct OutputCase {
  Arguments arguments;
  std::vector<std::pair<Format, std::string>> outputs;
};

class OptionsOutput : public testing::TestWithParam<OutputCase> {};

TEST_P(OptionsOutput, IsChosen) {
  Arguments arguments{"report", "a.slk"};
  arguments.insert(arguments.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  std::vector<std::pair<Format, std::string>> outputs;
  for (const OutputChoice& output : understood(arguments).outputs) outputs.emplace_back(output.format, output.path);
  EXPECT_EQ(outputs, GetParam().outputs);
}

INSTANTIATE_TEST_SUITE_P(
    All, OptionsOutput,
    testing::Values(OutputCase{{}, {{Format::kText, ""}}}, OutputCase{{"--json"}, {{Format::kJson, ""}}},
                    OutputCase{{"--json", "-o", "x"}, {{Format::kJson, "x"}}},
                    OutputCase{{"--format", "json=x"}, {{Format::kJson, "x"}}},
                    OutputCase{{"--format", "json=x", "--format", "text"}, {{Format::kJson, "x"}, {Format::kText, ""}}},
                    OutputCase{{"--format", "json=a=b", "--format", "text", "-o", "y"},
                               {{Format::kJson, "a=b"}, {Format::kText, "y"}}},
                    OutputCase{{"-o", "-"}, {{Format::kText, ""}}}));

struct RefusedCase {
  Arguments arguments;
  std::string word;  // the message names it
};

class OptionsRefused : public testing::TestWithParam<RefusedCase> {};

TEST_P(OptionsRefused, SayWhyInOneLineAndWhatToTry) {
  const Error error = refused(GetParam().arguments);
  EXPECT_EQ(error.kind, ErrorKind::kUsage);
  EXPECT_THAT(error.what, HasSubstr(GetParam().word));
  EXPECT_THAT(error.what + error.hint, ::testing::Not(HasSubstr("\n")));
  EXPECT_THAT(error.hint, EndsWith(" --help"));
}

INSTANTIATE_TEST_SUITE_P(
    All, OptionsRefused,
    testing::Values(
        RefusedCase{{}, "no command"}, RefusedCase{{"no-such-command"}, "no-such-command"},
        RefusedCase{{"--no-such-option"}, "--no-such-option"},
        RefusedCase{{"trace", "--no-such-option"}, "--no-such-option"}, RefusedCase{{"trace"}, "nothing to watch"},
        RefusedCase{{"check"}, "nothing to watch"}, RefusedCase{{"trace", "check", "-p", "1"}, "only one command"},
        RefusedCase{{"trace", "-p"}, "--pid"}, RefusedCase{{"trace", "-p", "nginx"}, "nginx"},
        RefusedCase{{"trace", "-p", "0"}, "'0'"}, RefusedCase{{"trace", "-p", "-5"}, "-5"},
        RefusedCase{{"trace", "-p", "7,"}, "''"}, RefusedCase{{"trace", "-p", "7 "}, "'7 '"},
        RefusedCase{{"trace", "-p", "99999999"}, "99999999"}, RefusedCase{{"trace", "7"}, "'7'"},
        RefusedCase{{"trace", "-p", "7", "--", "true"}, "only one of"},
        RefusedCase{{"trace", "-c", "x", "-a"}, "only one of"},
        RefusedCase{{"check", "-a", "--", "true"}, "only one of"},
        RefusedCase{{"check", "-p", "7", "-c", "x", "--", "true"}, "only one of"},
        RefusedCase{{"check", "-p", "7", "--only", "leaks"}, "'leaks' is no rule"},
        RefusedCase{{"check", "-p", "7", "--only", "growth,"}, "''"},
        RefusedCase{{"check", "-p", "7", "--fail-on", "pool"}, "'pool'"},
        RefusedCase{{"check", "-p", "7", "--warmup", "soon"}, "soon"},
        RefusedCase{{"trace", "-p", "7", "--warmup", "1s"}, "--warmup"},
        RefusedCase{{"trace", "-a", "-t", "tcp,"}, "''"},
        RefusedCase{{"trace", "--container", "web"}, "'web'"},
        RefusedCase{{"trace", "--container", "ab", "--no-children"}, "--no-children"}, RefusedCase{{"trace", "--"}, "no command"},
        RefusedCase{{"trace", "-p", "7", "--user", "x"}, "--user"},
        RefusedCase{{"trace", "-p", "7", "-d", "soon"}, "soon"}, RefusedCase{{"trace", "-p", "7", "-d", "-1s"}, "-1s"},
        RefusedCase{{"trace", "-p", "7", "-i", "0"}, "--interval"},
        RefusedCase{{"trace", "-p", "7", "--max-leaks", "1"}, "--max-leaks"},
        RefusedCase{{"check", "-p", "7", "--max-leaks", "many"}, "many"},
        RefusedCase{{"check", "-p", "7", "--leak-exit-code", "256"}, "256"},
        RefusedCase{{"trace", "-p", "7", "--top", "-1"}, "-1"},
        RefusedCase{{"trace", "-p", "7", "--hooks", "best"}, "auto, preferred, kprobe or fallback"},
        RefusedCase{{"trace", "-p", "7", "--ready-fd", "987"}, "not open"},
        RefusedCase{{"trace", "-p", "7", "--ready-fd", "1"}, "of its own"},
        RefusedCase{{"trace", "-p", "7", "--format", "xml"}, "xml"},
        RefusedCase{{"trace", "-p", "7", "--format", "json="}, "no file"},
        RefusedCase{{"trace", "-p", "7", "--json", "--format", "text"}, "only one format"},
        RefusedCase{{"trace", "-p", "7", "--format", "json=a", "--format", "text=a"}, "same place"},
        RefusedCase{{"trace", "-p", "7", "--format", "json=a", "-o", "b"}, "-o"},
        RefusedCase{{"report"}, "no recording"}, RefusedCase{{"report", "a.slk", "--", "true"}, "after --"},
        RefusedCase{{"report", "a.slk", "--record", "b.slk"}, "--record"}, RefusedCase{{"doctor", "x"}, "'x'"},
        RefusedCase{{"doctor", "-p", "1"}, "-p"}));

TEST(Options, EscapeWhatWasTyped) {
  EXPECT_THAT(refused({"trace", "-p", "\x1b[2J"}).what, HasSubstr("'\\x1b[2J'"));
}

TEST(Options, ExplainThemselves) {
  EXPECT_THAT(words({"--help"}), HasSubstr("sockleak check -- ./run-tests"));
  for (const char* command : {"trace", "check", "report", "doctor"}) {
    EXPECT_THAT(words({command, "-h"}), HasSubstr("Examples:\n")) << command;
  }
  EXPECT_THAT(words({"check", "--help"}), HasSubstr("--leak-exit-code"));
  EXPECT_THAT(words({"--version"}), HasSubstr("sockleak 0."));
}

TEST(Options, AskForHelpOfACommandThatIsGivenAnother) {
  EXPECT_THAT(understood({"trace", "--", "ls", "--help"}).command, ElementsAre("ls", "--help"));
  EXPECT_THAT(understood({"doctor", "--json"}).outputs.front().path, IsEmpty());
}

}  // namespace
}  // namespace sockleak
