// A program run under ptrace: real registers and real stacks at real system calls, from programs that know nothing
// of the test. Starts only children of its own, which die with it.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace sockleak {

struct MapsLine {
  std::uint64_t start = 0, end = 0, offset = 0;
  bool executable = false;
  std::string path;
  friend bool operator==(const MapsLine&, const MapsLine&) = default;
};

struct StackSnapshot {
  pid_t tid = 0;
  long system_call = -1;  // -1 = stopped amid instructions
  user_regs_struct registers{};
  std::uint64_t low = 0;          // where memory begins: the red zone below rsp, which libdw may read in epilogues
  std::vector<std::byte> memory;  // from there to the end of the stack's mapping

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::span(memory).subspan(std::min<std::size_t>(registers.rsp - low, memory.size()));
  }
};

class TracedProgram {
 public:
  explicit TracedProgram(std::vector<std::string> arguments, bool bind_now = false);
  ~TracedProgram();
  TracedProgram(const TracedProgram&) = delete;
  TracedProgram& operator=(const TracedProgram&) = delete;

  [[nodiscard]] bool started() const { return pid_ > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Runs to the end of the next of these system calls (empty set: any). Nullopt when the program ended.
  std::optional<StackSnapshot> next_system_call(const std::set<long>& wanted);
  /// Runs one instruction of the thread that stopped last, into signal handlers too.
  std::optional<StackSnapshot> next_instruction();

  /// The executable mappings at the last stop.
  [[nodiscard]] std::vector<MapsLine> code() const;

 private:
  bool resume(int request, int signal);
  StackSnapshot snapshot(long system_call);
  pid_t pid_ = -1;
  pid_t stopped_ = -1;  // the thread to resume, -1 = none
  int pending_ = 0;     // signal to deliver with the next instruction
  std::uint64_t stack_end_ = 0, stack_start_ = 0;
};

}  // namespace sockleak
