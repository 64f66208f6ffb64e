#include "runtime/java/java_feed.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "runtime/java/scopes.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kMaxPending = 1024;  // stacks whose own record was lost must not pile up
constexpr std::size_t kMaxKnown = 1u << 16;  // pieces of code, or methods, of a process; then start anew

// Frames that stand for several, innermost first. No ModuleStore has so many modules.
constexpr ModuleId kFolded{0xfffffffe};

bool is_hotspot(std::string_view path) {
  return path.substr(path.rfind('/') + 1) == "libjvm.so";
}

UnwindRule rule_of(int kind, RuleSource source, std::int32_t cfa_offset = 0, std::int16_t bp_offset = 0) {
  return {.cfa_offset = cfa_offset, .bp_offset = bp_offset, .kind = static_cast<__u8>(kind), .source = static_cast<__u8>(source)};
}

}  // namespace

JavaFeed::Process& JavaFeed::process(Pid pid, KernelTime when) {
  Process& process = processes_.try_emplace(pid, pid).first->second;
  const std::uint64_t changes = addresses_.changes(pid);
  if (process.java || process.changes == changes) return process;
  process.changes = changes;
  for (const Mapping& mapping : addresses_.mappings(pid, when)) {
    if (mapping.module == ModuleStore::kUnknown) continue;
    const Module& module = modules_.get(mapping.module);
    if (!is_hotspot(module.path)) continue;
    process.java = true;
    process.module = mapping.module;
    process.bias = mapping.start - module.address_of_offset(mapping.offset);
    break;
  }
  return process;
}

// Asked for when a stack runs through Java code: the virtual machine has begun by then, and described itself.
void JavaFeed::describe(Process& process) {
  if (process.described) return;
  process.described = true;
  const auto [symbols, is_new] = symbols_.try_emplace(process.module);
  if (is_new) symbols->second = vm_symbols(modules_.get(process.module));
  const auto vm = VmDescription::read(process.memory, symbols->second, process.bias);
  if (vm) process.hotspot = Hotspot::from(process.memory, *vm);
  if (!process.hotspot) losses_.add(Counter::interpreters_unknown);
}

JavaFeed::Code* JavaFeed::code(Process& process, std::uint64_t pc) {
  describe(process);
  if (!process.hotspot) return nullptr;
  auto next = process.code.upper_bound(pc);
  if (next != process.code.begin() && pc <= std::prev(next)->second.blob.code_end) return &std::prev(next)->second;
  auto blob = code_at(process.memory, *process.hotspot, pc);
  if (!blob) return nullptr;
  if (process.code.size() >= kMaxKnown) process.code.clear();
  if (blob->kind == CodeBlob::Kind::kMethod || blob->kind == CodeBlob::Kind::kNativeMethod) {
    const std::array<std::uint64_t, 2> words{blob->start + process.hotspot->compiled.method,
                                             blob->start + process.hotspot->compiled.compile_id};
    process.identities.watch(process.memory, blob->code_begin, blob->code_end, words);
  }
  const std::uint64_t begin = blob->code_begin;
  return &process.code.insert_or_assign(begin, Code{std::move(*blob), {}}).first->second;
}

std::optional<UnwindRule> JavaFeed::rule(Pid pid, KernelTime when, std::uint64_t pc) {
  Process& process = this->process(pid, when);
  if (!process.java) return std::nullopt;
  const Code* code = this->code(process, pc);
  if (code == nullptr) return std::nullopt;
  if (pc == process.hotspot->call_stub_return) return rule_of(SL_RULE_BP, RuleSource::kHotspot, 16, -16);
  const CodeBlob& blob = code->blob;
  if (blob.kind == CodeBlob::Kind::kInterpreter) return rule_of(SL_RULE_INTERPRETED, RuleSource::kHotspot);
  // Where HotSpot has made a frame of this size, the caller's bp lies right below the return address. Of its stubs it does
  // not always say where that is, but at each of their calls it is so.
  const bool complete = blob.frame_complete < 0 ? blob.kind == CodeBlob::Kind::kOther
                                                : pc - blob.code_begin > static_cast<std::uint64_t>(blob.frame_complete);
  if (complete && blob.frame_bytes >= 16) return rule_of(SL_RULE_SP, RuleSource::kHotspot, static_cast<std::int32_t>(blob.frame_bytes), -16);
  return rule_of(SL_RULE_STOP, RuleSource::kNoInformation, 1);
}

JavaFeed::Method& JavaFeed::method(Process& process, std::uint64_t address) {
  if (process.methods.size() >= kMaxKnown) process.methods.clear();
  const auto [entry, is_new] = process.methods.try_emplace(address);
  if (!is_new) return entry->second;
  const Hotspot& hotspot = *process.hotspot;
  entry->second.facts = read_method(process.memory, hotspot, address);
  const std::uint64_t fixed = process.memory.value<std::uint64_t>(address + hotspot.method.const_method).value_or(0);
  const std::uint64_t pool = process.memory.value<std::uint64_t>(fixed + hotspot.method.constants).value_or(0);
  const std::uint64_t holder = process.memory.value<std::uint64_t>(pool + hotspot.method.holder).value_or(0);
  const std::array<std::uint64_t, 5> words{address + hotspot.method.const_method, fixed + hotspot.method.constants,
                                           fixed + hotspot.method.code_size, pool + hotspot.method.holder,
                                           holder + hotspot.method.class_name};
  process.identities.watch(process.memory, address, address, words);
  return entry->second;
}

MappedFrame JavaFeed::named(std::string function) {
  Frame frame;
  frame.kind = FrameKind::kJava;
  frame.function = std::move(function);
  return names_.intern(std::move(frame));
}

MappedFrame JavaFeed::frame(Process& process, std::uint64_t address, std::int64_t index) {
  Method& method = this->method(process, address);
  const auto [entry, is_new] = method.frames.try_emplace(index);
  if (!is_new) return entry->second;
  if (!method.facts) return entry->second = named({});
  Frame frame;
  frame.kind = FrameKind::kJava;
  frame.function = method.facts->name;
  frame.file = method.facts->file;
  if (index >= 0) {
    frame.line = line_of(process.memory, *process.hotspot, *method.facts, static_cast<std::uint32_t>(index));
  }
  return entry->second = names_.intern(std::move(frame));
}

MappedFrame JavaFeed::compiled_frame(Process& process, const CodeBlob& blob, std::uint64_t pc) {
  const Hotspot& hotspot = *process.hotspot;
  const std::uint64_t method = method_of(process.memory, hotspot, blob);
  if (blob.kind == CodeBlob::Kind::kNativeMethod) return frame(process, method, -1);
  const auto scopes = scopes_at(process.memory, hotspot, blob, pc);
  if (scopes.empty()) {
    // A return address is always described, unless the code was given up while the frame was there.
    const bool known = !hotspot.compiled.has_scopes || is_deoptimized(process.memory, hotspot, blob, pc);
    return known ? frame(process, method, -1) : named({});
  }
  std::vector<MappedFrame> chain;
  for (const JavaScope& scope : scopes) chain.push_back(frame(process, scope.method, scope.bytecode));
  if (chain.size() == 1) return chain.front();
  const auto [entry, is_new] = folded_.try_emplace(std::move(chain), unfolded_.size());
  if (is_new) unfolded_.push_back(&entry->first);
  return {kFolded, entry->second};
}

MappedFrame JavaFeed::interpreted_frame(Process& process, const InterpretedFrame& words) {
  const auto& facts = method(process, words.method).facts;
  if (!facts) return named({});
  // A native method has no bytecode; while its code is looked for, what the frame has in that place means nothing.
  if (facts->bytecodes == 0) return frame(process, words.method, -1);
  const std::uint64_t index = words.bytecode - facts->bytecode;
  return index < facts->bytecodes ? frame(process, words.method, static_cast<std::int64_t>(index)) : named({});
}

std::optional<MappedFrame> JavaFeed::name(Pid pid, KernelTime when, std::uint64_t pc, const InterpretedFrame* interpreted,
                                          bool& doubtful) {
  Process& process = this->process(pid, when);
  if (!process.java) return std::nullopt;
  doubtful = process.identities.doubtful(pc, when);
  if (doubtful) return named({});
  Code* code = this->code(process, pc);
  if (code == nullptr) return named({});
  switch (code->blob.kind) {
    case CodeBlob::Kind::kOther:
      return named(pc == process.hotspot->call_stub_return ? "call_stub" : code->blob.name);
    case CodeBlob::Kind::kInterpreter:
      if (interpreted == nullptr || process.identities.doubtful(interpreted->method, when)) return named({});
      return interpreted_frame(process, *interpreted);
    case CodeBlob::Kind::kMethod:
    case CodeBlob::Kind::kNativeMethod:
      break;
  }
  if (const auto known = code->frames.find(pc); known != code->frames.end()) return known->second;
  const MappedFrame frame = compiled_frame(process, code->blob, pc);
  return code->frames.emplace(pc, frame).first->second;
}

void JavaFeed::unfold(MappedStack& stack) const {
  if (std::ranges::none_of(stack.frames, [](const MappedFrame& frame) { return frame.module == kFolded; })) return;
  std::vector<MappedFrame> frames;
  for (const MappedFrame& frame : stack.frames) {
    if (frame.module != kFolded) {
      frames.push_back(frame);
    } else {
      frames.insert(frames.end(), unfolded_[frame.address]->begin(), unfolded_[frame.address]->end());
    }
  }
  stack.frames = std::move(frames);
}

void JavaFeed::on_record(std::span<const std::byte> record) {
  sl_java_stack stack{};
  if (record.size() < sizeof(stack)) {
    losses_.add(Counter::records_malformed);
    return;
  }
  std::memcpy(&stack, record.data(), sizeof(stack));
  if (pending_.size() >= kMaxPending) pending_.clear();
  auto& frames = pending_[stack.stack];
  frames.clear();
  for (std::size_t i = 0; i < std::min<std::size_t>(stack.count, SL_MAX_FRAMES); ++i) {
    frames.push_back({stack.frames[i].frame, stack.frames[i].method, stack.frames[i].bytecode});
  }
}

std::vector<InterpretedFrame> JavaFeed::take(std::uint64_t stack) {
  const auto found = pending_.find(stack);
  if (found == pending_.end()) return {};
  std::vector<InterpretedFrame> frames = std::move(found->second);
  pending_.erase(found);
  return frames;
}

std::vector<JavaFeed::Replaced> JavaFeed::verify(Pid pid, KernelTime when) {
  const auto found = processes_.find(pid);
  if (found == processes_.end() || !found->second.identities.due(when)) return {};
  Process& process = found->second;
  std::vector<Replaced> replaced;
  for (const auto& change : process.identities.check(pid)) {
    if (process.methods.erase(change.begin) == 0) {
      process.code.erase(change.begin);
      replaced.push_back({change.from, change.begin, change.end});
      continue;
    }
    // Frames that were named by it are made anew.
    for (auto& [begin, code] : process.code) code.frames.clear();
  }
  return replaced;
}

bool JavaFeed::methods_replaced(Pid pid, KernelTime one, KernelTime other, std::span<const InterpretedFrame> frames) const {
  const auto found = processes_.find(pid);
  return found != processes_.end() && std::ranges::any_of(frames, [&](const InterpretedFrame& frame) {
           return found->second.identities.changed(frame.method, one, other);
         });
}

}  // namespace sockleak
