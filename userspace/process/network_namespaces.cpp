#include "process/network_namespaces.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <unordered_set>

namespace sockleak {
namespace {

using Directory = CPtr<DIR, &closedir>;

class Finder {
 public:
  /// True unless we may not look. Each namespace is opened once.
  bool add(const std::filesystem::path& path) {
    struct stat before {};
    if (::stat(path.c_str(), &before) != 0) return errno != EACCES && errno != EPERM;
    if (known_.contains(before.st_ino)) return true;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return errno != EACCES && errno != EPERM;
    struct stat opened {};
    if (::fstat(fd.get(), &opened) != 0 || !known_.insert(opened.st_ino).second) return true;
    found.list.push_back({NetnsId{static_cast<std::uint32_t>(opened.st_ino)}, std::move(fd)});
    return true;
  }

  NetnsHandles found;

 private:
  std::unordered_set<ino_t> known_;
};

/// Mount points of namespaces, as `ip netns add` makes them: proc(5), mountinfo.
void add_mounted(const std::filesystem::path& proc, Finder& finder) {
  std::ifstream file(proc / "self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.find(" - nsfs ") == std::string::npos) continue;
    std::istringstream words(line);
    std::string id, parent, device, root, mount;
    words >> id >> parent >> device >> root >> mount;
    if (root.starts_with("net:[")) finder.add(mount);
  }
}

}  // namespace

NetnsHandles find_network_namespaces(const std::filesystem::path& proc) {
  Finder finder;
  finder.add(proc / "self/ns/net");
  const Directory processes(opendir(proc.c_str()));
  while (const dirent* entry = processes ? readdir(processes.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!finder.add(proc / name / "ns/net")) ++finder.found.hidden;
  }
  add_mounted(proc, finder);
  return std::move(finder.found);
}

Result<InNetworkNamespace> InNetworkNamespace::enter(const NetnsHandle& there, const NetnsHandle& home) {
  if (there.id == home.id) return InNetworkNamespace(-1);
  if (::setns(there.fd.get(), CLONE_NEWNET) != 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot enter network namespace " + std::to_string(there.id.value),
                   "needs CAP_SYS_ADMIN");
  }
  return InNetworkNamespace(home.fd.get());
}

InNetworkNamespace::~InNetworkNamespace() {
  // Going on in a foreign namespace would act on the wrong sockets.
  if (home_ >= 0 && ::setns(home_, CLONE_NEWNET) != 0) std::abort();
}

}  // namespace sockleak
