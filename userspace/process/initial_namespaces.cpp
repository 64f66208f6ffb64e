#include "process/initial_namespaces.hpp"

#include <sys/stat.h>

namespace sockleak {
namespace {

/// The initial namespaces have fixed inode numbers (include/linux/proc_ns.h).
bool is_inode(const char* path, ino_t inode) {
  struct stat status{};
  return stat(path, &status) == 0 && status.st_ino == inode;
}

}  // namespace

bool in_initial_pid_namespace() { return is_inode("/proc/self/ns/pid", 0xEFFFFFFC); }   // PROC_PID_INIT_INO
bool in_initial_user_namespace() { return is_inode("/proc/self/ns/user", 0xEFFFFFFD); }  // PROC_USER_INIT_INO

}  // namespace sockleak
