// The Python side of stacks: finds interpreters in the traced processes and tells the kernel side where their frames are,
// turns the frames that come back into names, and puts them between the native frames of the interpreter's loop.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/counters.hpp"
#include "runtime/python/code_object.hpp"
#include "runtime/python/interpreter.hpp"
#include "stack/address_map.hpp"
#include "stack/named_frames.hpp"

namespace sockleak {

class PythonFeed {
 public:
  /// Borrowed map descriptors of the loaded programs.
  struct Maps { int pythons = -1; int seen = -1; };

  PythonFeed(const ModuleStore& modules, const AddressMap& addresses, NamedFrames& names)
      : modules_(modules), addresses_(addresses), names_(names) {}
  void use(Maps maps) { maps_ = maps; }

  /// Looks for an interpreter in what the process maps, if that has changed since the last time.
  void examine(AddressSpaceId asid, Pid pid, KernelTime when);
  [[nodiscard]] bool has_interpreter(AddressSpaceId asid) const;

  /// An SL_PYTHON_CODE or SL_PYTHON_STACK record.
  void on_record(const sl_header& header, std::span<const std::byte> record);

  /// Is this return address in the interpreter's loop?
  [[nodiscard]] bool is_loop(AddressSpaceId asid, std::uint64_t pc) const;
  /// Puts the Python frames of stack `hash` into it, in place of the interpreter's own: the same call takes other ways
  /// through the interpreter when it has become frequent. Frames of extension modules and of libc stay. `raw` are the
  /// addresses of the stack's frames, one by one.
  void merge(AddressSpaceId asid, std::uint64_t hash, const RawStack& raw, MappedStack& stack);

  /// Nothing uses the address space any more.
  void forget(AddressSpaceId asid);

  [[nodiscard]] Counters losses() const { return losses_; }

 private:
  using CodeId = std::pair<std::uint64_t, std::uint32_t>;  // address and check
  struct Space {
    std::uint64_t examined = 0;  // AddressMap::changes() then
    std::optional<PythonInterpreter> python;
    ModuleId module;  // that it is in
    std::uint64_t bias = 0;  // of its addresses in the process
    std::map<CodeId, PythonCode> codes;
    std::vector<std::uint64_t> keys;  // in the kernel side's table
  };
  struct Pending {
    struct Entry {
      MappedFrame frame;
      bool begins_loop;
    };
    std::vector<Entry> frames;
    std::uint8_t end = 0;
  };
  void forget_codes(Space& space) const;
  const std::optional<PythonInterpreter>& interpreter_in(ModuleId module);
  void on_code(std::span<const std::byte> record);
  void on_stack(std::span<const std::byte> record);
  MappedFrame name(const Space& space, const sl_python_frame& frame);

  const ModuleStore& modules_;
  const AddressMap& addresses_;
  NamedFrames& names_;
  Maps maps_;
  std::unordered_map<AddressSpaceId, Space> spaces_;
  std::unordered_map<ModuleId, std::optional<PythonInterpreter>> interpreters_;
  std::unordered_map<std::uint64_t, Pending> pending_;  // by stack; the stack's own record follows at once
  Counters losses_;
};

}  // namespace sockleak
