#include "unit/symbolize/sysroot.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sockleak::test {

std::string sysroot_path(const std::string& program) {
  return std::string(SOCKLEAK_SYSROOT) + "/" + program;
}

bool sysroot_has(const std::string& program) {
  return std::filesystem::exists(sysroot_path(program));
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), count);
  ::pclose(pipe);
  return output;
}

std::vector<Recorded> run_program(const std::string& program) {
  std::vector<Recorded> records;
  Recorded current;
  std::istringstream lines(output_of("'" + sysroot_path(program) + "'"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("pc ")) {
      current.addresses.push_back(std::stoull(line.substr(3), nullptr, 16));
    } else if (line.starts_with("at ")) {
      std::istringstream words(line.substr(3));
      Truth truth;
      std::string how;
      words >> truth.line >> how >> std::ws;
      truth.inlined = how == "INLINED";
      std::getline(words, truth.function);
      current.truth.push_back(truth);
    } else if (line == "end") {
      records.push_back(std::exchange(current, {}));
    }
  }
  return records;
}

ModuleId add_module(ModuleStore& modules, const std::string& path) {
  return modules.add(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
}

MappedStack mapped(ModuleId module, const std::vector<std::uint64_t>& addresses, WalkEnd end) {
  MappedStack stack;
  for (const std::uint64_t address : addresses) stack.frames.push_back({module, address});
  stack.end = end;
  return stack;
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

bool matches(const std::string& name, const std::string& pattern) {
  if (const std::size_t bar = pattern.find('|'); bar != std::string::npos) {
    return name == pattern.substr(0, bar) || name == pattern.substr(bar + 1);
  }
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "sockleak-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& bytes) const {
  std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

}  // namespace sockleak::test
