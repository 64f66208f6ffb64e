#include "unit/stack/traced_program.hpp"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

namespace sockleak {
namespace {

constexpr std::size_t kMaxCopy = 1u << 20;

std::vector<MapsLine> read_maps(pid_t pid) {
  std::vector<MapsLine> lines;
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  for (std::string text; std::getline(file, text);) {
    unsigned long start = 0, end = 0, offset = 0;
    char access[5] = {};
    int path_at = 0;
    if (std::sscanf(text.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &start, &end, access, &offset, &path_at) < 4) continue;
    lines.push_back({start, end, offset, access[2] == 'x', text.substr(static_cast<std::size_t>(path_at))});
  }
  return lines;
}

long call(__ptrace_request request, pid_t tid, void* data = nullptr) {
  return ::ptrace(request, tid, nullptr, data);
}

}  // namespace

TracedProgram::TracedProgram(std::vector<std::string> arguments, bool bind_now) {
  std::vector<char*> raw;
  for (auto& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (call(PTRACE_TRACEME, 0) != 0) ::_exit(127);
    ::close(STDOUT_FILENO);
    if (bind_now) ::setenv("LD_BIND_NOW", "1", 1);
    ::execv(raw[0], raw.data());
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return;
  pid_ = stopped_ = child;
  ::ptrace(
      PTRACE_SETOPTIONS, child, nullptr,
      static_cast<unsigned long>(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
}

TracedProgram::~TracedProgram() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  pid_t tid = 0;
  while ((tid = ::waitpid(-1, &status, __WALL)) > 0) {
    if (tid == pid_ && (WIFSIGNALED(status) || WIFEXITED(status))) break;
  }
}

bool TracedProgram::resume(int request, int signal) {
  return stopped_ > 0 &&
         ::ptrace(static_cast<__ptrace_request>(request), stopped_, nullptr, static_cast<long>(signal)) == 0;
}

std::optional<StackSnapshot> TracedProgram::next_system_call(const std::set<long>& wanted) {
  int signal = std::exchange(pending_, 0);
  while (resume(PTRACE_SYSCALL, signal)) {
    for (signal = 0;;) {
      int status = 0;
      stopped_ = ::waitpid(-1, &status, __WALL);
      if (stopped_ <= 0) return std::nullopt;
      if (WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) break;
        const bool event = status >> 16 != 0 || (WSTOPSIG(status) == SIGSTOP);
        signal = event ? 0 : WSTOPSIG(status);
        break;
      }
      if (stopped_ == pid_) {  // its end, not a thread's
        pid_ = stopped_ = -1;
        return std::nullopt;
      }
    }
    if (signal != 0) continue;
    __ptrace_syscall_info info{};
    const long size = ::ptrace(PTRACE_GET_SYSCALL_INFO, stopped_, sizeof info, &info);
    if (size <= 0 || info.op != PTRACE_SYSCALL_INFO_EXIT) continue;
    StackSnapshot result;
    call(PTRACE_GETREGS, stopped_, &result.registers);
    const long number = static_cast<long>(result.registers.orig_rax);
    if (wanted.empty() || wanted.contains(number)) return snapshot(number);
  }
  return std::nullopt;
}

std::optional<StackSnapshot> TracedProgram::next_instruction() {
  if (!resume(PTRACE_SINGLESTEP, std::exchange(pending_, 0))) return std::nullopt;
  int status = 0;
  if (::waitpid(stopped_, &status, __WALL) != stopped_ || !WIFSTOPPED(status)) {
    if (stopped_ == pid_) pid_ = -1;
    stopped_ = -1;
    return std::nullopt;
  }
  siginfo_t info{};
  call(PTRACE_GETSIGINFO, stopped_, &info);
  const bool own_step = WSTOPSIG(status) == SIGTRAP && (info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT ||
                                                        info.si_code == TRAP_HWBKPT || info.si_code == SI_USER);
  if (!own_step && status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) pending_ = WSTOPSIG(status);
  return snapshot(-1);
}

StackSnapshot TracedProgram::snapshot(long system_call) {
  StackSnapshot result;
  result.tid = stopped_;
  result.system_call = system_call;
  call(PTRACE_GETREGS, stopped_, &result.registers);
  const std::uint64_t sp = result.registers.rsp;
  if (sp < stack_start_ || sp >= stack_end_) {
    stack_start_ = stack_end_ = 0;
    for (const MapsLine& line : read_maps(pid_)) {
      if (line.start <= sp && sp < line.end) {
        stack_start_ = line.start;
        stack_end_ = line.end;
      }
    }
  }
  if (stack_end_ == 0) return result;
  constexpr std::uint64_t kRedZone = 128;
  result.low = sp - stack_start_ >= kRedZone ? sp - kRedZone : sp;
  result.memory.resize(std::min<std::uint64_t>(stack_end_ - result.low, kMaxCopy));
  iovec here{result.memory.data(), result.memory.size()};
  iovec there{reinterpret_cast<void*>(result.low), result.memory.size()};  // NOLINT: an address of the other process
  const ssize_t got = ::process_vm_readv(pid_, &here, 1, &there, 1, 0);
  result.memory.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return result;
}

std::vector<MapsLine> TracedProgram::code() const {
  auto lines = read_maps(pid_);
  std::erase_if(lines, [](const MapsLine& line) { return !line.executable; });
  return lines;
}

}  // namespace sockleak
