// Which file a command's first word names.
#pragma once

#include <string>

namespace sockleak {

/// The real path of what execvp(3) would run for `name`; empty if there is no such file.
[[nodiscard]] std::string program_path(const std::string& name);

}  // namespace sockleak
