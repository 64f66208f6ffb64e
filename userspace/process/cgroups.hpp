// Control groups as cgroups(7) has them: where a process is, who is in one, and which of them are containers. Directories
// are parameters, so that tests can pass fixture trees.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace sockleak {

/// In the text of /proc/PID/cgroup the path in the cgroup2 hierarchy; where that sorts nobody (hybrid hosts leave everybody
/// in its root), the path in systemd's own v1 hierarchy. Empty = none.
[[nodiscard]] std::string cgroup_path(std::string_view text);

/// The id of the innermost container that a cgroup belongs to, by the names that docker, podman, CRI-O and containerd
/// give: docker-ID.scope, libpod-ID.scope, crio-ID.scope, cri-containerd-ID.scope, or ID alone. Empty = none.
[[nodiscard]] std::string container_of(std::string_view cgroup);

struct ContainerCgroup {
  std::string id;
  std::string path;  // below the hierarchy's root, "/docker/3f2a..."
  friend auto operator<=>(const ContainerCgroup&, const ContainerCgroup&) = default;
};
/// Below `root`, those whose id begins with `prefix`; of each id the outermost group. Sorted by id.
[[nodiscard]] std::vector<ContainerCgroup> find_containers(const std::filesystem::path& root, std::string_view prefix);

/// Everybody in the group `directory` and below it, ascending.
[[nodiscard]] std::vector<Pid> processes_of(const std::filesystem::path& directory);

/// Where the first file system of `type` that has `option` (empty = any) is mounted, as `mounts` (/proc/self/mounts) says.
[[nodiscard]] std::optional<std::filesystem::path> mount_point(const std::filesystem::path& mounts, std::string_view type,
                                                               std::string_view option);

}  // namespace sockleak
