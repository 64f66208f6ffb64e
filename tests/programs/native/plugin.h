// What plugin.c and plugins.c agree on.
#ifndef SOCKLEAK_TESTS_PLUGIN_H
#define SOCKLEAK_TESTS_PLUGIN_H

#include <stdbool.h>

// A place in a source; AT() notes it on the very line of the call, so the truth cannot drift from the source.
struct place {
  const char* function;
  int line, count;
};
#define AT(place, call) \
  ((void)((place).function = __func__), (void)((place).line = __LINE__), (void)(place).count++, (call))

typedef int open_in_plugin_function(struct place* opened, bool keeps);

#endif
