// What needs the kernel, in a build that was made without live tracing (SOCKLEAK_LIVE=OFF).
#include "app/commands.hpp"

namespace sockleak {
namespace {

[[nodiscard]] tl::unexpected<Error> no_live(const char* command) {
  return fail(ErrorKind::kCannotTrace, std::string(command) + " is not possible: built without live tracing",
              "this build reads recordings only: sockleak report FILE.slk");
}

}  // namespace

Result<int> run_trace(const Options&) {
  return no_live("trace");
}
Result<int> run_check(const Options&) {
  return no_live("check");
}
Result<int> run_scan(const Options&) {
  return no_live("scan");
}
Result<int> run_destroy(const Options&) {
  return no_live("destroy");
}
Result<int> run_doctor(const Options&) {
  return no_live("doctor");
}

}  // namespace sockleak
