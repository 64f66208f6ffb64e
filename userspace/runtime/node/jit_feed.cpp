#include "runtime/node/jit_feed.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/handle.hpp"

namespace sockleak {
namespace {

constexpr std::uint64_t kLargestMap = 64u << 20;  // bytes; V8's grows without bound

constexpr std::size_t kMostProcesses = 16384;

FrameKind runtime_of(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  if (file == "node" || file == "nodejs" || file.starts_with("libnode.so")) return FrameKind::kNode;
  return FrameKind::kNative;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The process's number in its own pid namespace.
std::string own_number(const std::string& proc) {
  std::istringstream status(text_of(proc + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream numbers(line.substr(6));
    std::string last;
    while (numbers >> last) {
    }
    return last;
  }
  return {};
}

UniqueFd open_regular(const std::string& path, struct stat& facts) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid() || ::fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return {};
  return fd;
}

}  // namespace

JitFeed::Process& JitFeed::process(Pid pid, KernelTime when) {
  if (processes_.size() >= kMostProcesses && !processes_.contains(pid)) processes_.clear();  // all can be read again
  Process& process = processes_[pid];
  const std::uint64_t changes = addresses_.changes(pid);
  if (process.kind != FrameKind::kNative || process.changes == changes) return process;
  process.changes = changes;
  for (const Mapping& mapping : addresses_.mappings(pid, when)) {
    process.kind = runtime_of(modules_.get(mapping.module).path);
    if (process.kind != FrameKind::kNative) break;
  }
  return process;
}

// V8 appends a line as it compiles, so what was read need not be read again.
void JitFeed::read_map(Pid pid, Process& process) {
  const std::string number = std::to_string(pid.value), proc = "/proc/" + number;
  struct stat facts {};
  UniqueFd fd = open_regular(proc + "/root/tmp/perf-" + own_number(proc) + ".map", facts);
  if (!fd.valid()) fd = open_regular("/tmp/perf-" + number + ".map", facts);
  if (!fd.valid()) return;
  const auto size = std::min<std::uint64_t>(static_cast<std::uint64_t>(facts.st_size), kLargestMap);
  const std::int64_t mtime = facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec;
  if (size == process.size && mtime == process.mtime_ns) return;
  const bool grown = process.kind == FrameKind::kNode && facts.st_ino == process.inode && size >= process.size;
  const std::uint64_t from = grown ? process.size : 0;
  if (from == 0) process.map = {};
  std::string text(size - from, '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(from));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  text.resize(text.rfind('\n') + 1);  // the last line may be in the making
  process.map.read(text);
  process.inode = facts.st_ino;
  process.size = from + text.size();
  process.mtime_ns = mtime;
}

std::string_view JitFeed::name_at(Pid pid, Process& process, std::uint64_t pc) {
  if (process.map.find(pc - 1).empty()) read_map(pid, process);
  return process.map.find(pc - 1);
}

std::optional<MappedFrame> JitFeed::name(Pid pid, KernelTime when, std::uint64_t pc) {
  Process& process = this->process(pid, when);
  const std::string_view name = name_at(pid, process, pc);
  if (!name.empty()) return names_.intern(jit_frame(process.kind, name));
  if (process.kind == FrameKind::kNative) return std::nullopt;
  Frame unnamed;
  unnamed.kind = process.kind;
  unnamed.gap = NameGap::kNoMap;
  return names_.intern(std::move(unnamed));
}

bool JitFeed::read_code(Pid pid, std::uint64_t address, std::span<std::byte> out) {
  const iovec to{.iov_base = out.data(), .iov_len = out.size()};
  const iovec from{.iov_base = reinterpret_cast<void*>(address), .iov_len = out.size()};
  return ::process_vm_readv(static_cast<pid_t>(pid.value), &to, 1, &from, 1, 0) == static_cast<ssize_t>(out.size());
}

}  // namespace sockleak
