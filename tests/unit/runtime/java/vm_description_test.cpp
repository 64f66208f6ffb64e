// HotSpot's tables of its own structures.
#include <gtest/gtest.h>

#include "fake_hotspot.hpp"
#include "runtime/java/vm_description.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kBias = 0x7f0000000000, kVariables = 0x5000, kTables = kBias + 0x10000, kNames = kBias + 0x20000;

/// The exported variables, tables and names of a libjvm.so that lies kBias above its addresses in the file.
class Tables {
 public:
  Tables() {
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::uint64_t>>{
             {"gHotSpotVMStructs", kTables}, {"gHotSpotVMStructEntryArrayStride", 48},
             {"gHotSpotVMStructEntryTypeNameOffset", 0}, {"gHotSpotVMStructEntryFieldNameOffset", 8},
             {"gHotSpotVMStructEntryIsStaticOffset", 24}, {"gHotSpotVMStructEntryOffsetOffset", 32},
             {"gHotSpotVMStructEntryAddressOffset", 40}, {"gHotSpotVMTypes", kTables + 0x1000},
             {"gHotSpotVMTypeEntryArrayStride", 40}, {"gHotSpotVMTypeEntryTypeNameOffset", 0},
             {"gHotSpotVMTypeEntrySizeOffset", 32}, {"gHotSpotVMIntConstants", kTables + 0x2000},
             {"gHotSpotVMIntConstantEntryArrayStride", 16}, {"gHotSpotVMIntConstantEntryNameOffset", 0},
             {"gHotSpotVMIntConstantEntryValueOffset", 8}}) {
      const std::uint64_t at = kVariables + symbols.size() * 8;
      symbols.emplace(name, at);
      memory.put(kBias + at, value);
    }
    field(0, "Method", "_constMethod", false, 8);
    field(1, "CodeCache", "_heaps", true, 0x1234);
    memory.put<std::uint64_t>(kTables + 2 * 48, 0);
    memory.put(kTables + 0x1000, name("PcDesc"));
    memory.put<std::uint64_t>(kTables + 0x1000 + 32, 16);
    memory.put<std::uint64_t>(kTables + 0x1000 + 40, 0);
    memory.put(kTables + 0x2000, name("InvocationEntryBci"));
    memory.put<std::int32_t>(kTables + 0x2000 + 8, 7);
    memory.put<std::uint64_t>(kTables + 0x2000 + 16, 0);
  }
  std::uint64_t name(std::string_view text) {
    const std::uint64_t at = next_;
    memory.put_text(at, text);
    next_ += text.size() + 1;
    return at;
  }
  void field(std::uint64_t index, std::string_view type, std::string_view field, bool is_static, std::uint64_t value) {
    const std::uint64_t at = kTables + index * 48;
    memory.put(at, name(type));
    memory.put(at + 8, name(field));
    memory.put<std::int32_t>(at + 24, is_static ? 1 : 0);
    memory.put(at + (is_static ? 40 : 32), value);
  }

  FakeMemory memory;
  VmSymbols symbols;

 private:
  std::uint64_t next_ = kNames;
};

TEST(VmDescription, TellsFieldsSizesAndConstants) {
  const Tables tables;
  const auto vm = VmDescription::read(tables.memory, tables.symbols, kBias);
  ASSERT_TRUE(vm);
  EXPECT_EQ(vm->field("Method._constMethod"), 8U);
  EXPECT_EQ(vm->static_field("CodeCache._heaps"), 0x1234U);
  EXPECT_FALSE(vm->field("CodeCache._heaps")) << "it has an address, no offset";
  EXPECT_EQ(vm->size_of("PcDesc"), 16U);
  EXPECT_EQ(vm->constant("InvocationEntryBci"), 7U);
  EXPECT_FALSE(vm->field("Method._nothing"));
}

TEST(VmDescription, BeforeTheLoaderHasRelocatedItThereIsNone) {
  Tables tables;
  tables.memory.put<std::uint64_t>(kBias + tables.symbols.at("gHotSpotVMStructs"), 0);
  EXPECT_FALSE(VmDescription::read(tables.memory, tables.symbols, kBias));
}

TEST(VmDescription, AStrideOfNothingOrNamesThatAreNotThereAreRefused) {
  Tables without_end;
  without_end.memory.put<std::uint64_t>(kBias + without_end.symbols.at("gHotSpotVMTypeEntryArrayStride"), 0);
  EXPECT_FALSE(VmDescription::read(without_end.memory, without_end.symbols, kBias));
  Tables nameless;
  nameless.memory.put<std::uint64_t>(kTables + 8, 0x10);
  EXPECT_FALSE(VmDescription::read(nameless.memory, nameless.symbols, kBias));
  EXPECT_FALSE(VmDescription::read(nameless.memory, {}, kBias));
}

TEST(Hotspot, AVirtualMachineThatDoesNotSayEnoughIsNotUsed) {
  const Tables tables;
  const auto vm = VmDescription::read(tables.memory, tables.symbols, kBias);
  EXPECT_FALSE(Hotspot::from(tables.memory, *vm));
}

}  // namespace
}  // namespace sockleak
