# sockleak_warnings: linked PRIVATE by every library of ours; third-party headers are SYSTEM and stay out of it.
add_library(sockleak_warnings INTERFACE)
target_compile_options(sockleak_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  -Werror)
