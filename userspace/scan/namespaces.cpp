#include "scan/namespaces.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "base/text.hpp"

namespace sockleak {

std::string first_line(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {};
  std::array<char, 4096> buffer{};
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  if (n <= 0) return {};
  std::string text(buffer.data(), static_cast<std::size_t>(n));
  return text.substr(0, text.find('\n'));
}

std::string line_with(const std::string& path, std::string_view beginning) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(beginning)) return line;
  }
  return {};
}

std::string unread_processes(const char* what, std::uint64_t processes) {
  return std::string("the ") + what + " of " + counted(processes, "process", "processes") +
         " could not be read (CAP_SYS_PTRACE is missing, or a security policy forbids it)";
}

std::vector<NetnsId> visit_namespaces(const NetnsHandles& namespaces,
                                      const std::function<void(const NetnsHandle&)>& inside) {
  std::vector<NetnsId> refused;
  for (const NetnsHandle& there : namespaces.list) {
    if (const auto entered = InNetworkNamespace::enter(there, namespaces.list.front())) {
      inside(there);
    } else {
      refused.push_back(there.id);
    }
  }
  return refused;
}

}  // namespace sockleak
