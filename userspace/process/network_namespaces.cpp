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
  enum class Met : std::uint8_t { kNew, kKnown, kAbsent, kHidden };
  /// Each namespace is opened once.
  Met add(const std::filesystem::path& path) {
    struct stat before {};
    if (::stat(path.c_str(), &before) != 0) return failure();
    if (known_.contains(before.st_ino)) return Met::kKnown;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return failure();
    struct stat opened {};
    if (::fstat(fd.get(), &opened) != 0 || !known_.insert(opened.st_ino).second) return Met::kKnown;
    found.list.push_back({NetnsId{static_cast<std::uint32_t>(opened.st_ino)}, std::move(fd), {}});
    return Met::kNew;
  }

  NetnsHandles found;

 private:
  static Met failure() { return errno == EACCES || errno == EPERM ? Met::kHidden : Met::kAbsent; }
  std::unordered_set<ino_t> known_;
};

[[nodiscard]] bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

/// A main thread that has ended is in no namespace any more; those that go on are.
Finder::Met add_thread(const std::filesystem::path& process, Finder& finder) {
  const Directory tasks(opendir((process / "task").c_str()));
  while (const dirent* task = tasks ? readdir(tasks.get()) : nullptr) {
    if (!is_number(task->d_name)) continue;
    const Finder::Met met = finder.add(process / "task" / task->d_name / "ns/net");
    if (met != Finder::Met::kAbsent) return met;
  }
  return Finder::Met::kAbsent;
}

void add_process(const std::filesystem::path& process, Finder& finder) {
  Finder::Met met = finder.add(process / "ns/net");
  if (met == Finder::Met::kAbsent) met = add_thread(process, finder);
  if (met == Finder::Met::kHidden) ++finder.found.hidden;
  if (met != Finder::Met::kNew) return;
  std::ifstream file(process / "comm");
  std::getline(file, finder.found.list.back().name);
  finder.found.list.back().name += " (" + process.filename().string() + ')';
}

/// Mount points of namespaces, as `ip netns add` makes them: proc(5), mountinfo.
void add_mounted(const std::filesystem::path& proc, Finder& finder) {
  std::ifstream file(proc / "self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.find(" - nsfs ") == std::string::npos) continue;
    std::istringstream words(line);
    std::string id, parent, device, root, mount;
    words >> id >> parent >> device >> root >> mount;
    if (!root.starts_with("net:[")) continue;
    finder.add(mount);
    // "net:[4026532176]": people know it by the name that it was mounted by.
    const auto number = static_cast<std::uint32_t>(std::strtoul(root.c_str() + 5, nullptr, 10));
    for (NetnsHandle& one : finder.found.list) {
      if (one.id.value == number && &one != &finder.found.list.front()) one.name = std::filesystem::path(mount).filename();
    }
  }
}

}  // namespace

NetnsHandles find_network_namespaces(const std::filesystem::path& proc) {
  Finder finder;
  finder.add(proc / "self/ns/net");
  const Directory processes(opendir(proc.c_str()));
  while (const dirent* entry = processes ? readdir(processes.get()) : nullptr) {
    if (is_number(entry->d_name)) add_process(proc / entry->d_name, finder);
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
