// The parsed form of a filter; shared by its parser and its evaluation only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "filter/filter.hpp"

namespace sockleak {

enum class Comparison : std::uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

struct AllOf {
  std::unique_ptr<FilterNode> left, right;
};
struct AnyOf {
  std::unique_ptr<FilterNode> left, right;
};
struct Negation {
  std::unique_ptr<FilterNode> operand;
};
struct StateIn {
  std::uint32_t states = 0;  // bit n = the state numbered n
};
struct AddressIs {
  bool local = true;
  Family family = Family::kUnspecified;  // unspecified = any address
  std::array<std::uint8_t, 16> network{};
  unsigned prefix = 0;  // bits that must agree
  std::optional<std::uint16_t> port;
  Comparison comparison = Comparison::kEqual;
};
struct PortIs {
  bool local = true;
  Comparison comparison = Comparison::kEqual;
  std::uint16_t port = 0;
};
enum class NumberOf : std::uint8_t { kPid, kNetns, kCookie, kInode };
struct NumberIs {
  NumberOf what = NumberOf::kPid;
  Comparison comparison = Comparison::kEqual;
  std::uint64_t number = 0;
};
enum class TextOf : std::uint8_t { kComm, kCgroup, kCause };
struct TextIs {
  TextOf what = TextOf::kComm;
  bool equal = true;
  std::string pattern;  // shell wildcards
};
struct AgeIs {
  Comparison comparison = Comparison::kGreater;
  Duration age{};
};
struct ProtocolIs {
  Protocol protocol = Protocol::kTcp;
};
struct FamilyIs {
  Family family = Family::kInet;
};
struct Ownerless {};

struct FilterNode {
  std::string word;  // the keyword it came from
  std::variant<AllOf, AnyOf, Negation, StateIn, AddressIs, PortIs, NumberIs, TextIs, AgeIs, ProtocolIs, FamilyIs,
               Ownerless>
      value;
};

}  // namespace sockleak
