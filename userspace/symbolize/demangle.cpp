// Mangled symbol -> name as a reader of the source would write it. libiberty does the work: it knows Rust v0, legacy
// Rust and Itanium C++; Rust goes first because legacy Rust names are valid Itanium names with a hash at the end.
#include <libiberty/demangle.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "symbolize/spelling.hpp"
#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

/// Longer names are shown raw: back references let a short hostile symbol expand a lot, a long one without bound.
constexpr std::size_t kLongestSymbol = 16 * 1024;

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};
using Text = std::unique_ptr<char, FreeText>;

/// "_ZN1a1bEv.constprop.0" -> "_ZN1a1bEv": neither mangling uses '.', except legacy Rust, which escapes with it and
/// always ends in "17h<16 hex digits>E".
std::string_view without_suffix(std::string_view symbol) {
  const bool rust_v0 = symbol.starts_with("_R");
  const std::size_t legacy_end = rust_v0 ? std::string_view::npos : symbol.rfind("17h");
  const std::size_t from = legacy_end == std::string_view::npos ? 0 : legacy_end;
  return symbol.substr(0, symbol.find('.', from));
}

}  // namespace

std::string demangle(const std::string& symbol) {
  if (symbol.size() < 3 || symbol.size() > kLongestSymbol) return symbol;
  // Mach-O style "__R", "__Z" and Windows "R" spellings do not occur in ELF files.
  const bool rust_v0 = symbol.starts_with("_R");
  if (!rust_v0 && !symbol.starts_with("_Z")) return symbol;

  const std::string mangled(without_suffix(symbol));
  if (Text rust{rust_demangle(mangled.c_str(), DMGL_PARAMS | DMGL_ANSI)}) return rust.get();
  if (rust_v0) return symbol;
  // DMGL_RET_DROP: template functions encode their return type, others do not; show it for none.
  if (Text cxx{cplus_demangle_v3(mangled.c_str(), DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP)}) {
    std::string name = cxx.get();
    shorten_standard_names(name);
    return name;
  }
  return symbol;
}

}  // namespace sockleak
