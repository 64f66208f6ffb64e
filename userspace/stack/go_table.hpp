// A Go module's own tables (.gopclntab), which the Go runtime needs for its stack traces and which therefore survive
// `go build -ldflags '-s -w'` and strip: functions, lines, inlined calls and how deep each frame is. Go 1.18 and later;
// the formats are those of the Go sources, src/runtime/symtab.go and src/runtime/runtime2.go (_func).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stack/module_reader.hpp"

namespace sockleak {

class GoTable {
 public:
  /// Nullopt unless the file was made by Go and its tables are sound so far as they are looked at here.
  [[nodiscard]] static std::optional<GoTable> open(const Module& module);

  struct Function {
    std::uint64_t entry = 0, end = 0;  // file virtual addresses
    std::uint64_t record = 0;          // where its _func lies
  };
  [[nodiscard]] std::optional<Function> function_at(std::uint64_t address);
  [[nodiscard]] std::string name(const Function& function);

  /// Bytes that the function has put on the stack when it is at `address`, without its return address.
  [[nodiscard]] std::optional<std::int32_t> depth(const Function& function, std::uint64_t address);

  struct Call {
    std::string function, file;  // empty = unknown
    std::uint32_t line = 0;      // 0 = unknown
    bool inlined = false;        // into the next one
  };
  /// Functions at the code address `address`, innermost first; empty if no function of Go's is there.
  [[nodiscard]] std::vector<Call> calls_at(std::uint64_t address);

  /// The 19 of go1.19; 0 = unknown.
  [[nodiscard]] unsigned minor_version() const { return minor_version_; }

 private:
  struct Place {
    std::string file;
    std::uint32_t line = 0;
  };
  struct Inlined {
    std::string function;
    std::uint64_t call = 0;  // an instruction on the line of the call
  };

  explicit GoTable(const Module& module) : reader_(module) {}
  bool read_header(std::uint64_t address);
  void read_version(std::uint64_t section);
  void read_module_data();
  template <typename T>
  [[nodiscard]] std::optional<T> field(const Function& function, std::uint64_t offset) {
    return reader_.value<T>(function.record + offset);
  }
  std::optional<std::int32_t> value_at(const Function& function, std::uint64_t program, std::uint64_t address);
  std::optional<std::uint32_t> varint(std::uint64_t& cursor);
  Place place(const Function& function, std::uint64_t address);
  std::optional<Inlined> inlined_at(const Function& function, std::uint64_t address);

  ModuleReader reader_;
  std::uint64_t table_ = 0;  // address of the header
  bool newer_ = false;       // the format since Go 1.20
  unsigned minor_version_ = 0;
  std::uint64_t functions_ = 0;  // their number
  std::uint64_t text_ = 0, names_ = 0, units_ = 0, files_ = 0, programs_ = 0, index_ = 0;  // addresses
  std::uint64_t inline_trees_ = 0;  // what offsets of FUNCDATA count from; 0 = unknown
};

}  // namespace sockleak
