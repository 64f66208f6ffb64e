// Symbolizer on libdw: keeps one ModuleSymbols per module and every answer. Where separate debug files may come from
// is decided here.
#include <elfutils/libdwfl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/go/go_frames.hpp"
#include "symbolize/debuginfod.hpp"
#include "symbolize/dwfl_module_symbols.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

int no_other_elf(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) {
  return -1;
}

/// The module's path may be another container's, or the file be replaced since. So a debug file is taken only if the
/// build-id or the debug link's checksum proves that it belongs to the module: libdwfl checks either when there is
/// one, and without both it would take "NAME.debug" unseen.
int find_proven_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base, const char* file,
                          const char* debug_link, GElf_Word checksum, char** found) {
  const unsigned char* bits = nullptr;
  GElf_Addr address = 0;
  if (dwfl_module_build_id(module, &bits, &address) <= 0 && (debug_link == nullptr || checksum == 0)) return -1;
  // A debug link is a file name (objcopy writes no other); a path could lead anywhere on this machine. The exception
  // are supplementary files (.gnu_debugaltlink), which are absolute and always have a build-id.
  if (debug_link != nullptr && debug_link[0] != '/' &&
      std::string_view(debug_link).find('/') != std::string_view::npos) {
    return -1;
  }
  return dwfl_standard_find_debuginfo(module, data, name, base, file, debug_link, checksum, found);
}

int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base, const char* file,
                   const char* debug_link, GElf_Word checksum, char** found) {
  return static_cast<Debuginfod*>(*data)->search(
      [&] { return find_proven_debuginfo(module, data, name, base, file, debug_link, checksum, found); });
}

class DwflSymbolizer final : public Symbolizer {
 public:
  DwflSymbolizer(const ModuleStore& modules, const SymbolizerOptions& options)
      : modules_(modules),
        named_(options.named),
        servers_(options.debuginfod),
        // '+': checksums are verified; "" and ".debug": beside the module.
        search_path_("+:.debug:" + options.debug_directories),
        search_path_pointer_(search_path_.data()) {
    callbacks_.find_elf = no_other_elf;
    callbacks_.find_debuginfo = find_debuginfo;
    callbacks_.section_address = dwfl_offline_section_address;
    callbacks_.debuginfo_path = &search_path_pointer_;
  }

  Stack symbolize(const MappedStack& stack) override {
    Stack result;
    for (const MappedFrame& frame : stack.frames) {
      const std::vector<Frame>& functions = functions_at(frame);
      result.frames.insert(result.frames.end(), functions.begin(), functions.end());
    }
    result.truncated = stack.end != WalkEnd::kComplete;
    if (result.truncated) result.why = why_short(stack.end);
    return result;
  }

 private:
  const std::vector<Frame>& functions_at(const MappedFrame& at) {
    const auto [entry, is_new] = cache_.try_emplace(at);
    if (is_new) entry->second = look_up(at);
    return entry->second;
  }

  std::vector<Frame> look_up(const MappedFrame& at) {
    if (const Frame* named = named_ == nullptr ? nullptr : named_->find(at)) return {*named};
    if (at.module == ModuleStore::kUnknown || at.module.value >= modules_.size()) {
      Frame frame;
      frame.offset = at.address;
      frame.gap = NameGap::kNoFile;
      return {frame};
    }
    const Module& module = modules_.get(at.module);
    // Every frame holds the address after a call or a syscall instruction, which may belong to the next line or,
    // after a call that never returns, to the next function.
    std::vector<Frame> frames = functions_of(at.module, module, at.address == 0 ? 0 : at.address - 1);
    for (Frame& frame : frames) {
      frame.module = module.path;
      frame.build_id = module.build_id;
      frame.offset = at.address;
    }
    return frames;
  }

  std::vector<Frame> functions_of(ModuleId id, const Module& module, std::uint64_t pc) {
    auto& [go, native] = symbols_[id];
    if (native == nullptr) {
      native = std::make_unique<ModuleSymbols>(module, callbacks_, &servers_);
      go = GoTable::open(module);
    }
    // Go's own table comes first: it says the same whether or not the program has been stripped.
    if (go) {
      if (auto frames = go_frames(*go, pc); !frames.empty()) return frames;
    }
    return native->functions_at(pc);
  }

  struct Symbols {
    std::optional<GoTable> go;
    std::unique_ptr<ModuleSymbols> native;
  };
  const ModuleStore& modules_;
  const NamedFrames* named_;
  Debuginfod servers_;
  std::string search_path_;
  char* search_path_pointer_;
  Dwfl_Callbacks callbacks_{};  // borrowed by every Dwfl in symbols_
  std::unordered_map<ModuleId, Symbols> symbols_;
  std::map<MappedFrame, std::vector<Frame>> cache_;
};

}  // namespace

std::unique_ptr<Symbolizer> make_dwfl_symbolizer(const ModuleStore& modules, const SymbolizerOptions& options) {
  return std::make_unique<DwflSymbolizer>(modules, options);
}

}  // namespace sockleak
