#include "runtime/java/hotspot.hpp"

#include <initializer_list>
#include <string_view>

namespace sockleak {
namespace {

using std::string_view;

constexpr unsigned kOldest = 11;     // the interpreter's frames differ before
constexpr unsigned kPcDescSize = 16;

/// Collects fields; afterwards ok() says whether all were there.
class Needed {
 public:
  explicit Needed(const VmDescription& vm) : vm_(vm) {}

  /// The first of these names that is known.
  std::uint64_t field(std::initializer_list<string_view> names) {
    for (const string_view name : names) {
      if (const auto offset = vm_.field(name)) return check(*offset);
    }
    ok_ = false;
    return 0;
  }
  std::uint64_t field(string_view name) { return field({name}); }
  std::uint64_t static_field(string_view name) {
    const auto address = vm_.static_field(name);
    ok_ = ok_ && address && *address != 0;
    return address.value_or(0);
  }
  std::uint64_t size_of(string_view type) {
    const auto size = vm_.size_of(type);
    ok_ = ok_ && size;
    return check(size.value_or(0));
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::uint64_t check(std::uint64_t offset) {
    ok_ = ok_ && offset < 4096;  // no structure of HotSpot's that is of interest is larger
    return offset;
  }
  const VmDescription& vm_;
  bool ok_ = true;
};

Hotspot::Scopes scopes_of(const VmDescription& vm, Needed& need) {
  Hotspot::Scopes scopes{};
  scopes.moved = vm.field("CodeBlob._mutable_data").has_value();
  if (scopes.moved) {
    scopes.immutable = need.field("nmethod._immutable_data");
    scopes.mutable_data = need.field("CodeBlob._mutable_data");
    scopes.relocation_size = need.field("CodeBlob._relocation_size");
    scopes.pcs = need.field("nmethod._scopes_pcs_offset");
    scopes.data = scopes.pcs_end = need.field("nmethod._scopes_data_offset");
    return scopes;
  }
  scopes.pcs = need.field("nmethod._scopes_pcs_offset");
  scopes.pcs_end = need.field("nmethod._dependencies_offset");
  scopes.data = need.field({"CompiledMethod._scopes_data_begin"});
  scopes.metadata = need.field("nmethod._metadata_offset");
  return scopes;
}

}  // namespace

std::optional<Hotspot> Hotspot::from(const TargetMemory& memory, const VmDescription& vm) {
  Hotspot hotspot;
  Needed need(vm);
  const auto version = memory.value<std::int32_t>(need.static_field("Abstract_VM_Version._vm_major_version"));
  if (!version || *version < static_cast<int>(kOldest) || *version > 1000) return std::nullopt;
  hotspot.version = static_cast<unsigned>(*version);
  hotspot.excluded = hotspot.version >= 20 ? 1 : 0;

  hotspot.heaps = need.static_field("CodeCache._heaps");
  if (const auto at = memory.value<std::uint64_t>(need.static_field("StubRoutines._call_stub_return_address"))) {
    hotspot.call_stub_return = *at;
  }
  const std::uint64_t low = need.field("VirtualSpace._low"), high = need.field("VirtualSpace._high");
  const std::uint64_t space = need.field("CodeHeap._memory");
  hotspot.heap = {.low = space + low,
                  .high = space + high,
                  .segment_map = need.field("CodeHeap._segmap") + low,
                  .log2_segment = need.field("CodeHeap._log2_segment_size"),
                  .block_header = need.size_of("HeapBlock"),
                  .used_at = need.field("HeapBlock._header") + need.field("HeapBlock::Header._used")};
  hotspot.array = {need.field({"GrowableArrayBase._len", "GenericGrowableArray._len"}), need.field("GrowableArray<int>._data")};

  hotspot.blob.name = need.field("CodeBlob._name");
  hotspot.blob.frame_size = need.field("CodeBlob._frame_size");
  hotspot.blob.frame_complete = need.field("CodeBlob._frame_complete_offset");
  hotspot.blob.size = need.field("CodeBlob._size");
  hotspot.blob.code_is_offset = !vm.field("CodeBlob._code_begin");
  hotspot.blob.code_begin = need.field({"CodeBlob._code_begin", "CodeBlob._code_offset"});
  hotspot.blob.code_end = need.field({"CodeBlob._code_end", "CodeBlob._data_offset"});
  hotspot.blob.short_frame_complete = hotspot.blob.code_is_offset;

  hotspot.compiled.method = need.field({"nmethod._method", "CompiledMethod._method"});
  hotspot.compiled.compile_id = need.field("nmethod._compile_id");
  hotspot.compiled.deopt_handler =
      need.field({"CompiledMethod._deopt_handler_begin", "nmethod._deopt_handler_begin", "nmethod._deopt_handler_offset"});
  hotspot.compiled.deopt_mh_handler = vm.field("CompiledMethod._deopt_mh_handler_begin").value_or(
      vm.field("nmethod._deopt_mh_handler_offset").value_or(hotspot.compiled.deopt_handler));

  Needed scopes(vm);
  hotspot.scopes = scopes_of(vm, scopes);
  hotspot.pc_desc = {scopes.size_of("PcDesc"), scopes.field("PcDesc._pc_offset"), scopes.field("PcDesc._scope_decode_offset")};
  hotspot.compiled.has_scopes = scopes.ok() && hotspot.pc_desc.size == kPcDescSize && hotspot.version != 19;

  auto& method = hotspot.method;
  method.const_method = need.field("Method._constMethod");
  method.constants = need.field("ConstMethod._constants");
  method.flags = need.field({"ConstMethod._flags", "ConstMethod._flags._flags"});
  method.code_size = need.field("ConstMethod._code_size");
  method.name = need.field("ConstMethod._name_index");
  method.bytecode = need.size_of("ConstMethod");
  const auto has_lines = vm.constant("ConstMethod::_has_linenumber_table");
  method.has_lines = has_lines.value_or(vm.constant("ConstMethodFlags::_misc_has_linenumber_table").value_or(0));
  method.holder = need.field("ConstantPool._pool_holder");
  method.pool = need.size_of("ConstantPool");
  method.length = need.field("ConstantPool._length");
  hotspot.source_file_in_class = !vm.field("ConstantPool._source_file_name_index");
  method.source_file = need.field({"ConstantPool._source_file_name_index", "InstanceKlass._source_file_name_index"});
  method.class_name = need.field("Klass._name");
  method.symbol_length = need.field("Symbol._length");
  method.symbol_body = need.field({"Symbol._body", "Symbol._body[0]"});
  if (!need.ok()) return std::nullopt;
  return hotspot;
}

}  // namespace sockleak
