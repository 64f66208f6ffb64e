// The version of this program, as CMakeLists.txt has it.
#pragma once

namespace sockleak {

inline constexpr const char* kVersion = SOCKLEAK_VERSION;

}  // namespace sockleak
