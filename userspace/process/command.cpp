// The held child. It does everything that can fail except execvp(3) before it reports "held" on the error pipe, then
// it waits for one byte on the gate pipe. Both pipes are close-on-exec: the error pipe's end means "it runs".
#include "process/command.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace sockleak {
namespace {

/// Whom the command runs as.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string name, home;  // empty: no entry in the user database
};

enum class Stage : int { kHeld, kIdentity, kDeathSignal, kExec };

/// What the child says on the error pipe; far below PIPE_BUF, so it arrives whole.
struct Message {
  Stage stage;
  int error;
};

struct Pipe {
  UniqueFd read, write;
};

[[nodiscard]] Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_os(ErrorKind::kCannotTrace, "cannot create a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// One Message, or nothing at the pipe's end.
[[nodiscard]] std::optional<Message> receive(const UniqueFd& errors) {
  Message message{};
  ssize_t got = 0;
  do got = ::read(errors.get(), &message, sizeof(message));
  while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof(message)) ? std::optional(message) : std::nullopt;
}

// --- Who: decided before the fork, because the user database may be a service that the child should not talk to.

/// All groups of a user, as login(1) would set them.
[[nodiscard]] std::vector<gid_t> groups_of(const char* name, gid_t gid) {
  int count = 32;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(name, gid, groups.data(), &count) < 0) {
    groups.resize(std::max(groups.size() * 2, static_cast<std::size_t>(count)));
    count = static_cast<int>(groups.size());
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

[[nodiscard]] Identity identity_of(const passwd& entry, gid_t gid) {
  return {entry.pw_uid, gid, groups_of(entry.pw_name, gid), entry.pw_name, entry.pw_dir};
}

/// A numeric id in the environment; nothing if it is not set.
[[nodiscard]] Result<std::optional<unsigned>> id_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  unsigned id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (error == std::errc() && end == digits.data() + digits.size() && id != static_cast<unsigned>(-1)) return id;
  // Running it as root instead would be the opposite of what sudo's user expects.
  return fail(ErrorKind::kUsage, std::string(variable) + " is not a number", "choose the user with --user NAME");
}

/// Nothing: the command runs as whoever we are.
[[nodiscard]] Result<std::optional<Identity>> choose_identity(const std::string& user) {
  if (!user.empty()) {
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return fail(ErrorKind::kUsage, "there is no user " + user, "--user takes a login name");
    if (entry->pw_uid == ::geteuid() && entry->pw_uid != 0) return std::nullopt;  // already so, and no right to set it
    return identity_of(*entry, entry->pw_gid);
  }
  if (::geteuid() != 0) return std::nullopt;
  const auto uid = id_from("SUDO_UID");
  const auto gid = id_from("SUDO_GID");
  if (!uid) return tl::unexpected(uid.error());
  if (!gid) return tl::unexpected(gid.error());
  if (!*uid || **uid == 0) return std::nullopt;
  if (const passwd* entry = ::getpwuid(**uid); entry != nullptr) {
    return identity_of(*entry, gid->value_or(entry->pw_gid));
  }
  if (!*gid) {
    return fail(ErrorKind::kUsage, "user " + std::to_string(**uid) + " (SUDO_UID) has no entry and no SUDO_GID",
                "choose the user with --user NAME");
  }
  return Identity{**uid, **gid, {**gid}, {}, {}};
}

[[nodiscard]] std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

/// Ours, with the variables that name the user made those of `identity`, and with `others` put over all.
[[nodiscard]] std::vector<std::string> environment_for(const std::optional<Identity>& identity,
                                                       const std::vector<std::string>& others) {
  std::vector<std::string> result;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const bool personal = text.starts_with("HOME=") || text.starts_with("USER=") || text.starts_with("LOGNAME=");
    const bool replaced = std::any_of(others.begin(), others.end(),
                                      [text](const std::string& other) { return name_of(other) == name_of(text); });
    if ((!identity || !personal) && !replaced) result.emplace_back(text);
  }
  if (identity && !identity->name.empty()) {
    result.push_back("HOME=" + identity->home);
    result.push_back("USER=" + identity->name);
    result.push_back("LOGNAME=" + identity->name);
  }
  result.insert(result.end(), others.begin(), others.end());
  return result;
}

[[nodiscard]] std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// --- The child: from here to exec only calls that need no memory.

struct ChildPlan {
  const Identity* identity;  // nullptr = as we are
  char** argv;
  char** envp;
  int gate;
  int errors;
  pid_t parent;
};

/// Undoes what we or our libraries have set: we read signals with a signalfd and ignore SIGPIPE. The signals that
/// nohup(1) and a shell's `&` ignore stay ignored, we never do that.
void restore_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    const bool from_caller = number == SIGHUP || number == SIGINT || number == SIGQUIT;
    if (from_caller && ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(number, &action, nullptr);  // fails for SIGKILL, SIGSTOP and the C library's own: as it should
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[nodiscard]] bool take_identity(const Identity& who) {
  return ::setgroups(who.groups.size(), who.groups.data()) == 0 && ::setresgid(who.gid, who.gid, who.gid) == 0 &&
         ::setresuid(who.uid, who.uid, who.uid) == 0;
}

[[noreturn]] void give_up(int errors, Stage stage) {
  constexpr int kNotRun = 127;
  const Message message{stage, errno};
  // If nobody reads it, nobody needs it.
  [[maybe_unused]] const ssize_t written = ::write(errors, &message, sizeof(message));
  ::_exit(kNotRun);
}

[[noreturn]] void be_the_child(const ChildPlan& plan) {
  restore_signals();
  if (plan.identity != nullptr && !take_identity(*plan.identity)) give_up(plan.errors, Stage::kIdentity);
  // After the identity: changing it clears the death signal (commit_creds()).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan.errors, Stage::kDeathSignal);
  if (::getppid() != plan.parent) ::_exit(EXIT_FAILURE);  // it died before there was a death signal
  const Message held{Stage::kHeld, 0};
  if (::write(plan.errors, &held, sizeof(held)) != static_cast<ssize_t>(sizeof(held))) ::_exit(EXIT_FAILURE);
  char byte = 0;
  ssize_t got = 0;
  do got = ::read(plan.gate, &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) ::_exit(EXIT_FAILURE);  // a gate that closes instead of opening: our parent is gone
  ::prctl(PR_SET_PDEATHSIG, 0);
  ::execvpe(plan.argv[0], plan.argv, plan.envp);
  give_up(plan.errors, Stage::kExec);
}

/// With every signal blocked, so that no handler of ours runs in the child.
[[nodiscard]] pid_t fork_child(const ChildPlan& plan) {
  sigset_t all, former;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &former);
  const pid_t pid = ::fork();
  if (pid == 0) be_the_child(plan);
  const int error = errno;
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
  errno = error;
  return pid;
}

/// If our caller ignores SIGCHLD, so do we, and then the kernel throws the wait status away.
void keep_wait_statuses() {
  struct sigaction action {};
  if (::sigaction(SIGCHLD, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) ::signal(SIGCHLD, SIG_DFL);
}

/// Waits for a child that is about to end.
[[nodiscard]] int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

[[nodiscard]] tl::unexpected<Error> not_held(const Message& message, const std::string& user) {
  if (message.stage == Stage::kIdentity) {
    const std::string whom = user.empty() ? "the user who called sudo" : user;
    return fail_os(ErrorKind::kUsage, "cannot run the command as " + whom, "only root may choose another user",
                   message.error);
  }
  return fail_os(ErrorKind::kCannotTrace, "cannot tie the command to sockleak", "", message.error);
}

[[nodiscard]] const char* exec_hint(int error) {
  if (error == ENOENT) return "check the name; a program outside PATH needs its path";
  if (error == EACCES || error == EPERM) return "is it executable for the user it would run as? see --user";
  return "";
}

}  // namespace

Result<Command> Command::hold(const CommandOptions& options) {
  if (options.argv.empty() || options.argv.front().empty()) {
    return fail(ErrorKind::kUsage, "there is no command", "write it after --");
  }
  const auto identity = choose_identity(options.user);
  if (!identity) return tl::unexpected(identity.error());
  auto gate = make_pipe();
  if (!gate) return tl::unexpected(gate.error());
  auto errors = make_pipe();
  if (!errors) return tl::unexpected(errors.error());
  std::vector<std::string> argv = options.argv;
  std::vector<std::string> environment = environment_for(*identity, options.environment);
  const std::vector<char*> argv_pointers = pointers(argv);
  const std::vector<char*> environment_pointers = pointers(environment);
  keep_wait_statuses();
  const pid_t pid =
      fork_child({*identity ? &**identity : nullptr, const_cast<char**>(argv_pointers.data()),
                  const_cast<char**>(environment_pointers.data()), gate->read.get(), errors->write.get(), ::getpid()});
  if (pid < 0) return fail_os(ErrorKind::kCannotTrace, "cannot create a process");
  errors->write.reset();
  // Cannot name another process: a child of ours keeps its number until we reap it.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    static_cast<void>(reap(pid));
    return fail_os(ErrorKind::kCannotTrace, "cannot watch the command's process", "needs Linux 5.3 or later", error);
  }
  Command command(Pid{static_cast<std::uint32_t>(pid)}, std::move(pidfd), std::move(gate->write),
                  std::move(errors->read));
  command.gate_reader_ = std::move(gate->read);
  command.name_ = options.argv.front();
  const auto message = receive(command.errors_);  // if it is not "held", the destructor reaps the child
  if (!message) return fail(ErrorKind::kCannotTrace, "the command's process was killed before it could start");
  if (message->stage != Stage::kHeld) return not_held(*message, options.user);
  return command;
}

Command::Command(Pid pid, UniqueFd pidfd, UniqueFd gate, UniqueFd errors)
    : pid_(pid), pidfd_(std::move(pidfd)), gate_(std::move(gate)), errors_(std::move(errors)) {}

Command::Command(Command&&) noexcept = default;

Command& Command::operator=(Command&& other) noexcept {
  if (this == &other) return *this;
  const Command former(std::move(*this));  // ends the child we had
  pid_ = other.pid_;
  pidfd_ = std::move(other.pidfd_);
  gate_ = std::move(other.gate_);
  gate_reader_ = std::move(other.gate_reader_);
  errors_ = std::move(other.errors_);
  name_ = std::move(other.name_);
  status_ = other.status_;
  released_ = other.released_;
  return *this;
}

Command::~Command() {
  if (!pidfd_.valid() || released_ || status_) return;
  signal(SIGKILL);
  static_cast<void>(reap(static_cast<pid_t>(pid_.value)));
}

Result<void> Command::release() {
  assert(!released_ && gate_.valid());
  const char open = 1;
  ssize_t written = 0;
  do written = ::write(gate_.get(), &open, 1);
  while (written < 0 && errno == EINTR);
  if (written != 1) return fail_os(ErrorKind::kCannotTrace, "cannot start the command");
  const auto message = receive(errors_);
  gate_.reset();
  gate_reader_.reset();
  errors_.reset();
  released_ = true;
  if (!message) return {};  // it runs; or somebody killed it, then ended() says so
  status_ = reap(static_cast<pid_t>(pid_.value));
  return fail_os(ErrorKind::kUsage, "cannot run " + name_, exec_hint(message->error), message->error);
}

std::optional<int> Command::ended() {
  if (status_ || !pidfd_.valid()) return status_;
  int status = 0;
  if (::waitpid(static_cast<pid_t>(pid_.value), &status, WNOHANG) > 0) status_ = status;
  return status_;
}

void Command::signal(int number) const {
  // Through the pidfd: the number may belong to somebody else once we have reaped the child.
  if (pidfd_.valid()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

int shell_status(int wait_status) {
  constexpr int kSignalled = 128;
  return WIFSIGNALED(wait_status) ? kSignalled + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace sockleak
