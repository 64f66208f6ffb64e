// Loads one library after the other at the same address, has each make a socket and unloads it again. Those of the
// second leak, every fourth time.
//   plugins [--repaired] [--truth FILE] LIBRARY...
#define _GNU_SOURCE  // dladdr
#include "plugin.h"

#include <dlfcn.h>
#include <err.h>
#include <stdio.h>
#include <string.h>

enum { kRounds = 20, kLeakEvery = 4, kMostLibraries = 8 };

static struct place opened[kMostLibraries];
static int leaked[kMostLibraries];

// Returns where the library was.
__attribute__((noipa)) static void* use(const char* library, int index, bool keeps) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) errx(70, "%s", dlerror());
  open_in_plugin_function* open = (open_in_plugin_function*)dlsym(handle, "open_in_plugin");
  Dl_info info;
  if (open == NULL || dladdr((void*)open, &info) == 0) errx(70, "%s: %s", library, dlerror());
  leaked[index] += keeps && open(&opened[index], keeps) >= 0;
  if (!keeps) open(&opened[index], keeps);
  opened[index].function = NULL;  // it was in the library
  void* base = info.dli_fbase;
  if (dlclose(handle) != 0) errx(70, "dlclose");
  return base;
}

int main(int argc, char** argv) {
  bool repaired = false, same_place = true;
  const char *truth_path = NULL, *libraries[kMostLibraries];
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) repaired = true;
    else if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) truth_path = argv[++i];
    else if (count < kMostLibraries) libraries[count++] = argv[i];
  }
  const void* base = NULL;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < count; ++i) {
      const void* here = use(libraries[i], i, i == 1 && round % kLeakEvery == 0 && !repaired);
      if (base != NULL && here != base) same_place = false;
      base = here;
    }
  }
  FILE* truth = truth_path == NULL ? stdout : fopen(truth_path, "w");
  if (truth == NULL) err(70, "%s", truth_path);
  fprintf(truth, "{\"program\":\"plugins\",\"same_place\":%s,\"libraries\":[", same_place ? "true" : "false");
  for (int i = 0; i < count; ++i) {
    fprintf(truth, "%s{\"library\":\"%s\",\"file\":\"plugin.c\",\"line\":%d,\"created\":%d,\"leaked\":%d}",
            i == 0 ? "" : ",", strrchr(libraries[i], '/') + 1, opened[i].line, opened[i].count, leaked[i]);
  }
  fprintf(truth, "]}\n");
  return fclose(truth) == 0 ? 0 : 70;
}
