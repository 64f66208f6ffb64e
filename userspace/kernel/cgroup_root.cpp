#include "kernel/cgroup_root.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace sockleak {
namespace {

// glibc 2.36 has wrappers in <sys/mount.h>, which clashes with <linux/mount.h>.
long fsopen_call(const char* type, unsigned flags) { return syscall(SYS_fsopen, type, flags); }
long fsconfig_call(int fd, unsigned command) { return syscall(SYS_fsconfig, fd, command, nullptr, nullptr, 0); }
long fsmount_call(int fd, unsigned flags) { return syscall(SYS_fsmount, fd, flags, 0); }

/// A container, in a cgroup namespace, shows a sub-tree under the same type; only the root has no cgroup.type file.
bool is_root(const UniqueFd& directory) { return faccessat(directory.get(), "cgroup.type", F_OK, 0) != 0; }

UniqueFd open_mounted() {
  const CPtr<FILE, &endmntent> mounts(setmntent("/proc/self/mounts", "re"));
  if (!mounts) return {};
  while (const mntent* entry = getmntent(mounts.get())) {
    if (std::strcmp(entry->mnt_type, "cgroup2") != 0) continue;
    UniqueFd root(open(entry->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs facts{};
    if (root.valid() && fstatfs(root.get(), &facts) == 0 && facts.f_type == CGROUP2_SUPER_MAGIC && is_root(root)) {
      return root;
    }
  }
  return {};
}

/// A directory of `root`'s file system.
UniqueFd open_group(const UniqueFd& root, const std::string& path) {
  UniqueFd directory(openat(root.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat here{}, there{};
  if (!directory.valid() || fstat(root.get(), &here) != 0 || fstat(directory.get(), &there) != 0) return {};
  return here.st_dev == there.st_dev ? std::move(directory) : UniqueFd();
}

/// The names from the root down, read upwards: each directory is found in its parent by its inode.
Result<void> name_cgroup(const UniqueFd& root, Cgroup& group) {
  struct stat top{}, here{};
  if (fstat(root.get(), &top) != 0 || fstat(group.directory.get(), &here) != 0) {
    return fail_os(ErrorKind::kCannotTrace, "cannot read the cgroup");
  }
  group.id = here.st_ino;
  UniqueFd parent(openat(group.directory.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (here.st_ino != top.st_ino) {
    const CPtr<DIR, &closedir> entries(fdopendir(dup(parent.get())));
    const dirent* entry = nullptr;
    while (entries && (entry = readdir(entries.get())) != nullptr && entry->d_ino != here.st_ino) {
    }
    if (entry == nullptr || fstat(parent.get(), &here) != 0) {
      return fail(ErrorKind::kUsage, "the cgroup was removed", "give one that lasts");
    }
    group.path.insert(0, std::string("/") + entry->d_name);
    ++group.level;
    parent = UniqueFd(openat(parent.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (group.path.empty()) group.path = "/";
  return {};
}

}  // namespace

Result<Cgroup> open_cgroup(const UniqueFd& root, const std::string& path) {
  Cgroup group;
  const std::size_t name = path.find_first_not_of('/');
  group.directory = open_group(root, path);
  if (!group.directory.valid()) group.directory = open_group(root, name == std::string::npos ? "." : path.substr(name));
  if (!group.directory.valid()) {
    const bool other = access(path.c_str(), F_OK) == 0;
    return fail(ErrorKind::kUsage, (other ? "not in the cgroup2 hierarchy: " : "there is no cgroup2 group ") + path,
                "systemd-cgls shows them; give what stands behind 0:: in /proc/PID/cgroup");
  }
  if (auto named = name_cgroup(root, group); !named) return tl::unexpected(named.error());
  return group;
}

Result<UniqueFd> open_cgroup_root() {
  if (UniqueFd root = open_mounted(); root.valid()) return root;
  const UniqueFd context(static_cast<int>(fsopen_call("cgroup2", FSOPEN_CLOEXEC)));
  if (context.valid() && fsconfig_call(context.get(), FSCONFIG_CMD_CREATE) == 0) {
    UniqueFd mount(static_cast<int>(fsmount_call(context.get(), FSMOUNT_CLOEXEC)));
    if (mount.valid() && is_root(mount)) return mount;
    if (mount.valid()) {
      return fail(ErrorKind::kCannotTrace, "cannot open the cgroup2 root: this is a cgroup namespace",
                  "run on the host, or in a container with the host's cgroup namespace (docker: --cgroupns=host)");
    }
  }
  return fail_os(ErrorKind::kCannotTrace, "cannot open the cgroup2 root",
                 "run as root on the host, or mount it: mount -t cgroup2 none /sys/fs/cgroup/unified");
}

}  // namespace sockleak
