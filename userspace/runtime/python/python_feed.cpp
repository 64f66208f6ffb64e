#include "runtime/python/python_feed.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>

namespace sockleak {
namespace {

constexpr std::size_t kMaxPending = 1024;  // stacks whose own record was lost must not pile up
constexpr std::size_t kMostCodes = 16384;   // of a program that makes functions without end

}  // namespace

bool PythonFeed::has_interpreter(AddressSpaceId asid) const {
  const auto space = spaces_.find(asid);
  return space != spaces_.end() && space->second.python.has_value();
}

const std::optional<PythonInterpreter>& PythonFeed::interpreter_in(ModuleId module) {
  const auto [entry, is_new] = interpreters_.try_emplace(module);
  if (is_new) entry->second = find_python(modules_.get(module));
  return entry->second;
}

void PythonFeed::examine(AddressSpaceId asid, Pid pid, KernelTime when) {
  Space& space = spaces_[asid];
  const std::uint64_t changes = addresses_.changes(pid);
  if (space.python || space.examined == changes) return;
  space.examined = changes;
  for (const Mapping& mapping : addresses_.mappings(pid, when)) {
    if (mapping.module == ModuleStore::kUnknown) continue;
    const auto& python = interpreter_in(mapping.module);
    if (!python) continue;
    const std::uint64_t bias = mapping.start - modules_.get(mapping.module).address_of_offset(mapping.offset);
    space.python = python;
    space.module = mapping.module;
    space.bias = bias;
    if (python->minor == 0) {
      losses_.add(Counter::interpreters_unknown);
      return;
    }
    const sl_python layout = python->at(bias);
    if (bpf_map_update_elem(maps_.pythons, &asid.value, &layout, BPF_ANY) != 0) {
      losses_.add(Counter::interpreters_unknown);
    }
    return;
  }
}

void PythonFeed::on_record(const sl_header& header, std::span<const std::byte> record) {
  if (header.type == SL_PYTHON_CODE) on_code(record);
  if (header.type == SL_PYTHON_STACK) on_stack(record);
}

void PythonFeed::on_code(std::span<const std::byte> record) {
  sl_python_code code{};
  if (record.size() >= sizeof(code)) std::memcpy(&code, record.data(), sizeof(code));
  const auto space = spaces_.find(AddressSpaceId{code.asid});
  if (record.size() < sizeof(code) || code.lines > record.size() - sizeof(code)) {
    losses_.add(Counter::records_malformed);
    return;
  }
  if (space == spaces_.end() || !space->second.python) return;  // its process has ended meanwhile
  const unsigned minor = space->second.python->minor;
  PythonCode known;
  known.name = python_text(minor, std::as_bytes(std::span(code.name)));
  known.file = python_text(minor, std::as_bytes(std::span(code.file)));
  known.first_line = static_cast<std::uint32_t>(std::max(code.first_line, 0));
  const auto lines = record.subspan(sizeof(code), code.lines);
  known.lines.assign(lines.begin(), lines.end());
  if (space->second.codes.size() >= kMostCodes) forget_codes(space->second);
  const bool is_new = space->second.codes.insert_or_assign(CodeId(code.code, code.check), std::move(known)).second;
  if (is_new) space->second.keys.push_back(code.key);
}

MappedFrame PythonFeed::name(const Space& space, const sl_python_frame& frame) {
  Frame named;
  named.kind = FrameKind::kPython;
  const auto code = space.codes.find(CodeId(frame.code, frame.check));
  if (code == space.codes.end() || code->second.name.empty()) {
    losses_.add(Counter::python_names_lost);
    named.gap = NameGap::kNoCode;
  } else {
    named.function = code->second.name;
    named.file = code->second.file;
    named.line = python_line(space.python->minor, code->second, frame.place & ~SL_PYTHON_ENTRY);
  }
  return names_.intern(std::move(named));
}

void PythonFeed::on_stack(std::span<const std::byte> record) {
  sl_python_stack stack{};
  if (record.size() < sizeof(stack)) {
    losses_.add(Counter::records_malformed);
    return;
  }
  std::memcpy(&stack, record.data(), sizeof(stack));
  const auto space = spaces_.find(AddressSpaceId{stack.asid});
  if (space == spaces_.end() || !space->second.python) return;
  if (pending_.size() >= kMaxPending) pending_.clear();
  Pending& pending = pending_[stack.stack];
  pending = {};
  pending.end = stack.end;
  for (std::size_t i = 0; i < std::min<std::size_t>(stack.count, SL_PYTHON_FRAMES); ++i) {
    const sl_python_frame& frame = stack.frames[i];
    pending.frames.push_back({name(space->second, frame), (frame.place & SL_PYTHON_ENTRY) != 0});
  }
}

bool PythonFeed::is_loop(AddressSpaceId asid, std::uint64_t pc) const {
  const auto space = spaces_.find(asid);
  if (space == spaces_.end() || !space->second.python) return false;
  return std::ranges::any_of(space->second.python->loop,
                             [&](CodeRange part) { return part.has_call_before(pc - space->second.bias); });
}

void PythonFeed::merge(AddressSpaceId asid, std::uint64_t hash, const RawStack& raw, MappedStack& stack) {
  const auto at = spaces_.find(asid);
  if (at == spaces_.end() || !at->second.python) return;
  const Space& space = at->second;
  const auto in_loop = [&](std::uint64_t pc) { return is_loop(asid, pc); };
  auto loops = std::count_if(raw.frames.begin(), raw.frames.end(), in_loop);
  const auto found = pending_.find(hash);
  if (found == pending_.end()) {
    if (loops != 0) losses_.add(Counter::python_stacks_missed);
    return;
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  std::vector<MappedFrame> merged;
  auto next = pending.frames.begin();
  for (std::size_t i = 0; i < stack.frames.size(); ++i) {
    if (in_loop(raw.frames[i])) {
      --loops;
      // What is left over is further out: behind the last loop there may be frames that the native walk did not reach.
      for (bool goes_on = true; next != pending.frames.end() && (goes_on || loops == 0); ++next) {
        merged.push_back(next->frame);
        goes_on = goes_on && !next->begins_loop;
      }
    }
    if (stack.frames[i].module != space.module) merged.push_back(stack.frames[i]);
  }
  for (; next != pending.frames.end(); ++next) merged.push_back(next->frame);
  stack.frames = std::move(merged);
  if (stack.end != WalkEnd::kComplete) return;
  if (pending.end == SL_PYTHON_CUT) stack.end = WalkEnd::kDepth;
  if (pending.end == SL_PYTHON_BROKEN) stack.end = WalkEnd::kInsane;
}

/// The kernel side sends them again with the next new stack that has them.
void PythonFeed::forget_codes(Space& space) const {
  for (const std::uint64_t key : space.keys) bpf_map_delete_elem(maps_.seen, &key);
  space.keys.clear();
  space.codes.clear();
}

void PythonFeed::forget(AddressSpaceId asid) {
  const auto space = spaces_.find(asid);
  if (space == spaces_.end()) return;
  forget_codes(space->second);
  if (space->second.python) bpf_map_delete_elem(maps_.pythons, &asid.value);
  spaces_.erase(space);
}

}  // namespace sockleak
