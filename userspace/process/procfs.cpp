// Parsers for the text files of /proc (proc(5)). What a process chooses itself (its name, its paths) may contain
// blanks, parentheses and newlines, so every parser anchors on what the kernel writes around such a text.
#include "process/procfs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "process/cgroups.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDeleted = " (deleted)";  // d_path() appends it when the name has been unlinked

[[nodiscard]] std::optional<std::string> read_file(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return std::nullopt;
  std::string text;
  std::array<char, 16384> chunk;
  while (true) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;  // ESRCH: the process ended while we were reading
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

[[nodiscard]] std::string read_link(const fs::path& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

/// Reads fields from the front of a text; once something is not as expected, everything after it fails.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}

  template <typename Number>
  Fields& number(Number& value, int base = 10) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
    good_ = good_ && error == std::errc();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return *this;
  }
  Fields& expect(char wanted) {
    good_ = good_ && rest_.starts_with(wanted);
    if (good_) rest_.remove_prefix(1);
    return *this;
  }
  Fields& word(std::string_view& value) {
    value = rest_.substr(0, rest_.find(' '));
    good_ = good_ && !value.empty();
    rest_.remove_prefix(value.size());
    return *this;
  }
  Fields& blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
    return *this;
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

/// A whole file name or word that is a number; nothing for "self".
template <typename Number>
[[nodiscard]] std::optional<Number> whole_number(std::string_view text) {
  Number value{};
  if (Fields fields(text); fields.number(value).good() && fields.rest().empty()) return value;
  return std::nullopt;
}

/// Field `index` of /proc/PID/stat as proc(5) counts them, from 3 on. Field 2 is the name in parentheses; it may
/// contain anything, also ") R 1", but nothing after it contains a parenthesis.
template <typename Number>
[[nodiscard]] std::optional<Number> stat_field(const std::optional<std::string>& stat, int index) {
  if (!stat) return std::nullopt;
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  Fields fields(std::string_view(*stat).substr(name_end + 1));
  std::string_view field;
  for (int at = 3; at <= index; ++at) {
    if (!fields.blanks().word(field).good()) return std::nullopt;
  }
  return whole_number<Number>(field);
}

/// The kernel escapes the newline in a mapping's path, and nothing else: not the backslash either (show_map_vma()
/// passes "\n" to seq_path()). A name that has a literal "\012" is told apart by device and inode.
[[nodiscard]] std::string unescaped(std::string_view path) {
  constexpr std::string_view kNewline = "\\012";
  std::string out;
  for (std::size_t at = path.find(kNewline); at != std::string_view::npos; at = path.find(kNewline)) {
    out.append(path.substr(0, at)) += '\n';
    path.remove_prefix(at + kNewline.size());
  }
  return out.append(path);
}

/// "55d0-55d1 r-xp 00002000 fe:00 247134    /usr/bin/cat"; nothing if it is not executable.
[[nodiscard]] std::optional<MapsEntry> executable_mapping(std::string_view line) {
  MapsEntry entry;
  std::string_view access;
  Fields fields(line);
  fields.number(entry.start, 16).expect('-').number(entry.end, 16).expect(' ').word(access).expect(' ');
  fields.number(entry.offset, 16).expect(' ').number(entry.device_major, 16).expect(':');
  fields.number(entry.device_minor, 16).expect(' ').number(entry.inode).blanks();
  if (!fields.good() || access.size() < 3 || access[2] != 'x' || entry.start >= entry.end) return std::nullopt;
  entry.path = unescaped(fields.rest());
  remove_deleted(entry.path);
  return entry;
}

[[nodiscard]] bool same_file(const struct stat& file, const MapsEntry& entry) {
  return file.st_ino == entry.inode && gnu_dev_major(file.st_dev) == entry.device_major &&
         gnu_dev_minor(file.st_dev) == entry.device_minor;
}

/// Regular files only, and looked at before it is opened: the path is the traced process's choice, and opening a
/// device or a FIFO has effects. `wanted` = the file must be this mapping's.
[[nodiscard]] UniqueFd open_regular(const fs::path& path, const MapsEntry* wanted) {
  struct stat file {};
  const auto acceptable = [&] { return S_ISREG(file.st_mode) && (wanted == nullptr || same_file(file, *wanted)); };
  if (::stat(path.c_str(), &file) != 0 || !acceptable()) return {};
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid() || ::fstat(fd.get(), &file) != 0 || !acceptable()) return {};
  return fd;
}

/// Calls `visit(number)` for every entry of a directory whose name is a number.
template <typename Visit>
void for_each_number(const fs::path& directory, Visit visit) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (const auto number = whole_number<std::uint32_t>(entry->path().filename().native())) visit(*number);
  }
}

}  // namespace

void remove_deleted(std::string& path) {
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
}

bool Procfs::exists(Pid pid) const {
  return ::access(of(pid).c_str(), F_OK) == 0;
}

bool Procfs::has_thread(Pid pid, Pid tid) const {
  std::error_code error;
  return std::filesystem::exists(of(pid) / "task" / std::to_string(tid.value), error);
}

std::string Procfs::comm(Pid pid) const {
  std::string name = read_file(of(pid) / "comm").value_or("");
  if (name.ends_with('\n')) name.pop_back();  // one: further newlines are the name's own
  return name;
}

std::string Procfs::exe(Pid pid) const {
  std::string path = read_link(of(pid) / "exe");
  remove_deleted(path);
  return path;
}

std::optional<std::uint64_t> Procfs::start_ticks(Pid pid) const {
  return stat_field<std::uint64_t>(read_file(of(pid) / "stat"), 22);
}

std::optional<Pid> Procfs::parent(Pid pid) const {
  const auto parent = stat_field<std::uint32_t>(read_file(of(pid) / "stat"), 4);
  return parent ? std::optional(Pid{*parent}) : std::nullopt;
}

std::optional<Pid> Procfs::thread_group(Pid pid) const {
  constexpr std::string_view kKey = "\nTgid:";  // never the first line, and newlines in Name: are escaped
  const auto status = read_file(of(pid) / "status");
  const std::size_t at = status ? status->find(kKey) : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  Pid group;
  if (Fields fields(std::string_view(*status).substr(at + kKey.size())); fields.blanks().number(group.value).good()) {
    return group;
  }
  return std::nullopt;
}

std::vector<Pid> Procfs::children(Pid pid) const {
  std::vector<Pid> found;
  bool listed = false;  // the kernel keeps the lists (CONFIG_PROC_CHILDREN)
  for_each_number(of(pid) / "task", [&](std::uint32_t tid) {
    const auto list = read_file(of(pid) / "task" / std::to_string(tid) / "children");
    if (!list) return;
    listed = true;
    Fields fields(*list);
    for (Pid child; fields.blanks().number(child.value).good();) found.push_back(child);
  });
  if (!listed) {
    for_each_number(root_, [&](std::uint32_t number) {
      if (parent(Pid{number}) == pid) found.push_back(Pid{number});
    });
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<Pid> Procfs::programs() const {
  std::vector<Pid> found;
  for_each_number(root_, [&](std::uint32_t number) {
    if (!read_link(root_ / std::to_string(number) / "exe").empty()) found.push_back(Pid{number});
  });
  std::sort(found.begin(), found.end());
  return found;
}

std::string Procfs::cgroup(Pid pid) const {
  return cgroup_path(read_file(of(pid) / "cgroup").value_or(""));
}

std::optional<NetnsId> Procfs::netns(Pid pid) const {
  constexpr std::string_view kKind = "net:[";
  const std::string target = read_link(of(pid) / "ns" / "net");
  if (!target.starts_with(kKind)) return std::nullopt;
  NetnsId inode;
  Fields fields(std::string_view(target).substr(kKind.size()));
  if (!fields.number(inode.value).expect(']').good()) return std::nullopt;
  return inode;
}

UniqueFd Procfs::open_netns(Pid pid) const {
  return UniqueFd(::open((of(pid) / "ns" / "net").c_str(), O_RDONLY | O_CLOEXEC));
}

std::vector<MapsEntry> Procfs::executable_mappings(Pid pid) const {
  std::vector<MapsEntry> entries;
  const auto maps = read_file(of(pid) / "maps");
  if (!maps) return entries;
  for (std::string_view rest = *maps; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (auto entry = executable_mapping(line)) entries.push_back(std::move(*entry));
  }
  return entries;
}

UniqueFd Procfs::open_mapping(Pid pid, const MapsEntry& entry) const {
  // The link leads to the file itself, also if it was deleted, replaced or never had a name (memfd). Its device and
  // inode are not compared: on overlayfs and btrfs stat(2) shows others than the maps file does.
  std::array<char, 40> range;
  std::snprintf(range.data(), range.size(), "%llx-%llx", static_cast<unsigned long long>(entry.start),
                static_cast<unsigned long long>(entry.end));
  if (UniqueFd fd = open_regular(of(pid) / "map_files" / range.data(), nullptr); fd.valid()) {
    // By now another library may be mapped there. It has another name, or is at least not the file that we look for.
    std::string target = read_link("/proc/self/fd/" + std::to_string(fd.get()));
    remove_deleted(target);
    struct stat file {};
    if (fs::path(target).filename() == fs::path(entry.path).filename()) return fd;
    if (::fstat(fd.get(), &file) == 0 && same_file(file, entry)) return fd;
  }
  if (!entry.path.starts_with('/')) return {};
  if (UniqueFd fd = open_regular(of(pid) / "root" / entry.path.substr(1), &entry); fd.valid()) return fd;
  return open_regular(entry.path, &entry);
}

}  // namespace sockleak
