// The programs of tests/sysroot and what they say about themselves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stack/module_store.hpp"
#include "stack/stack.hpp"

namespace sockleak::test {

/// One call as the program pushed it. In `function` a trailing '*' stands for anything, '|' separates two spellings.
struct Truth {
  std::string function;
  std::uint32_t line = 0;
  bool inlined = false;
};

struct Recorded {
  std::vector<std::uint64_t> addresses;  // return addresses, file virtual, innermost first; past main too
  std::vector<Truth> truth;              // innermost first, up to main
};

[[nodiscard]] std::string sysroot_path(const std::string& program);
[[nodiscard]] bool sysroot_has(const std::string& program);

/// Runs the program; one entry per truth_record().
[[nodiscard]] std::vector<Recorded> run_program(const std::string& program);

/// Standard output of a shell command.
[[nodiscard]] std::string output_of(const std::string& command);

[[nodiscard]] ModuleId add_module(ModuleStore& modules, const std::string& path);
[[nodiscard]] MappedStack mapped(ModuleId module, const std::vector<std::uint64_t>& addresses,
                                 WalkEnd end = WalkEnd::kComplete);

[[nodiscard]] std::string base_name(const std::string& path);
[[nodiscard]] bool matches(const std::string& name, const std::string& pattern);

/// A directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::string path_;
};

[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace sockleak::test
