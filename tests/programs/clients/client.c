#include "client.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

struct options begin(int argc, char** argv) {
  struct options options = {.truth = "/dev/null"};
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--repaired") == 0) options.repaired = true;
    if (strcmp(argv[i], "--pool") == 0) options.pool = true;
    if (strcmp(argv[i], "--wait") == 0) options.wait = true;
    if (strcmp(argv[i], "--truth") == 0 && i + 1 < argc) options.truth = argv[++i];
    if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) options.port = argv[++i];
  }
  if (options.wait && (puts("ready") < 0 || fflush(stdout) != 0 || getchar() == EOF)) err(70, "wait");
  return options;
}

static void print_place(FILE* file, const char* program, const struct place* place) {
  fprintf(file, "{\"file\":\"%s.c\",\"line\":%d,\"function\":\"%s\",\"count\":%d}", program, place->line,
          place->function == NULL ? "" : place->function, place->count);
}

int finish(const struct options* options, const char* program, int leaked, const struct place* opened,
           const struct place* closed) {
  FILE* truth = fopen(options->truth, "w");
  if (truth == NULL) err(70, "%s", options->truth);
  fprintf(truth, "{\"program\":\"%s\",\"leaked\":%d,\"created\":%d,\"created_at\":", program,
          options->repaired ? 0 : leaked, opened->count);
  print_place(truth, program, opened);
  fprintf(truth, ",\"closed_at\":[");
  print_place(truth, program, closed);
  fprintf(truth, "]}\n");
  if (fclose(truth) != 0) return 70;
  if (options->wait) {
    if (puts("done") < 0 || fflush(stdout) != 0) err(70, "done");
    while (getchar() != EOF) {
    }
  }
  return 0;
}
