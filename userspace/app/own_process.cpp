#include "app/own_process.hpp"

#include <sys/resource.h>

#include <string>

#include "base/log.hpp"
#include "base/text.hpp"

namespace sockleak {

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void say_cost(const TimedSymbolizer& symbolizer) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  log::info("names: " + std::to_string(symbolizer.stacks()) + " stacks, " + std::to_string(symbolizer.frames()) +
            " frames in " + duration_text(symbolizer.time()) + "; at most " + std::to_string(used.ru_maxrss / 1024) +
            " MB of memory");
}

}  // namespace sockleak
