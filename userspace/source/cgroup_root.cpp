#include "source/cgroup_root.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <mntent.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

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

}  // namespace

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
