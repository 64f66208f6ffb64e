#include "unit/stack/own_code.hpp"

#include <fcntl.h>

#include <fstream>
#include <string>

// .cfi_escape: 0x0f def_cfa_expression, 0x10 expression; 0x76 breg6 (rbp), 0x77 breg7 (rsp), 0x06 deref.
asm(R"(
  .pushsection .text.sl_own_code, "ax", @progbits
  .macro sl_begin name
  .globl \name
  .type \name\()_function, @function
\name\()_function:
  .cfi_startproc
  .endm
  .macro sl_call name
  nop
  call \name\()_function
\name:
  nop
  .endm
  .macro sl_finish name
  .cfi_endproc
  .size \name\()_function, . - \name\()_function
  .endm

  sl_begin sl_sp_frame
  .cfi_def_cfa_offset 48
  .cfi_offset 6, -32
  sl_call sl_sp_frame
  sl_finish sl_sp_frame

  sl_begin sl_sp_frame_bp_kept
  .cfi_def_cfa_offset 16
  sl_call sl_sp_frame_bp_kept
  sl_finish sl_sp_frame_bp_kept

  sl_begin sl_bp_frame
  .cfi_def_cfa 6, 16
  .cfi_offset 6, -16
  sl_call sl_bp_frame
  sl_finish sl_bp_frame

  sl_begin sl_realigned
  .cfi_escape 0x0f, 3, 0x76, 0x78, 0x06
  .cfi_escape 0x10, 6, 2, 0x76, 0
  sl_call sl_realigned
  sl_finish sl_realigned

  sl_begin sl_sp_deref
  .cfi_escape 0x0f, 3, 0x77, 24, 0x06
  sl_call sl_sp_deref
  sl_finish sl_sp_deref

  sl_begin sl_outermost
  .cfi_undefined 16
  sl_call sl_outermost
  sl_finish sl_outermost

  sl_begin sl_signal
  .cfi_signal_frame
  .cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06
  .cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0x00
  .cfi_escape 0x10, 16, 3, 0x77, 0xa8, 0x01
  sl_call sl_signal
  sl_finish sl_signal

  sl_begin sl_other_cfa
  .cfi_def_cfa 3, 32
  sl_call sl_other_cfa
  sl_finish sl_other_cfa

  sl_begin sl_other_return
  .cfi_def_cfa_offset 48
  .cfi_offset 16, -24
  sl_call sl_other_return
  sl_finish sl_other_return

  sl_begin sl_far_bp
  .cfi_def_cfa_offset 48000
  .cfi_offset 6, -40000
  sl_call sl_far_bp
  sl_finish sl_far_bp

  sl_begin sl_bp_in_register
  .cfi_def_cfa_offset 48
  .cfi_register 6, 3
  sl_call sl_bp_in_register
  sl_finish sl_bp_in_register

  sl_begin sl_last_call
  .cfi_def_cfa_offset 64
  call sl_last_call_function
  sl_finish sl_last_call
sl_last_call:
  .cfi_startproc
  .cfi_def_cfa_offset 8
  nop
  .cfi_endproc

  .globl sl_bare, sl_bare_syscall, sl_bare_signal
  call sl_bare
sl_bare:
  nop
  syscall
sl_bare_syscall:
  ret
sl_bare_signal:
  mov $15, %rax
  syscall

  sl_begin sl_no_call
  .cfi_def_cfa_offset 16
  nop
  nop
  nop
  nop
  nop
  nop
  nop
  nop
sl_no_call:
  nop
  sl_finish sl_no_call
  .popsection
)");

namespace sockleak {

OwnProcess::OwnProcess() {
  program = modules.add("self", UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0, end = 0, offset = 0;
    char access[5] = {};
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &start, &end, access, &offset, &path_at) < 4) continue;
    const std::string path = line.substr(static_cast<std::size_t>(path_at));
    if (access[2] != 'x' || !path.starts_with('/')) continue;
    const ModuleId module = modules.add(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
    addresses.map(kPid, KernelTime{}, {start, end, offset, module});
  }
}

std::uint64_t OwnProcess::file_address(const char* label) const {
  const Mapping* mapping = addresses.find(kPid, kNow, address_of(label));
  if (mapping == nullptr || mapping->module != program) return 0;
  return modules.get(program).address_of_offset(mapping->offset + (address_of(label) - mapping->start));
}

}  // namespace sockleak
