// The same headers, two compilers: every struct that crosses from bpf/ to userspace/ must have one layout. And a
// recording's version must say which layout it holds, so a change of the wire without a new version fails here.
#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "abi/config.h"
#include "abi/go_wire.h"
#include "abi/java_wire.h"
#include "abi/python_wire.h"
#include "abi/scope_wire.h"
#include "abi/unix_table.h"
#include "abi/wire.h"
#include "base/handle.hpp"
#include "layout.h"

namespace sockleak {
namespace {

/// One row per version that was ever released or recorded; rows are added, never changed.
struct Pin {
  std::uint32_t version;
  std::uint64_t layout;
};
constexpr Pin kPins[] = {
    {1, 0x0a2789e1f787fea3},
    {2, 0xf9900348896751f2},
    {3, 0x0b8c551ac4cb5a69},
    {4, 0x373efc0533702b4c},
    {5, 0xc234abf2f5c131f1},
    {6, 0xa9a279feaaa57430},
    {7, 0xeeb3eff125db0d68},
    {8, 0x0e2f65d7e0142044},
};

struct Member {
  std::string name;
  std::size_t offset, size;
  bool is_signed;
};

struct Struct {
  std::string name;
  std::size_t size;
  std::vector<Member> members;
};

template <typename T>
constexpr bool kIsSigned = std::is_signed_v<std::remove_all_extents_t<T>>;

[[nodiscard]] const std::vector<Struct>& cpp_layout() {
  static const std::vector<Struct> layout = [] {
    std::vector<Struct> structs;
#define SL_ADD_STRUCT(type) structs.push_back({#type, sizeof(type), {}});
#define SL_ADD_MEMBER(type, member) \
  structs.back().members.push_back( \
      {#member, offsetof(type, member), sizeof(type::member), kIsSigned<decltype(type::member)>});
    SL_ABI_LAYOUT(SL_ADD_STRUCT, SL_ADD_MEMBER)
#undef SL_ADD_STRUCT
#undef SL_ADD_MEMBER
    return structs;
  }();
  return layout;
}

[[nodiscard]] std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

[[nodiscard]] std::string wire_text() {
  return text_of(SOCKLEAK_BPF_HEADERS "/abi/wire.h");
}

/// Every first group of `pattern` in `text`.
[[nodiscard]] std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) found.push_back((*at)[1]);
  return found;
}

using BtfPtr = CPtr<btf, &btf__free>;

class Abi : public testing::Test {
 protected:
  void SetUp() override {
    btf_.reset(btf__parse(SOCKLEAK_ABI_OBJECT, nullptr));
    ASSERT_NE(btf_, nullptr) << "no BTF in " SOCKLEAK_ABI_OBJECT;
  }

  [[nodiscard]] const btf_type* find(const std::string& name) const {
    const int id = btf__find_by_name_kind(btf_.get(), name.c_str(), BTF_KIND_STRUCT);
    return id < 0 ? nullptr : btf__type_by_id(btf_.get(), static_cast<std::uint32_t>(id));
  }
  [[nodiscard]] std::string name_at(std::uint32_t offset) const { return btf__name_by_offset(btf_.get(), offset); }

  /// The type below typedefs and arrays.
  [[nodiscard]] const btf_type* element(std::uint32_t id) const {
    const btf_type* type = btf__type_by_id(btf_.get(), id);
    while (btf_is_array(type) || btf_is_mod(type) || btf_is_typedef(type)) {
      type = btf__type_by_id(btf_.get(), btf_is_array(type) ? btf_array(type)->type : type->type);
    }
    return type;
  }

  [[nodiscard]] Struct bpf_layout(const btf_type* type) const {
    Struct layout{name_at(type->name_off), type->size, {}};
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
      const btf_member& member = btf_members(type)[i];
      const std::string name = name_at(member.name_off);
      EXPECT_EQ(btf_member_bitfield_size(type, i), 0U) << layout.name << '.' << name;
      EXPECT_EQ(btf_member_bit_offset(type, i) % 8, 0U) << layout.name << '.' << name;
      const btf_type* element_type = element(member.type);
      EXPECT_TRUE(btf_is_int(element_type) || btf_is_struct(element_type))
          << layout.name << '.' << name << ": only integers, arrays and structs may cross";
      layout.members.push_back({name, btf_member_bit_offset(type, i) / 8,
                                static_cast<std::size_t>(btf__resolve_size(btf_.get(), member.type)),
                                btf_is_int(element_type) && (btf_int_encoding(element_type) & BTF_INT_SIGNED) != 0});
    }
    return layout;
  }

  BtfPtr btf_;
};

TEST_F(Abi, EveryStructHasOneLayout) {
  for (const Struct& expected : cpp_layout()) {
    SCOPED_TRACE(expected.name);
    const btf_type* type = find(expected.name);
    ASSERT_NE(type, nullptr);
    const Struct bpf = bpf_layout(type);
    EXPECT_EQ(bpf.size, expected.size);
    ASSERT_EQ(bpf.members.size(), expected.members.size()) << "tests/abi/layout.h does not list every member";
    for (std::size_t i = 0; i < expected.members.size(); ++i) {
      const Member& theirs = bpf.members[i];
      const Member& ours = expected.members[i];
      EXPECT_EQ(theirs.name, ours.name);
      EXPECT_EQ(theirs.offset, ours.offset) << ours.name;
      EXPECT_EQ(theirs.size, ours.size) << ours.name;
      EXPECT_EQ(theirs.is_signed, ours.is_signed) << ours.name;
    }
  }
}

TEST_F(Abi, NoStructHasHiddenPadding) {
  for (const Struct& layout : cpp_layout()) {
    std::size_t end = 0;
    for (const Member& member : layout.members) {
      EXPECT_EQ(member.offset, end) << layout.name << '.' << member.name;
      end = member.offset + member.size;
    }
    EXPECT_EQ(end, layout.size) << layout.name;
  }
}

TEST_F(Abi, EveryStructOfTheHeadersIsCompared) {
  std::set<std::string> listed;
  for (const Struct& layout : cpp_layout()) listed.insert(layout.name);
  std::set<std::string> written;
  for (const char* header : {SOCKLEAK_BPF_HEADERS "/abi/wire.h", SOCKLEAK_BPF_HEADERS "/abi/config.h",
                             SOCKLEAK_BPF_HEADERS "/abi/python_wire.h", SOCKLEAK_BPF_HEADERS "/abi/scope_wire.h",
                             SOCKLEAK_BPF_HEADERS "/abi/go_wire.h",     SOCKLEAK_BPF_HEADERS "/abi/java_wire.h",
                             SOCKLEAK_BPF_HEADERS "/abi/unix_wire.h",   SOCKLEAK_BPF_HEADERS "/abi/unix_table.h",
                             SOCKLEAK_BPF_HEADERS "/abi/facts_wire.h"}) {
    for (const std::string& name : matches(text_of(header), "struct (sl_\\w+) \\{")) written.insert(name);
  }
  EXPECT_EQ(listed, written);
}

TEST_F(Abi, EveryRecordBeginsWithTheHeader) {
  const std::set<std::string> no_records{"sl_rule",  "sl_header", "sl_tuple",       "sl_touch",
                                         "sl_config", "sl_python", "sl_python_frame", "sl_ancestor",
                                         "sl_go",     "sl_go_file", "sl_java_frame", "sl_unix_socket",
                                         "sl_uses",   "sl_facts"};
  for (const Struct& layout : cpp_layout()) {
    if (no_records.contains(layout.name)) continue;
    EXPECT_EQ(layout.members.front().name, "header") << layout.name;
    EXPECT_EQ(layout.members.front().size, sizeof(sl_header)) << layout.name;
  }
}

/// FNV-1a over everything a reader of recordings relies on: the structs of wire.h and the values of its constants.
/// Not over comments, nor over the counters' numbers, which live only as long as one loaded program.
[[nodiscard]] std::uint64_t hash_of_wire() {
  std::string canonical;
  for (const Struct& layout : cpp_layout()) {
    static const std::set<std::string> never_recorded{"sl_config", "sl_process_joined", "sl_go", "sl_go_file",
                                                      "sl_unix_socket"};
    if (never_recorded.contains(layout.name) || layout.name.starts_with("sl_python") ||
        layout.name.starts_with("sl_java")) {
      continue;
    }
    canonical += layout.name + ' ' + std::to_string(layout.size) + '\n';
    for (const Member& member : layout.members) {
      canonical += member.name + ' ' + std::to_string(member.offset) + ' ' + std::to_string(member.size) +
                   (member.is_signed ? " s\n" : " u\n");
    }
  }
  for (const std::string& constant : matches(wire_text(), "#define (SL_[A-Z0-9_]+ \\d+)")) {
    if (constant.starts_with("SL_COUNTER_") || constant.starts_with("SL_WIRE_VERSION ")) continue;
    canonical += constant + '\n';
  }
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : canonical) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

TEST_F(Abi, AChangedWireHasANewVersion) {
  const auto* pin =
      std::find_if(std::begin(kPins), std::end(kPins), [](const Pin& row) { return row.version == SL_WIRE_VERSION; });
  ASSERT_NE(pin, std::end(kPins)) << "add {" << SL_WIRE_VERSION << ", 0x" << std::hex << hash_of_wire() << "} to kPins";
  EXPECT_EQ(pin->layout, hash_of_wire()) << "bpf/abi/wire.h has changed: give SL_WIRE_VERSION a new number, then add {"
                                         << SL_WIRE_VERSION + 1 << ", 0x" << std::hex << hash_of_wire() << "} to kPins";
}

}  // namespace
}  // namespace sockleak
