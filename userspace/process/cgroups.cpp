#include "process/cgroups.hpp"

#include <mntent.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <system_error>

#include "base/handle.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdLength = 64;  // of all container engines: hex digits of a SHA-256
constexpr std::array kEngines{"docker-", "libpod-", "crio-", "cri-containerd-"};

/// Of one group's own name.
[[nodiscard]] std::string_view container_id(std::string_view name) {
  if (name.ends_with(".scope")) name.remove_suffix(std::string_view(".scope").size());
  for (const std::string_view engine : kEngines) {
    if (name.starts_with(engine)) {
      name.remove_prefix(engine.size());
      break;
    }
  }
  const bool hex = std::all_of(name.begin(), name.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return name.size() == kIdLength && hex ? name : std::string_view();
}

/// Calls `visit(directory)` for `directory` and every one below it. A group may be removed while we look.
template <typename Visit>
void for_each_group(const fs::path& directory, Visit visit) {
  visit(directory);
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (entry->is_directory(gone)) visit(entry->path());
  }
}

}  // namespace

std::string cgroup_path(std::string_view text) {
  std::string_view unified, systemd;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("0::")) unified = line.substr(3);
    constexpr std::string_view kSystemd = ":name=systemd:";
    if (const auto at = line.find(kSystemd); at != std::string_view::npos) systemd = line.substr(at + kSystemd.size());
  }
  return std::string(unified.size() > 1 || systemd.empty() ? unified : systemd);
}

std::string container_of(std::string_view cgroup) {
  while (!cgroup.empty()) {
    const std::size_t slash = cgroup.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? cgroup : cgroup.substr(slash + 1);
    if (const auto id = container_id(name); !id.empty()) return std::string(id);
    if (slash == std::string_view::npos) break;
    cgroup = cgroup.substr(0, slash);
  }
  return {};
}

std::vector<ContainerCgroup> find_containers(const fs::path& root, std::string_view prefix) {
  std::map<std::string, std::string> outermost;  // by id
  for_each_group(root, [&](const fs::path& directory) {
    const std::string name = directory.filename();
    const std::string_view id = container_id(name);
    if (id.empty() || !id.starts_with(prefix)) return;
    outermost.try_emplace(std::string(id), "/" + directory.lexically_relative(root).string());
  });
  std::vector<ContainerCgroup> found;
  for (auto& [id, path] : outermost) found.push_back({id, std::move(path)});
  return found;
}

std::vector<Pid> processes_of(const fs::path& directory) {
  std::vector<Pid> found;
  for_each_group(directory, [&](const fs::path& group) {
    std::ifstream procs(group / "cgroup.procs");
    for (Pid pid; procs >> pid.value;) {
      if (pid.value != 0) found.push_back(pid);  // 0: of another pid namespace
    }
  });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::optional<fs::path> mount_point(const fs::path& mounts, std::string_view type, std::string_view option) {
  const CPtr<FILE, &endmntent> file(setmntent(mounts.c_str(), "re"));
  if (!file) return std::nullopt;
  while (const mntent* entry = getmntent(file.get())) {
    if (entry->mnt_type == type && (option.empty() || hasmntopt(entry, std::string(option).c_str()) != nullptr)) {
      return entry->mnt_dir;
    }
  }
  return std::nullopt;
}

}  // namespace sockleak
