// libbpf's own words go to the debug log; what the user needs is said by our errors.
#pragma once

#include <bpf/libbpf.h>

#include <array>
#include <cstdarg>
#include <cstdio>

#include "base/log.hpp"

namespace sockleak {

inline int log_libbpf(libbpf_print_level, const char* format, va_list arguments) {
  std::array<char, 1024> line{};
  const int n = std::vsnprintf(line.data(), line.size(), format, arguments);
  if (n > 0) log::debug(line.data());
  return n;
}

}  // namespace sockleak
