// Names of the C++ standard library as people write them.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace sockleak {

/// libstdc++'s ABI namespace and default template arguments say nothing in a report: std::string, not
/// std::__cxx11::basic_string<char, ...>.
inline void shorten_standard_names(std::string& name) {
  struct Spelling {
    std::string_view from, to;
  };
  static constexpr std::array kSpellings{
      Spelling{"::__cxx11::", "::"},
      Spelling{"std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
      Spelling{"std::basic_string_view<char, std::char_traits<char> >", "std::string_view"},
  };
  for (const auto& [from, to] : kSpellings) {
    for (std::size_t at = name.find(from); at != std::string::npos; at = name.find(from, at + to.size())) {
      name.replace(at, from.size(), to);
    }
  }
}

}  // namespace sockleak
