// Linkage name first. What has none (static functions, unnamed namespaces, lambdas: GCC emits DW_AT_linkage_name only
// for public functions) is put together from DIE names and parameter types.
#include "symbolize/dwarf_name.hpp"

#include <dwarf.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "symbolize/spelling.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

/// Types nest and specifications chain a few levels; corrupt debug information can make them loop.
constexpr int kDeepest = 24;
constexpr int kMostParameters = 64;
/// A name that grows beyond this is corrupt or no help to anybody.
constexpr std::size_t kLongestName = 8192;
constexpr std::string_view kUnnamedClass = "{unnamed}";

struct FreeDies {
  void operator()(Dwarf_Die* dies) const { std::free(dies); }
};

std::string qualified_name(Dwarf_Die* die, int depth);

std::string text_attribute(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  const char* text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
  return text != nullptr ? text : "";
}

bool flag_attribute(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  bool value = false;
  return dwarf_formflag(dwarf_attr_integrate(die, name, &attribute), &value) == 0 && value;
}

/// The DIE that `name` refers to. False if there is none.
bool referenced(Dwarf_Die* die, unsigned name, Dwarf_Die* target) {
  Dwarf_Attribute attribute;
  return dwarf_formref_die(dwarf_attr(die, name, &attribute), target) != nullptr;
}

/// Where the function was declared: names and parents belong to that DIE (DWARF 5, sections 2.13 and 3.3.8).
Dwarf_Die declaration_of(Dwarf_Die die) {
  for (int i = 0; i < kDeepest; ++i) {
    Dwarf_Die target;
    if (!referenced(&die, DW_AT_abstract_origin, &target) && !referenced(&die, DW_AT_specification, &target)) break;
    die = target;
  }
  return die;
}

bool has_cxx_names(Dwarf_Die* die) {
  Dwarf_Die unit;
  if (dwarf_diecu(die, &unit, nullptr, nullptr) == nullptr) return false;
  switch (dwarf_srclang(&unit)) {
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case 0x2b:  // DW_LANG_C_plus_plus_17, newer than this libdw
    case 0x2c:  // DW_LANG_C_plus_plus_20
      return true;
    default:
      return false;
  }
}

/// DWARF keeps the compiler's word order ("long unsigned int"), the demangler its own.
std::string base_type_name(std::string name) {
  using Pair = std::pair<std::string_view, std::string_view>;
  static constexpr std::array kSpellings{
      Pair{"long int", "long"},           Pair{"long unsigned int", "unsigned long"},
      Pair{"short int", "short"},         Pair{"short unsigned int", "unsigned short"},
      Pair{"long long int", "long long"}, Pair{"long long unsigned int", "unsigned long long"},
  };
  for (const auto& [dwarf, source] : kSpellings) {
    if (name == dwarf) return std::string(source);
  }
  return name;
}

std::string type_name(Dwarf_Die* owner, int depth);

std::string parameters(Dwarf_Die* function, int depth) {
  std::string text;
  Dwarf_Die child;
  int count = 0;
  for (int more = dwarf_child(function, &child); more == 0 && count < kMostParameters;
       more = dwarf_siblingof(&child, &child)) {
    std::string one;
    if (dwarf_tag(&child) == DW_TAG_unspecified_parameters) {
      one = "...";
    } else if (dwarf_tag(&child) == DW_TAG_formal_parameter && !flag_attribute(&child, DW_AT_artificial)) {
      one = type_name(&child, depth + 1);
      if (one.ends_with(" const")) one.resize(one.size() - 6);  // not part of the function's type
    } else {
      continue;
    }
    text += (count++ == 0 ? "" : ", ") + one;
    if (text.size() > kLongestName) break;
  }
  return "(" + text + ")";
}

/// "T" + "*" -> "T*", but "R (*)(A)" for functions.
std::string pointed(Dwarf_Die* pointer, std::string_view sign, int depth) {
  std::string target = type_name(pointer, depth);
  if (const std::size_t hole = target.find("()("); hole != std::string::npos) return target.insert(hole + 1, sign);
  return target.append(sign);
}

/// Name of the type that DW_AT_type of `owner` names.
std::string type_name(Dwarf_Die* owner, int depth) {
  Dwarf_Attribute attribute;
  Dwarf_Die type;
  if (depth > kDeepest) return "...";
  if (dwarf_formref_die(dwarf_attr_integrate(owner, DW_AT_type, &attribute), &type) == nullptr) return "void";
  switch (dwarf_tag(&type)) {
    case DW_TAG_base_type:
      return base_type_name(text_attribute(&type, DW_AT_name));
    case DW_TAG_unspecified_type:
      return text_attribute(&type, DW_AT_name);
    case DW_TAG_typedef:  // the demangler knows no typedefs
      return type_name(&type, depth + 1);
    case DW_TAG_const_type:
      return type_name(&type, depth + 1) + " const";
    case DW_TAG_volatile_type:
      return type_name(&type, depth + 1) + " volatile";
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
      return type_name(&type, depth + 1);
    case DW_TAG_pointer_type:
      return pointed(&type, "*", depth + 1);
    case DW_TAG_reference_type:
      return pointed(&type, "&", depth + 1);
    case DW_TAG_rvalue_reference_type:
      return pointed(&type, "&&", depth + 1);
    case DW_TAG_array_type:
      return type_name(&type, depth + 1) + " []";
    case DW_TAG_subroutine_type:
      return type_name(&type, depth + 1) + " ()" + parameters(&type, depth + 1);
    default: {
      std::string name = qualified_name(&type, depth + 1);
      return name.empty() ? "..." : name;
    }
  }
}

/// " const" if `this` points to const.
std::string_view member_qualifier(Dwarf_Die* function) {
  Dwarf_Die self, pointer, target;
  if (!referenced(function, DW_AT_object_pointer, &self) || !referenced(&self, DW_AT_type, &pointer)) return "";
  if (dwarf_tag(&pointer) == DW_TAG_const_type) {  // "X const* const this"
    if (!referenced(&pointer, DW_AT_type, &target)) return "";
    pointer = target;
  }
  if (!referenced(&pointer, DW_AT_type, &target)) return "";
  return dwarf_tag(&target) == DW_TAG_const_type ? " const" : "";
}

/// GCC names closures "<lambda(int)>"; the demangler writes "{lambda(int)#1}".
std::string closure_spelling(std::string name) {
  if (!name.starts_with("<lambda") || !name.ends_with('>')) return name;
  name.front() = '{';
  name.back() = '}';
  return name;
}

/// External without a linkage name: extern "C", main, or a language without mangling.
bool is_unmangled(Dwarf_Die* declaration) {
  return flag_attribute(declaration, DW_AT_external) && text_attribute(declaration, DW_AT_linkage_name).empty();
}

/// One component of a qualified name; empty for DIEs that add none (the unit, lexical blocks).
std::string component(Dwarf_Die* die, int depth) {
  std::string name = text_attribute(die, DW_AT_name);
  switch (dwarf_tag(die)) {
    case DW_TAG_namespace:
      return name.empty() ? "(anonymous namespace)" : name;
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
      return name.empty() ? std::string(kUnnamedClass) : closure_spelling(name);
    case DW_TAG_subprogram:
      if (name.empty() || is_unmangled(die)) return name;
      return name + parameters(die, depth) + std::string(member_qualifier(die));
    default:
      return "";
  }
}

/// a::b::C::f(int) from the DIE and what encloses it; enclosing functions count too (local classes, lambdas).
std::string qualified_name(Dwarf_Die* die, int depth) {
  if (depth > kDeepest) return "";
  std::string name = component(die, depth);
  if (name.empty()) return "";
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes_die(die, &scopes);
  const std::unique_ptr<Dwarf_Die, FreeDies> owner(scopes);
  for (int i = 1; i < count && name.size() < kLongestName; ++i) {
    Dwarf_Die declaration = declaration_of(scopes[i]);
    const bool defined_elsewhere = declaration.addr != scopes[i].addr;
    std::string outer =
        defined_elsewhere ? qualified_name(&declaration, depth + 1) : component(&declaration, depth + 1);
    if (outer == kUnnamedClass && name.starts_with("operator()(")) {
      outer = "{lambda" + name.substr(10, name.find(')', 10) - 9) + "}";  // some closures have no name
    }
    if (!outer.empty()) name.insert(0, outer + "::");
    if (defined_elsewhere) break;  // its own parents are in `outer` already
  }
  return name;
}

}  // namespace

std::string function_name(Dwarf_Die* function) {
  for (const unsigned attribute : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    const std::string mangled = text_attribute(function, attribute);
    if (!mangled.empty()) return demangle(mangled);
  }
  Dwarf_Die declaration = declaration_of(*function);
  const std::string plain = text_attribute(&declaration, DW_AT_name);
  if (plain.empty() || !has_cxx_names(&declaration) || is_unmangled(&declaration)) return plain;
  std::string name = qualified_name(&declaration, 0);
  shorten_standard_names(name);
  return name.empty() ? plain : name;
}

}  // namespace sockleak
