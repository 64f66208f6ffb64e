#include "runtime/go/go_feed.hpp"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace sockleak {
namespace {

constexpr std::uint64_t kFound = ~std::uint64_t{0};

/// As the kernel's dev_t has it. A file system that shows another device to stat() is not found by it.
std::optional<sl_go_file> file_of(const Module& module) {
  constexpr unsigned kMinorBits = 20;
  struct stat facts {};
  if (::fstat(module.fd.get(), &facts) != 0) return std::nullopt;
  return sl_go_file{.inode = facts.st_ino,
                    .device = (std::uint64_t{major(facts.st_dev)} << kMinorBits) | minor(facts.st_dev)};
}

}  // namespace

GoFeed::Program& GoFeed::program(ModuleId module) {
  const auto [entry, is_new] = programs_.try_emplace(module);
  if (is_new) entry->second.go = find_go(modules_.get(module));
  return entry->second;
}

void GoFeed::expect(ModuleId module) {
  const auto& go = program(module).go;
  if (!go || go->goid == 0) return;
  if (const auto file = file_of(modules_.get(module))) bpf_map_update_elem(maps_.files, &*file, &*go, BPF_ANY);
}

void GoFeed::examine(AddressSpaceId asid, Pid pid, KernelTime when) {
  std::uint64_t& examined = examined_[asid];
  const std::uint64_t changes = addresses_.changes(pid);
  if (examined == kFound || examined == changes) return;
  examined = changes;
  for (const Mapping& mapping : addresses_.mappings(pid, when)) {
    if (mapping.module == ModuleStore::kUnknown) continue;
    const auto& go = program(mapping.module).go;
    if (!go) continue;
    examined = kFound;
    const Module& module = modules_.get(mapping.module);
    placed_[pid] = {mapping.module, mapping.start - module.address_of_offset(mapping.offset)};
    if (go->goid == 0 || bpf_map_update_elem(maps_.gos, &asid.value, &*go, BPF_ANY) != 0) {
      losses_.add(Counter::go_runtimes_unknown);
    } else {
      expect(mapping.module);
    }
    return;
  }
}

std::optional<GoFeed::Living> GoFeed::living(Pid pid) {
  const auto placed = placed_.find(pid);
  if (placed == placed_.end()) return std::nullopt;
  Program& of = program(placed->second.module);
  if (!of.go || of.go->goid == 0) return std::nullopt;
  if (!of.allgs) of.allgs = go_variable(modules_.get(placed->second.module), "runtime.allgs");
  if (*of.allgs == 0) return std::nullopt;
  return Living{*of.go, *of.allgs + placed->second.bias};
}

void GoFeed::leave_out_inlined(MappedStack& stack) {
  std::vector<MappedFrame> kept;
  for (std::size_t i = 0; i < stack.frames.size();) {
    const MappedFrame frame = stack.frames[i++];
    kept.push_back(frame);
    if (frame.module == ModuleStore::kUnknown || frame.module.value >= modules_.size()) continue;
    auto& table = program(frame.module).table;
    if (!table) table = GoTable::open(modules_.get(frame.module));
    const auto function = table ? table->function_at(frame.address - 1) : std::nullopt;
    if (!function) continue;
    for (std::size_t calls = table->calls_at(frame.address - 1).size(); calls > 1 && i < stack.frames.size(); --calls) {
      const MappedFrame& next = stack.frames[i];
      if (next.module != frame.module || next.address <= function->entry || next.address > function->end) break;
      ++i;
    }
  }
  stack.frames = std::move(kept);
}

void GoFeed::forget(AddressSpaceId asid) {
  examined_.erase(asid);
  bpf_map_delete_elem(maps_.gos, &asid.value);
}

}  // namespace sockleak
