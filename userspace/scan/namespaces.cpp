#include "scan/namespaces.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/text.hpp"

namespace sockleak {
namespace {

using Directory = CPtr<DIR, &closedir>;

bool is_pid(const char* name) { return name[0] >= '1' && name[0] <= '9'; }

// Per namespace unless the kernel says otherwise; a file that does not exist there is a global or missing setting.
constexpr const char* kSettings[] = {
    "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_fin_timeout",     "net.ipv4.tcp_max_tw_buckets",      "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_orphan_retries",  "net.ipv4.tcp_keepalive_time",      "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.core.somaxconn",
};

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return {};
  return value;
}

/// "8080,9000-9010"
std::vector<std::pair<std::uint16_t, std::uint16_t>> port_list(std::string_view text) {
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    const std::size_t dash = one.find('-');
    const auto first = to_number(one.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : to_number(one.substr(dash + 1));
    if (first && last && *first <= 65535 && *last <= 65535) {
      ports.emplace_back(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return ports;
}

}  // namespace

std::string first_line(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {};
  std::array<char, 4096> buffer{};
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  if (n <= 0) return {};
  std::string text(buffer.data(), static_cast<std::size_t>(n));
  return text.substr(0, text.find('\n'));
}

std::string unread_processes(const char* what, std::uint64_t processes) {
  return std::string("the ") + what + " of " + counted(processes, "process", "processes") +
         " could not be read (CAP_SYS_PTRACE is missing, or a security policy forbids it)";
}

std::vector<NamespaceDoor> find_namespaces(std::uint64_t& unreadable) {
  std::vector<NamespaceDoor> doors;
  std::set<std::uint32_t> known;
  const auto add = [&](const std::string& path, bool own) {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return false;
    const auto id = static_cast<std::uint32_t>(status.st_ino);
    if (!known.insert(id).second) return true;
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid() && !own) return false;
    doors.push_back({NetnsId{id}, std::move(fd), own});
    return true;
  };
  if (!add("/proc/self/ns/net", true)) return doors;
  if (const Directory processes{opendir("/proc")}) {
    while (const dirent* entry = readdir(processes.get())) {
      if (!is_pid(entry->d_name)) continue;
      const std::string process = std::string("/proc/") + entry->d_name;
      errno = 0;
      if (add(process + "/ns/net", false)) continue;
      if (errno == EACCES || errno == EPERM) {
        ++unreadable;
        continue;
      }
      // A main thread that has ended is in no namespace any more; those that go on are.
      const Directory tasks{opendir((process + "/task").c_str())};
      while (const dirent* task = tasks ? readdir(tasks.get()) : nullptr) {
        if (is_pid(task->d_name) && add(process + "/task/" + task->d_name + "/ns/net", false)) break;
      }
    }
  }
  // `ip netns add` keeps namespaces without a process; the file system tells a namespace from an ordinary file.
  if (const Directory named{opendir("/run/netns")}) {
    struct stat proc{};
    if (stat("/proc/self/ns/net", &proc) != 0) return doors;
    while (const dirent* entry = readdir(named.get())) {
      const std::string path = std::string("/run/netns/") + entry->d_name;
      struct stat status{};
      if (stat(path.c_str(), &status) == 0 && status.st_dev == proc.st_dev) add(path, false);
    }
  }
  return doors;
}

std::vector<NetnsId> visit_namespaces(const std::vector<NamespaceDoor>& doors,
                                      const std::function<void(NetnsId)>& inside) {
  std::vector<NetnsId> refused;
  const NamespaceDoor* own = nullptr;
  bool away = false;
  for (const NamespaceDoor& door : doors) {
    if (door.own) {
      own = &door;
    } else if (setns(door.fd.get(), CLONE_NEWNET) != 0) {
      refused.push_back(door.id);
      continue;
    } else {
      away = true;
    }
    inside(door.id);
  }
  if (away && own != nullptr && setns(own->fd.get(), CLONE_NEWNET) != 0) refused.push_back(own->id);
  return refused;
}

NetworkNamespace read_settings(NetnsId id) {
  NetworkNamespace facts;
  facts.id = id;
  for (const char* name : kSettings) {
    std::string path = std::string("/proc/sys/") + name;
    std::replace(path.begin() + 10, path.end(), '.', '/');
    std::string value = first_line(path);
    std::replace(value.begin(), value.end(), '\t', ' ');
    const std::string_view setting = name;
    if (setting.ends_with("ip_local_port_range")) {
      const auto first = to_number(value);
      const std::size_t blank = value.find(' ');
      const auto last = blank == std::string::npos ? std::nullopt : to_number(std::string_view(value).substr(blank + 1));
      if (first && last && *first <= *last && *last <= 65535) {
        facts.first_port = static_cast<std::uint16_t>(*first);
        facts.last_port = static_cast<std::uint16_t>(*last);
      }
    } else if (setting.ends_with("reserved_ports")) {
      facts.reserved = port_list(value);
    } else if (setting.ends_with("tw_reuse")) {
      facts.tw_reuse = static_cast<int>(to_number(value).value_or(2));
    }
    facts.settings.push_back({name, std::move(value)});
  }
  if (const auto delay = to_number(first_line("/proc/sys/net/ipv4/tcp_tw_reuse_delay"))) {
    facts.tw_reuse_delay = std::chrono::milliseconds(*delay);
  }
  return facts;
}

}  // namespace sockleak
