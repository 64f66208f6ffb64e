// sockleak: parses the command line, runs the subcommand, prints the one error line, chooses the exit status.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "app/commands.hpp"
#include "app/output.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace {

using namespace sockleak;

constexpr int kUsageStatus = 2, kCannotStatus = 3;

/// If our caller has closed one of the first three descriptors, the next file we open would take its place, and a
/// report be written into it. Closed ones become read-only: writing to them fails, as it should.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
  }
}

int complain(const Error& error) {
  std::string line = error.message();
  if (!error.hint.empty()) line += "; " + error.hint;
  log::error(escape_terminal(line));
  return error.kind == ErrorKind::kUsage || error.kind == ErrorKind::kInput ? kUsageStatus : kCannotStatus;
}

Result<int> run(const Options& options) {
  const auto level = std::getenv("SOCKLEAK_DEBUG") != nullptr ? log::Level::kDebug
                     : options.quiet                          ? log::Level::kError
                     : options.verbose                        ? log::Level::kInfo
                                                              : log::Level::kWarning;
  log::configure(level, options.color && ::isatty(STDERR_FILENO) == 1);
  switch (options.subcommand) {
    case Subcommand::kTrace:
      return run_trace(options);
    case Subcommand::kCheck:
      return run_check(options);
    case Subcommand::kReport:
      return run_report(options);
    case Subcommand::kScan:
      return run_scan(options);
    case Subcommand::kDestroy:
      return run_destroy(options);
    case Subcommand::kDoctor:
      return run_doctor(options);
  }
  return kUsageStatus;
}

int run(const std::vector<std::string>& arguments) {
  log::configure(log::Level::kWarning, false);
  if (::getuid() != ::geteuid()) {  // whoever may run it could watch every process and write files as its owner
    return complain(Error{ErrorKind::kCannotTrace, "refusing to run setuid", 0, "give capabilities, or use sudo"});
  }
  const auto parsed = parse_options(arguments);
  if (!parsed) return complain(parsed.error());
  if (const auto* words = std::get_if<Words>(&*parsed)) {
    const auto written = write_stdout(words->text);
    return written ? 0 : complain(written.error());
  }
  const auto status = run(std::get<Options>(*parsed));
  return status ? *status : complain(status.error());
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  try {
    return run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& exception) {  // none of ours: no memory, or a library's
    std::fprintf(stderr, "sockleak: %s\n", exception.what());
    return kCannotStatus;
  }
}
