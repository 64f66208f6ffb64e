#include "scan/descriptors.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/handle.hpp"
#include "scan/namespaces.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kMostShown = 1000;  // because a machine may run tens of thousands of processes

void keep_loaded(std::vector<DescriptorUse>& uses) {
  std::erase_if(uses, [](const DescriptorUse& use) { return use.percent() < kNearLimit; });
  std::sort(uses.begin(), uses.end(), [](const DescriptorUse& a, const DescriptorUse& b) {
    return a.percent() != b.percent() ? a.percent() > b.percent() : a.pid < b.pid;
  });
  if (uses.size() > kMostShown) uses.resize(kMostShown);
}

}  // namespace

std::uint64_t count_descriptors(Pid pid) {
  const std::string path = "/proc/" + std::to_string(pid.value) + "/fd";
  struct stat status{};
  // The size of the directory is the count since 6.2 (f1f1f2569901); zero before.
  if (stat(path.c_str(), &status) == 0 && status.st_size > 0) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t count = 0;
  if (const CPtr<DIR, &closedir> directory{opendir(path.c_str())}) {
    while (const dirent* entry = readdir(directory.get())) count += entry->d_name[0] != '.' ? 1 : 0;
  }
  return count;
}

std::vector<DescriptorUse> descriptor_use(const std::vector<ScanTask>& tasks) {
  std::vector<DescriptorUse> uses;
  for (const ScanTask& task : tasks) {
    if (task.pid != task.tid || task.files == 0 || task.descriptor_limit == 0) continue;
    // A table grows by doubling: one that is smaller than the limit's share cannot be near it.
    if (static_cast<double>(task.most_descriptors) * 100 < static_cast<double>(task.descriptor_limit) * kNearLimit) {
      continue;
    }
    uses.push_back({task.pid, task.comm, count_descriptors(task.pid), task.descriptor_limit});
  }
  keep_loaded(uses);
  return uses;
}

std::vector<DescriptorUse> descriptor_use_in_proc(const std::vector<Pid>& pids) {
  std::vector<DescriptorUse> uses;
  for (const Pid pid : pids) {
    const std::string process = "/proc/" + std::to_string(pid.value);
    std::ifstream limits(process + "/limits");
    std::uint64_t limit = 0;
    for (std::string line; std::getline(limits, line);) {
      if (line.starts_with("Max open files")) limit = std::strtoull(line.c_str() + 14, nullptr, 10);
    }
    if (limit != 0) uses.push_back({pid, first_line(process + "/comm"), count_descriptors(pid), limit});
  }
  keep_loaded(uses);
  return uses;
}

}  // namespace sockleak
