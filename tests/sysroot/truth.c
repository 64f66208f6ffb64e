/* Prints "pc ADDRESS" for each return address in this program, as a virtual address of its file, innermost first, and
 * "at LINE REAL|INLINED FUNCTION" for each pushed call, innermost first. */
#define _GNU_SOURCE
#include "truth.h"

#include <execinfo.h>
#include <link.h>
#include <stdio.h>

static struct { const char* function; int inlined, line; } places[64];
static int depth;

void truth_enter(const char* function, int inlined, int line) {
  places[depth].function = function;
  places[depth].inlined = inlined;
  places[depth++].line = line;
}

void truth_leave(void) { --depth; }

struct program { ElfW(Addr) bias, start, end; };

/* The first object is the program itself. */
static int look(struct dl_phdr_info* info, size_t size, void* data) {
  struct program* program = data;
  (void)size;
  program->bias = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* header = &info->dlpi_phdr[i];
    if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
    program->start = header->p_vaddr;
    program->end = header->p_vaddr + header->p_memsz;
  }
  return 1;
}

NEVER void truth_record(void) {
  void* addresses[64];
  struct program program = {0, 0, 0};
  dl_iterate_phdr(look, &program);
  const int count = backtrace(addresses, 64);
  for (int i = 1; i < count; ++i) { /* [0] is in here */
    const ElfW(Addr) address = (ElfW(Addr))addresses[i] - program.bias;
    if (address >= program.start && address < program.end) printf("pc %lx\n", (unsigned long)address);
  }
  for (int i = depth - 1; i >= 0; --i) {
    printf("at %d %s %s\n", places[i].line, places[i].inlined ? "INLINED" : "REAL", places[i].function);
  }
  printf("end\n");
}
