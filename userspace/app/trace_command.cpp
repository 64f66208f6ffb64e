// `sockleak trace`: a session whose report is for reading.
#include "app/commands.hpp"
#include "app/live_session.hpp"

namespace sockleak {

Result<int> run_trace(const Options& options) {
  return run_live(options);
}

}  // namespace sockleak
