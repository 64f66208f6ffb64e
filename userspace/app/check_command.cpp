// `sockleak check`: a session whose exit status says whether it leaked.
#include "app/commands.hpp"
#include "app/live_session.hpp"

namespace sockleak {

Result<int> run_check(const Options& options) {
  return run_live(options);
}

}  // namespace sockleak
