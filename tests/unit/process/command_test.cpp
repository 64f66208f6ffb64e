// Real children. Every step waits for an event (a pipe, a pidfd), never for time.
#include "process/command.hpp"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "process/procfs.hpp"
#include "unit/process/temporary_tree.hpp"

namespace sockleak {
namespace {

constexpr int kPatienceMs = 60'000;  // only a hang takes so long
constexpr const char* kNobody = "65534";

[[nodiscard]] bool wait_readable(int fd) {
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, kPatienceMs) == 1;
}

/// The exit status as a shell shows it; -1 if the command does not end.
[[nodiscard]] int finish(Command& command) {
  return wait_readable(command.pidfd()) ? shell_status(command.ended().value_or(-1)) : -1;
}

[[nodiscard]] bool is_our_child(Pid pid) {
  return ::waitpid(static_cast<pid_t>(pid.value), nullptr, WNOHANG) == 0 || errno != ECHILD;
}

/// Runs `body` in a process of its own, so that its signals, identity and end are not this test's. True if it says so.
[[nodiscard]] bool in_own_process(const std::function<bool()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body() ? 0 : 1);
  int status = -1;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

class CommandTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"SUDO_UID", "SUDO_GID"}) ::unsetenv(name);
  }
  void TearDown() override { SetUp(); }

  /// `script` runs with $1 = the file "out" of the test's directory.
  [[nodiscard]] CommandOptions shell(const std::string& script, const std::string& user = {}) const {
    return {{"sh", "-c", script, "sh", tree_.path("out")}, user};
  }
  /// Runs `script` to its end and returns what it wrote to "$1".
  [[nodiscard]] std::string output_of(const std::string& script, const std::string& user = {}) const {
    auto command = Command::hold(shell(script, user));
    if (!command) return "not held: " + command.error().message();
    if (auto released = command->release(); !released) return "not released: " + released.error().message();
    const int status = finish(*command);
    return status == 0 ? tree_.read("out") : "status " + std::to_string(status);
  }

  TemporaryTree tree_;
};

TEST_F(CommandTest, HasWhatIsAddedToItsEnvironment) {
  ::setenv("SOCKLEAK_TEST_A", "ours", 1);
  CommandOptions options = shell("echo $SOCKLEAK_TEST_A $SOCKLEAK_TEST_B > \"$1\"");
  options.environment = {"SOCKLEAK_TEST_A=theirs", "SOCKLEAK_TEST_B=new"};
  auto command = Command::hold(options);
  ASSERT_TRUE(command) << command.error().message();
  ASSERT_TRUE(command->release());
  EXPECT_EQ(finish(*command), 0);
  EXPECT_EQ(tree_.read("out"), "theirs new\n");
  ::unsetenv("SOCKLEAK_TEST_A");
}

TEST_F(CommandTest, DoesNotRunBeforeItIsReleased) {
  auto command = Command::hold(shell("echo ran > \"$1\""));
  ASSERT_TRUE(command) << command.error().message();
  EXPECT_EQ(Procfs().exe(command->pid()), Procfs().exe(Pid{static_cast<std::uint32_t>(::getpid())}));
  EXPECT_EQ(command->ended(), std::nullopt);
  EXPECT_EQ(tree_.read("out"), "");
  ASSERT_TRUE(command->release());
  EXPECT_EQ(finish(*command), 0);
  EXPECT_EQ(tree_.read("out"), "ran\n");
  EXPECT_FALSE(is_our_child(command->pid()));
}

TEST_F(CommandTest, ReleaseReturnsWhenTheProgramHasReplacedUs) {
  auto command = Command::hold({{"sleep", "1000"}, {}});
  ASSERT_TRUE(command && command->release());
  EXPECT_EQ(Procfs().comm(command->pid()), "sleep");
  EXPECT_EQ(command->ended(), std::nullopt);
  command->signal(SIGTERM);
  EXPECT_EQ(finish(*command), 128 + SIGTERM);
  command->signal(SIGTERM);  // nobody is there any more
}

TEST_F(CommandTest, ReportsExitStatusAndSignalLikeAShell) {
  for (const auto& [script, status] :
       {std::pair{"exit 0", 0}, std::pair{"exit 42", 42}, std::pair{"kill -KILL $$", 128 + SIGKILL}}) {
    auto command = Command::hold(shell(script));
    ASSERT_TRUE(command && command->release());
    EXPECT_EQ(finish(*command), status);
    EXPECT_TRUE(command->ended().has_value());  // and again
  }
}

TEST_F(CommandTest, AProgramThatCannotBeExecutedIsReaped) {
  ::setenv("PATH", "/usr/bin:/bin", 1);  // a directory that we may not enter turns ENOENT into EACCES: execvp(3)
  tree_.write("script", "#!/bin/sh\n");
  const std::array<std::pair<std::string, int>, 3> cases{
      {{"sockleak-no-such-program", ENOENT}, {tree_.path("nowhere/program"), ENOENT}, {tree_.path("script"), EACCES}}};
  for (const auto& [program, expected] : cases) {
    auto command = Command::hold({{program}, {}});
    ASSERT_TRUE(command);
    const auto released = command->release();
    ASSERT_FALSE(released) << program;
    EXPECT_EQ(released.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(released.error().os_errno, expected);
    EXPECT_EQ(released.error().what, "cannot run " + program);
    EXPECT_NE(released.error().hint, "");
    EXPECT_FALSE(is_our_child(command->pid()));
  }
}

TEST_F(CommandTest, WithoutAProgramThereIsNothingToHold) {
  for (const std::vector<std::string>& argv : {std::vector<std::string>{}, std::vector<std::string>{""}}) {
    const auto command = Command::hold({argv, {}});
    ASSERT_FALSE(command);
    EXPECT_EQ(command.error().kind, ErrorKind::kUsage);
  }
}

TEST_F(CommandTest, AnUnreleasedChildIsKilledAndReaped) {
  Pid pid;
  {
    const auto command = Command::hold(shell("echo ran > \"$1\""));
    ASSERT_TRUE(command);
    pid = command->pid();
    EXPECT_TRUE(is_our_child(pid));
  }
  EXPECT_FALSE(is_our_child(pid));
  EXPECT_EQ(tree_.read("out"), "");
}

TEST_F(CommandTest, AssignmentEndsTheFormerChildAndKeepsTheNewOne) {
  auto former = Command::hold(shell("exit 1"));
  auto other = Command::hold(shell("exit 9"));
  ASSERT_TRUE(former && other);
  const Pid ended = former->pid();
  *former = std::move(*other);
  EXPECT_FALSE(is_our_child(ended));
  Command moved(std::move(*former));
  ASSERT_TRUE(moved.release());
  EXPECT_EQ(finish(moved), 9);
}

TEST_F(CommandTest, AChildKilledAtTheGateIsNoError) {
  auto command = Command::hold(shell("exit 0"));
  ASSERT_TRUE(command);
  command->signal(SIGKILL);
  ASSERT_TRUE(wait_readable(command->pidfd()));
  EXPECT_TRUE(command->release());  // and no SIGPIPE from the gate
  EXPECT_EQ(finish(*command), 128 + SIGKILL);
}

TEST_F(CommandTest, WhatTheCallerLeftOpenReachesTheProgramAndNothingElse) {
  const UniqueFd open(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd callers(::fcntl(open.get(), F_DUPFD, 200));          // inheritable, as make's job server is
  const UniqueFd ours(::fcntl(open.get(), F_DUPFD_CLOEXEC, 300));  // as every descriptor of ours is
  ASSERT_TRUE(callers.valid() && ours.valid());
  const std::string both = std::to_string(callers.get()) + " " + std::to_string(ours.get());
  EXPECT_EQ(output_of("for n in " + both + "; do test -e /proc/$$/fd/$n && found=\"$found $n\"; done; echo \"open:$found\" > \"$1\""),
            "open: " + std::to_string(callers.get()) + "\n");
}

/// The value of a "Sig...:" line of /proc/PID/status.
[[nodiscard]] std::uint64_t signals(const std::string& status, const std::string& key) {
  const std::size_t at = status.find(key);
  return at == std::string::npos ? ~0ULL : std::stoull(status.substr(at + key.size()), nullptr, 16);
}

TEST_F(CommandTest, SignalsAreAsIfTheUserHadStartedIt) {
  EXPECT_TRUE(in_own_process([this] {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&blocked, number);
    ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
    for (const int number : {SIGPIPE, SIGUSR2, SIGCHLD, SIGHUP}) ::signal(number, SIG_IGN);
    const std::string status = output_of("exec cat /proc/self/status > \"$1\"");
    const auto ignored = signals(status, "SigIgn:");
    const bool hangup = (ignored >> (SIGHUP - 1) & 1U) != 0;  // nohup sockleak -- CMD
    const bool others = (ignored & ~(1ULL << (SIGHUP - 1)) & 0x7FFFFFFFU) != 0;
    return signals(status, "SigBlk:") == 0 && hangup && !others;
  }));
}

TEST_F(CommandTest, AHeldChildDiesWithUs) {
  std::array<int, 2> told{}, go{};
  ASSERT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go.data(), O_CLOEXEC), 0);
  const pid_t holder = ::fork();
  ASSERT_GE(holder, 0);
  if (holder == 0) {
    char byte = 0;
    auto command = Command::hold({{"sleep", "1000"}, {}});
    if (!command) ::_exit(1);
    const Pid pid = command->pid();
    if (::write(told[1], &pid.value, sizeof(pid.value)) != sizeof(pid.value)) ::_exit(1);
    ::_exit(::read(go[0], &byte, 1) == 1 ? 0 : 1);  // no destructor runs
  }
  std::uint32_t pid = 0;
  ASSERT_EQ(::read(told[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE(pidfd.valid());
  ASSERT_EQ(::write(go[1], "", 1), 1);
  EXPECT_TRUE(wait_readable(pidfd.get()));
  int status = -1;
  EXPECT_EQ(::waitpid(holder, &status, 0), holder);
  EXPECT_EQ(status, 0);
  for (const int fd : {told[0], told[1], go[0], go[1]}) ::close(fd);
}

TEST_F(CommandTest, AReleasedCommandOutlivesUs) {
  std::array<int, 2> words{};
  ASSERT_EQ(::pipe2(words.data(), O_CLOEXEC), 0);
  // A stranger's child is reaped by init; a child of our child by us, if we say so.
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  std::array<int, 2> told{};
  ASSERT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
  ASSERT_TRUE(in_own_process([&] {
    ::dup2(words[0], STDIN_FILENO);
    auto command = Command::hold(shell("read word; echo $word > \"$1\""));
    if (!command || !command->release()) return false;
    const Pid pid = command->pid();
    return ::write(told[1], &pid.value, sizeof(pid.value)) == static_cast<ssize_t>(sizeof(pid.value));
  }));
  std::uint32_t pid = 0;
  ASSERT_EQ(::read(told[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  ASSERT_EQ(::write(words[1], "alive\n", 6), 6);
  int status = -1;
  EXPECT_EQ(::waitpid(static_cast<pid_t>(pid), &status, 0), static_cast<pid_t>(pid));
  EXPECT_EQ(status, 0);
  EXPECT_EQ(tree_.read("out"), "alive\n");
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  for (const int fd : {words[0], words[1], told[0], told[1]}) ::close(fd);
}

TEST_F(CommandTest, AnUnknownUserIsAUsageError) {
  const auto command = Command::hold(shell("exit 0", "no-such-user-here"));
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().kind, ErrorKind::kUsage);
}

constexpr const char* kWhoAmI = "{ id -u; id -g; id -G; echo $HOME $USER $LOGNAME; } > \"$1\"";

class CommandAsRoot : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    if (::geteuid() != 0) GTEST_SKIP() << "only root may run a command as another user";
  }
};

TEST_F(CommandAsRoot, StaysRootWhenNobodyAskedForSomebodyElse) {
  EXPECT_EQ(output_of("id -u > \"$1\""), "0\n");
  ::setenv("SUDO_UID", "0", 1);
  ::setenv("SUDO_GID", "0", 1);
  EXPECT_EQ(output_of("id -u > \"$1\""), "0\n");
}

TEST_F(CommandAsRoot, RunsAsTheChosenUser) {
  const std::string expected = "65534\n65534\n65534\n/nonexistent nobody nobody\n";
  EXPECT_EQ(output_of(kWhoAmI, "nobody"), expected);
  ::setenv("SUDO_UID", "1", 1);  // --user wins
  EXPECT_EQ(output_of(kWhoAmI, "nobody"), expected);
}

TEST_F(CommandAsRoot, UnderSudoRunsAsTheUserWhoCalledIt) {
  ::setenv("SUDO_UID", kNobody, 1);
  ::setenv("SUDO_GID", kNobody, 1);
  EXPECT_EQ(output_of(kWhoAmI), "65534\n65534\n65534\n/nonexistent nobody nobody\n");
  ::unsetenv("SUDO_GID");
  EXPECT_EQ(output_of(kWhoAmI), "65534\n65534\n65534\n/nonexistent nobody nobody\n");
}

TEST_F(CommandAsRoot, AUserWithoutAnEntryNeedsSudosGroup) {
  ::setenv("SUDO_UID", "54321", 1);
  ::setenv("SUDO_GID", "54322", 1);
  EXPECT_EQ(output_of(kWhoAmI), "54321\n54322\n54322\n\n");
  ::unsetenv("SUDO_GID");
  const auto command = Command::hold(shell("exit 0"));
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().kind, ErrorKind::kUsage);
}

TEST_F(CommandAsRoot, AnUnreadableSudoUserNeverMeansRoot) {
  for (const char* text : {"", "x", "12x", "-1", "4294967295", "99999999999"}) {
    ::setenv("SUDO_UID", text, 1);
    const auto command = Command::hold(shell("exit 0"));
    ASSERT_FALSE(command) << text;
    EXPECT_EQ(command.error().kind, ErrorKind::kUsage);
  }
}

TEST_F(CommandAsRoot, ADroppedHeldChildStillDiesWithItsHolder) {
  // Changing the identity clears the death signal, so it must be set afterwards: the gate alone would not end a child
  // whose gate somebody else keeps open.
  std::array<int, 2> told{};
  ASSERT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  ASSERT_TRUE(in_own_process([&] {
    auto command = Command::hold({{"sleep", "1000"}, "nobody"});
    if (!command) return false;
    const Pid pid = command->pid();
    // A sibling inherits our end of the gate and outlives us; it ends when this test closes its end of `told`.
    if (::fork() == 0) {
      ::close(told[1]);
      pollfd closed{.fd = told[0], .events = 0, .revents = 0};
      ::poll(&closed, 1, kPatienceMs);
      ::_exit(0);
    }
    const bool sent = ::write(told[1], &pid.value, sizeof(pid.value)) == static_cast<ssize_t>(sizeof(pid.value));
    ::_exit(sent ? 0 : 1);  // no destructor runs
  }));
  std::uint32_t pid = 0;
  ASSERT_EQ(::read(told[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  int status = -1;
  EXPECT_EQ(::waitpid(static_cast<pid_t>(pid), &status, 0), static_cast<pid_t>(pid));
  EXPECT_EQ(shell_status(status), 128 + SIGKILL);
  ::close(told[1]);
  EXPECT_GT(::wait(nullptr), 0);  // the sibling
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  ::close(told[0]);
}

TEST_F(CommandAsRoot, WithoutTheRightAnotherUserIsAUsageError) {
  EXPECT_TRUE(in_own_process([this] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
        ::setresuid(65534, 65534, 65534) != 0) {
      return false;
    }
    const auto command = Command::hold(shell("exit 0", "root"));
    const bool refused = !command && command.error().kind == ErrorKind::kUsage && command.error().os_errno == EPERM;
    return refused && output_of("id -u > \"$1\"", "nobody") == "65534\n";  // ourselves: nothing to change
  }));
}

}  // namespace
}  // namespace sockleak
