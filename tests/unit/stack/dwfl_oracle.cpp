#include "unit/stack/dwfl_oracle.hpp"

#include <array>
#include <cstring>

namespace sockleak {
namespace {

int no_debug_files(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) {
  return -1;  // both sides shall read the same file
}

pid_t next_thread(Dwfl*, void* argument, void** thread_argument) {
  if (*thread_argument != nullptr) return 0;
  *thread_argument = argument;
  return static_cast<DwflOracle*>(argument)->pid_;
}

bool memory_read(Dwfl*, Dwarf_Addr address, Dwarf_Word* result, void* argument) {
  const StackSnapshot& snapshot = *static_cast<DwflOracle*>(argument)->current_;
  const std::uint64_t offset = address - snapshot.low;
  if (address < snapshot.low || snapshot.memory.size() < 8 || offset > snapshot.memory.size() - 8) return false;
  std::memcpy(result, snapshot.memory.data() + offset, 8);
  return true;
}

bool initial_registers(Dwfl_Thread* thread, void* argument) {
  const auto& r = static_cast<DwflOracle*>(argument)->current_->registers;
  const std::array<Dwarf_Word, 17> words{r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
                                         r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
  return dwfl_thread_state_registers(thread, 0, words.size(), words.data());
}

constexpr Dwfl_Callbacks kFiles{.find_elf = dwfl_linux_proc_find_elf,
                                .find_debuginfo = no_debug_files,
                                .section_address = nullptr,
                                .debuginfo_path = nullptr};
constexpr Dwfl_Thread_Callbacks kThreads{.next_thread = next_thread,
                                         .get_thread = nullptr,
                                         .memory_read = memory_read,
                                         .set_initial_registers = initial_registers,
                                         .detach = nullptr,
                                         .thread_detach = nullptr};

int collect(Dwfl_Frame* frame, void* argument) {
  auto& frames = *static_cast<std::vector<std::uint64_t>*>(argument);
  Dwarf_Addr pc = 0;
  if (!dwfl_frame_pc(frame, &pc, nullptr)) return DWARF_CB_ABORT;
  frames.push_back(pc);
  return frames.size() < 1000 ? DWARF_CB_OK : DWARF_CB_ABORT;
}

}  // namespace

DwflOracle::DwflOracle(pid_t pid) : pid_(pid), dwfl_(dwfl_begin(&kFiles)) {
  dwfl_report_begin(dwfl_.get());
  if (dwfl_linux_proc_report(dwfl_.get(), pid) != 0) return;
  dwfl_report_end(dwfl_.get(), nullptr, nullptr);
  attached_ = dwfl_attach_state(dwfl_.get(), nullptr, pid, &kThreads, this);
}

OracleWalk DwflOracle::walk(const StackSnapshot& snapshot) {
  OracleWalk walk;
  if (!attached_) return walk;
  current_ = &snapshot;
  walk.complete = dwfl_getthread_frames(dwfl_.get(), pid_, collect, &walk.frames) == 0;
  return walk;
}

}  // namespace sockleak
