#include "stack/address_map.hpp"

#include <gtest/gtest.h>

namespace sockleak {
namespace {

constexpr Pid kProcess{10}, kChild{11};
constexpr ModuleId kProgram{1}, kLibrary{2}, kOther{3};

constexpr KernelTime at(std::uint64_t milliseconds) {
  return {milliseconds * 1'000'000};
}

Mapping code(std::uint64_t start, std::uint64_t end, ModuleId module) {
  return {start, end, 0, module};
}

// The module at an address and time; 0 = none.
std::uint32_t module_at(const AddressMap& map, Pid pid, KernelTime when, std::uint64_t address) {
  const Mapping* found = map.find(pid, when, address);
  return found == nullptr ? 0 : found->module.value;
}

TEST(AddressMap, FindsTheMappingThatCoversAnAddress) {
  AddressMap map;
  map.map(kProcess, at(1), code(0x1000, 0x2000, kProgram));
  map.map(kProcess, at(1), code(0x3000, 0x4000, kLibrary));
  EXPECT_EQ(module_at(map, kProcess, at(5), 0x1000), 1u);
  EXPECT_EQ(module_at(map, kProcess, at(5), 0x1fff), 1u);
  EXPECT_EQ(module_at(map, kProcess, at(5), 0x2000), 0u);
  EXPECT_EQ(module_at(map, kProcess, at(5), 0x3800), 2u);
  EXPECT_EQ(module_at(map, kChild, at(5), 0x1000), 0u);
}

TEST(AddressMap, ListsWhatWasMappedAtATime) {
  AddressMap map;
  EXPECT_EQ(map.changes(kProcess), 0u);
  map.map(kProcess, at(1), code(0x1000, 0x2000, kProgram));
  const std::uint64_t before = map.changes(kProcess);
  map.map(kProcess, at(10), code(0x3000, 0x4000, kLibrary));
  EXPECT_GT(map.changes(kProcess), before);
  EXPECT_EQ(map.mappings(kProcess, at(5)).size(), 1u);
  EXPECT_EQ(map.mappings(kProcess, at(15)).size(), 2u);
  EXPECT_TRUE(map.mappings(kChild, at(15)).empty());
}

TEST(AddressMap, KnowsOnlyProcessesItWasToldOf) {
  AddressMap map;
  EXPECT_FALSE(map.knows(kProcess));
  map.map(kProcess, at(1), code(0x1000, 0x2000, kProgram));
  EXPECT_TRUE(map.knows(kProcess));
}

TEST(AddressMap, RefusesEmptyMappings) {
  AddressMap map;
  map.map(kProcess, at(1), code(0x2000, 0x2000, kProgram));
  EXPECT_FALSE(map.knows(kProcess));
}

TEST(AddressMap, APluginLoadedInPlaceOfAnotherIsTheOneOfItsTime) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x3000, kLibrary));
  map.map(kProcess, at(5000), code(0x1000, 0x3000, kOther));
  EXPECT_EQ(module_at(map, kProcess, at(4999), 0x1800), 2u);
  EXPECT_EQ(module_at(map, kProcess, at(5000), 0x1800), 3u);
}

TEST(AddressMap, APartlyCoveredMappingStaysValidOutside) {
  AddressMap map;
  map.map(kProcess, at(1), code(0x1000, 0x9000, kLibrary));
  map.map(kProcess, at(2), code(0x3000, 0x5000, kOther));
  EXPECT_EQ(module_at(map, kProcess, at(3), 0x2fff), 2u);
  EXPECT_EQ(module_at(map, kProcess, at(3), 0x3000), 3u);
  EXPECT_EQ(module_at(map, kProcess, at(3), 0x5000), 2u);
}

TEST(AddressMap, AStackSlightlyOlderThanTheMappingStillFindsIt) {
  AddressMap map;
  map.map(kProcess, at(5000), code(0x1000, 0x2000, kProgram));
  EXPECT_EQ(module_at(map, kProcess, at(4999), 0x1000), 1u);
  EXPECT_EQ(module_at(map, kProcess, at(1000), 0x1000), 0u);
}

TEST(AddressMap, ALateTwinOfAMappingOnlyMakesItOlder) {
  AddressMap map;
  map.map(kProcess, at(9000), code(0x1000, 0x2000, kProgram));
  map.map(kProcess, at(2000), code(0x1000, 0x2000, kProgram));
  EXPECT_EQ(module_at(map, kProcess, at(3000), 0x1000), 1u);
  EXPECT_EQ(map.size(), 1u);
}

TEST(AddressMap, ExecEndsTheOldImage) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.exec(kProcess, at(5000));
  map.map(kProcess, at(5000), code(0x8000, 0x9000, kOther));
  EXPECT_EQ(module_at(map, kProcess, at(4999), 0x1000), 1u);
  EXPECT_EQ(module_at(map, kProcess, at(5000), 0x1000), 0u);
  EXPECT_EQ(module_at(map, kProcess, at(5000), 0x8000), 3u);
}

TEST(AddressMap, TheNewImageIsMappedJustBeforeItsExecIsSeen) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.map(kProcess, at(4998), code(0x1000, 0x2000, kOther));
  map.exec(kProcess, at(5000));
  EXPECT_EQ(module_at(map, kProcess, at(60000), 0x1000), 3u);
}

TEST(AddressMap, WhatAForkInheritedDoesNotOutliveTheExecRightAfterIt) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.fork(kProcess, kChild, at(5000));
  map.exec(kChild, at(5001));
  EXPECT_EQ(module_at(map, kChild, at(5000), 0x1000), 1u);
  EXPECT_EQ(module_at(map, kChild, at(5002), 0x1000), 0u);
  EXPECT_EQ(module_at(map, kProcess, at(5002), 0x1000), 1u);
}

TEST(AddressMap, AMappingOfTheOldImageToldAfterTheExecIsOver) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.exec(kProcess, at(5000));
  map.map(kProcess, at(4000), code(0x3000, 0x4000, kLibrary));
  EXPECT_EQ(module_at(map, kProcess, at(4500), 0x3000), 2u);
  EXPECT_EQ(module_at(map, kProcess, at(5500), 0x3000), 0u);
}

TEST(AddressMap, AChildStartsWithWhatItsParentHasThen) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.fork(kProcess, kChild, at(5000));
  map.map(kProcess, at(6000), code(0x3000, 0x4000, kLibrary));
  map.map(kChild, at(7000), code(0x1000, 0x2000, kOther));
  EXPECT_EQ(module_at(map, kChild, at(5000), 0x1000), 1u);
  EXPECT_EQ(module_at(map, kChild, at(8000), 0x3000), 0u);
  EXPECT_EQ(module_at(map, kChild, at(8000), 0x1000), 3u);
  EXPECT_EQ(module_at(map, kProcess, at(8000), 0x1000), 1u);
}

TEST(AddressMap, AChildOfAnUnknownParentIsUnknown) {
  AddressMap map;
  map.map(kChild, at(1), code(0x1000, 0x2000, kProgram));
  map.fork(kProcess, kChild, at(5));
  EXPECT_FALSE(map.knows(kChild));
  EXPECT_EQ(map.size(), 0u);
}

TEST(AddressMap, StacksOfAnExitedProcessAreFoundUntilItIsForgotten) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kProgram));
  map.exit(kProcess, at(5000));
  map.forget_before(at(5000));
  EXPECT_EQ(module_at(map, kProcess, at(4999), 0x1000), 1u);
  map.forget_before(at(5001));
  EXPECT_FALSE(map.knows(kProcess));
  EXPECT_EQ(map.size(), 0u);
}

TEST(AddressMap, ForgettingKeepsWhatIsStillMapped) {
  AddressMap map;
  map.map(kProcess, at(1000), code(0x1000, 0x2000, kLibrary));
  map.map(kProcess, at(2000), code(0x1000, 0x2000, kOther));
  map.forget_before(at(9000));
  EXPECT_EQ(map.size(), 1u);
  EXPECT_EQ(module_at(map, kProcess, at(9000), 0x1000), 3u);
}

TEST(AddressMap, AReusedPidHasNothingOfItsPredecessor) {
  AddressMap map;
  map.map(kProcess, at(1), code(0x1000, 0x2000, kProgram));
  map.map(kChild, at(1000), code(0x1000, 0x2000, kLibrary));
  map.exit(kChild, at(2000));
  map.fork(kProcess, kChild, at(5000));
  EXPECT_EQ(module_at(map, kChild, at(1500), 0x1000), 2u);
  EXPECT_EQ(module_at(map, kChild, at(5000), 0x1000), 1u);

  map.exit(kChild, at(6000));
  map.map(kChild, at(9000), code(0x7000, 0x8000, kOther));  // its fork was not told
  EXPECT_EQ(module_at(map, kChild, at(9000), 0x1000), 0u);
  EXPECT_EQ(module_at(map, kChild, at(9000), 0x7000), 3u);
}

TEST(AddressMap, AProcessThatMapsWithoutEndStaysBounded) {
  AddressMap map;
  const std::uint64_t count = AddressMap::kMaxMappingsPerProcess + 100;
  for (std::uint64_t i = 0; i < count; ++i) {
    map.map(kProcess, at(i), code(0x10000 * (i + 1), 0x10000 * (i + 1) + 0x1000, kLibrary));
  }
  EXPECT_LE(map.size(), AddressMap::kMaxMappingsPerProcess);
  EXPECT_EQ(map.size() + map.dropped(), count);
  EXPECT_EQ(module_at(map, kProcess, at(count), 0x10000 * count), 2u);
}

}  // namespace
}  // namespace sockleak
