#include "app/output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace sockleak {
namespace {

[[nodiscard]] Result<void> write_all(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_os(ErrorKind::kOutput, "cannot write " + name);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

/// Colours are for eyes: a terminal that has not asked for none (no-color.org).
[[nodiscard]] bool wants_color() {
  const char* none = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (none == nullptr || *none == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

}  // namespace

Result<void> write_stdout(std::string_view text) {
  return write_all(STDOUT_FILENO, text, "to standard output");
}

Result<void> check_replaceable(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0 || S_ISREG(facts.st_mode)) return {};
  return fail(ErrorKind::kOutput, "cannot write " + path + ": it is no regular file");
}

OutputFile::OutputFile(std::string path, std::string partial, UniqueFd fd)
    : path_(std::move(path)), partial_(std::move(partial)), fd_(std::move(fd)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), partial_(std::exchange(other.partial_, {})), fd_(std::move(other.fd_)) {}

OutputFile::~OutputFile() {
  if (!partial_.empty()) ::unlink(partial_.c_str());
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  struct stat facts {};
  std::string target = path;
  if (::stat(path.c_str(), &facts) == 0) {
    if (!S_ISREG(facts.st_mode)) {
      UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!fd.valid()) return fail_os(ErrorKind::kOutput, "cannot write " + path);
      return OutputFile(path, {}, std::move(fd));
    }
    std::error_code unresolved;  // a symbolic link keeps pointing to the file that is replaced
    if (auto real = std::filesystem::canonical(path, unresolved); !unresolved) target = real.string();
  }
  std::string partial = target + ".partial." + std::to_string(::getpid());
  UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail_os(ErrorKind::kOutput, "cannot create " + path);
  return OutputFile(std::move(target), std::move(partial), std::move(fd));
}

Result<void> OutputFile::add(std::string_view text) {
  return write_all(fd_.get(), text, path_);
}

Result<void> OutputFile::finish(std::string_view text) {
  if (auto ok = write_all(fd_.get(), text, path_); !ok || partial_.empty()) return ok;
  if (::rename(partial_.c_str(), path_.c_str()) != 0) return fail_os(ErrorKind::kOutput, "cannot create " + path_);
  partial_.clear();
  return {};
}

Outputs::Outputs(const Options& options)
    : text_{.color = false, .verbose = options.verbose, .top = options.top}, color_(options.color && wants_color()) {}

Result<Outputs> Outputs::open(const Options& options) {
  Outputs outputs(options);
  for (const OutputChoice& choice : options.outputs) {
    Output output{choice.format, {}};
    if (!choice.path.empty()) {
      auto file = OutputFile::create(choice.path);
      if (!file) return tl::unexpected(file.error());
      output.file.push_back(std::move(*file));
    }
    outputs.outputs_.push_back(std::move(output));
  }
  return outputs;
}

Result<void> Outputs::write(const std::vector<Report>& reports) {
  for (Output& output : outputs_) {
    TextOptions options = text_;
    options.color = output.file.empty() && color_;
    std::string text;
    for (const Report& report : reports) {
      if (!text.empty() && output.format == Format::kText) text += '\n';
      text += output.format == Format::kJson ? write_json(report) : write_text(report, options);
    }
    if (auto ok = output.file.empty() ? write_stdout(text) : output.file.front().finish(text); !ok) return ok;
  }
  return {};
}

}  // namespace sockleak
