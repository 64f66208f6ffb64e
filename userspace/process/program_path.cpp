#include "process/program_path.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace sockleak {
namespace {

namespace fs = std::filesystem;

[[nodiscard]] std::string real_program(const fs::path& path) {
  std::error_code error;
  if (::access(path.c_str(), X_OK) != 0 || !fs::is_regular_file(path, error)) return {};
  const fs::path real = fs::canonical(path, error);
  return error ? std::string() : real.string();
}

}  // namespace

std::string program_path(const std::string& name) {
  if (name.empty()) return {};
  if (name.find('/') != std::string::npos) return real_program(name);
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/bin:/usr/bin" : path;
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    if (std::string found = real_program(fs::path(directory.empty() ? "." : directory) / name); !found.empty()) {
      return found;
    }
    if (colon == std::string_view::npos) return {};
    rest.remove_prefix(colon + 1);
  }
}

}  // namespace sockleak
