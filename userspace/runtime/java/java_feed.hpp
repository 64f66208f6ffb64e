// The Java side of stacks: how to walk through HotSpot's frames, and their names, from the living process.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/counters.hpp"
#include "runtime/java/code_cache.hpp"
#include "runtime/java/java_identity.hpp"
#include "runtime/java/method.hpp"
#include "runtime/java/process_memory.hpp"
#include "stack/address_map.hpp"
#include "stack/named_frames.hpp"
#include "stack/unwind_rule.hpp"

namespace sockleak {

class JavaFeed {
 public:
  JavaFeed(const ModuleStore& modules, const AddressMap& addresses, NamedFrames& names)
      : modules_(modules), addresses_(addresses), names_(names) {}

  /// Has the process mapped HotSpot?
  bool is_java(Pid pid, KernelTime when) { return process(pid, when).java; }

  /// Nullopt: `pc` is not HotSpot's code.
  std::optional<UnwindRule> rule(Pid pid, KernelTime when, std::uint64_t pc);

  /// The frame of the return address `pc`, which lies in no file; nullopt if the process is no Java program. Where methods
  /// were inlined it stands for all of them until unfold(). `interpreted`: what the frame holds if it is the interpreter's.
  /// Sets `doubtful` if other code may have lain there at that time: then the frame has no name, and how the walk went on
  /// from it is not known.
  std::optional<MappedFrame> name(Pid pid, KernelTime when, std::uint64_t pc, const InterpretedFrame* interpreted, bool& doubtful);
  void unfold(MappedStack& stack) const;

  /// An SL_JAVA_STACK record; its own stack follows and takes the frames.
  void on_record(std::span<const std::byte> record);
  std::vector<InterpretedFrame> take(std::uint64_t stack);

  /// Code that has given way to other code since the last time it was looked at.
  struct Replaced { KernelTime since; std::uint64_t start, end; };
  /// Looks whether what was named is still what it was, if that was not done shortly before `when`.
  std::vector<Replaced> verify(Pid pid, KernelTime when);
  /// Does one of these frames run another method than at another time, as the same words of memory became another one?
  [[nodiscard]] bool methods_replaced(Pid pid, KernelTime one, KernelTime other, std::span<const InterpretedFrame> frames) const;

  void forget(Pid pid) { processes_.erase(pid); }

  [[nodiscard]] Counters losses() const { return losses_; }

 private:
  struct Code {
    CodeBlob blob;
    std::map<std::uint64_t, MappedFrame> frames;  // by return address
  };
  struct Method {
    std::optional<JavaMethod> facts;
    std::map<std::int64_t, MappedFrame> frames;  // by index of the bytecode
  };
  struct Process {
    explicit Process(Pid pid) : memory(pid) {}
    ProcessMemory memory;
    std::uint64_t changes = 0;  // AddressMap::changes() when HotSpot was looked for
    bool java = false, described = false;
    ModuleId module;
    std::uint64_t bias = 0;
    std::optional<Hotspot> hotspot;
    std::map<std::uint64_t, Code> code;  // by where it begins
    std::unordered_map<std::uint64_t, Method> methods;
    JavaIdentities identities;
  };
  Process& process(Pid pid, KernelTime when);
  void describe(Process& process);
  Code* code(Process& process, std::uint64_t pc);
  Method& method(Process& process, std::uint64_t address);
  MappedFrame frame(Process& process, std::uint64_t method, std::int64_t index);
  MappedFrame compiled_frame(Process& process, const CodeBlob& blob, std::uint64_t pc);
  MappedFrame interpreted_frame(Process& process, const InterpretedFrame& words);
  MappedFrame named(std::string function);

  const ModuleStore& modules_;
  const AddressMap& addresses_;
  NamedFrames& names_;
  std::map<Pid, Process> processes_;
  std::unordered_map<ModuleId, VmSymbols> symbols_;
  std::map<std::vector<MappedFrame>, std::uint64_t> folded_;     // innermost first -> index
  std::vector<const std::vector<MappedFrame>*> unfolded_;        // the other way round
  std::unordered_map<std::uint64_t, std::vector<InterpretedFrame>> pending_;
  Counters losses_;
};

}  // namespace sockleak
