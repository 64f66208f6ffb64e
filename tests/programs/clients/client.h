// What the clients of libraries share: where they call them, and how they tell it.
#ifndef SOCKLEAK_TESTS_CLIENT_H
#define SOCKLEAK_TESTS_CLIENT_H

#include <stdbool.h>

// A place in a source; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  const char* function;
  int line, count;
};
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

struct options {
  bool repaired, pool, wait;
  const char *truth, *port;
};

// --repaired, --pool, --wait, --truth FILE, --port PORT; with --wait it says "ready" and waits for a line on stdin.
struct options begin(int argc, char** argv);
// Prints the truth; with --wait it says "done" and waits for the end of stdin.
int finish(const struct options* options, const char* program, int leaked, const struct place* opened,
           const struct place* closed);

#endif
