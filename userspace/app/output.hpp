// Where reports go: standard output, or a file that appears under its name only when it is whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/options.hpp"
#include "base/handle.hpp"
#include "base/result.hpp"
#include "report/writers.hpp"

namespace sockleak {

/// A file that is written beside its final name and renamed; nothing is left if that does not happen. What is no
/// regular file (/dev/null, a pipe) is written to directly.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  /// A part of it.
  Result<void> add(std::string_view text);
  /// All of it, or the rest; the file then has its name.
  Result<void> finish(std::string_view text);

 private:
  OutputFile(std::string path, std::string partial, UniqueFd fd);
  std::string path_;
  std::string partial_;  // empty = written directly, or finished
  UniqueFd fd_;
};

/// Everything to standard output.
[[nodiscard]] Result<void> write_stdout(std::string_view text);

/// The reports of one run.
class Outputs {
 public:
  /// Creates every file now, so that a wrong path is found before an hour of tracing.
  static Result<Outputs> open(const Options& options);
  /// Each output as its format has it, one after the other.
  Result<void> write(const std::vector<Report>& reports);

 private:
  struct Output {
    Format format;
    std::vector<OutputFile> file;  // none = standard output
  };
  explicit Outputs(const Options& options);
  TextOptions text_;
  bool color_;
  std::vector<Output> outputs_;
};

/// A name that may be replaced by a recording: absent, or a regular file.
[[nodiscard]] Result<void> check_replaceable(const std::string& path);

}  // namespace sockleak
