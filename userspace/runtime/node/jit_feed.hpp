// Code that a traced process made at run time: its names from the perf map, and its bytes, which are in no file.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "process/procfs.hpp"
#include "runtime/node/perf_map.hpp"
#include "stack/address_map.hpp"
#include "stack/named_frames.hpp"

namespace sockleak {

class JitFeed {
 public:
  JitFeed(const ModuleStore& modules, const AddressMap& addresses, NamedFrames& names)
      : modules_(modules), addresses_(addresses), names_(names) {}

  /// The frame of the return address `pc`, which lies in no file. Without a name it is still a runtime's, if that is
  /// known; nullopt if nothing is.
  std::optional<MappedFrame> name(Pid pid, KernelTime when, std::uint64_t pc);

  /// The bytes of such code, from the living process.
  static bool read_code(Pid pid, std::uint64_t address, std::span<std::byte> out);

  /// Is a runtime known to be in the process? It makes more code executable without a memory-map event, and all of it
  /// keeps frame pointers (Node: V8's profilers walk its frames by them).
  bool is_runtime(Pid pid, KernelTime when) { return process(pid, when).kind != FrameKind::kNative; }

  void forget(Pid pid) { processes_.erase(pid); }

 private:
  struct Process {
    std::uint64_t changes = 0;  // AddressMap::changes() when the runtime was looked for
    FrameKind kind = FrameKind::kNative;
    std::uint64_t inode = 0, size = 0;  // of the map, when it was read
    std::int64_t mtime_ns = 0;
    PerfMap map;
  };
  Process& process(Pid pid, KernelTime when);
  /// The name of the code before `pc`; empty = none.
  static std::string_view name_at(Pid pid, Process& process, std::uint64_t pc);
  static void read_map(Pid pid, Process& process);

  const ModuleStore& modules_;
  const AddressMap& addresses_;
  NamedFrames& names_;
  std::map<Pid, Process> processes_;
};

}  // namespace sockleak
