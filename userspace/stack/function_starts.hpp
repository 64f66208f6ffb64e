// Where functions begin and end, as a file's symbol tables have it.
#pragma once

#include <libelf.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace sockleak {

class FunctionStarts {
 public:
  struct Function { std::uint64_t start, end; };
  /// The function that has the file virtual address `address`; nullopt if no symbol says so. The tables of `elf` are
  /// read at the first call.
  [[nodiscard]] std::optional<Function> around(Elf* elf, std::uint64_t address);

 private:
  void list(Elf* elf);
  std::vector<Function> functions_;
  bool listed_ = false;
};

}  // namespace sockleak
