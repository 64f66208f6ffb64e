#include "act/own.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "process/procfs.hpp"

namespace sockleak::act {
namespace {

[[nodiscard]] std::optional<Endpoint> endpoint(const std::string& address, const std::string& port) {
  Endpoint out;
  // "fe80::1%eth0" carries its interface; the kernel's tables keep that elsewhere.
  const std::string plain = address.substr(0, address.find('%'));
  if (::inet_pton(AF_INET, plain.c_str(), out.address.data()) == 1) {
    out.family = Family::kInet;
  } else if (::inet_pton(AF_INET6, plain.c_str(), out.address.data()) == 1) {
    out.family = Family::kInet6;
  } else {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size() || out.port == 0) return std::nullopt;
  return out;
}

void add_login(const std::filesystem::path& proc, Pid pid, Own& own) {
  std::ifstream file(proc / std::to_string(pid.value) / "environ", std::ios::binary);
  constexpr std::string_view kName = "SSH_CONNECTION=";
  for (std::string variable; std::getline(file, variable, '\0');) {
    if (!variable.starts_with(kName)) continue;
    const auto login = parse_ssh_connection(std::string_view(variable).substr(kName.size()));
    if (login) own.login.push_back(*login);
  }
}

/// The process and its ancestors.
void add_line(const std::filesystem::path& proc, Pid process, Own& own) {
  const Procfs procfs(proc);
  for (std::optional<Pid> pid = process; pid && pid->value > 1; pid = procfs.parent(*pid)) {
    if (std::find(own.processes.begin(), own.processes.end(), *pid) != own.processes.end()) break;
    own.processes.push_back(*pid);
    add_login(proc, *pid, own);
  }
}

/// Whose server outlives logins: whoever looks at it now came another way than the one its children descend from.
[[nodiscard]] bool is_multiplexer(const std::string& comm) {
  return comm.starts_with("tmux") || comm == "screen" || comm == "SCREEN" || comm == "dtach" || comm == "abduco";
}

void add_multiplexed_terminals(const std::filesystem::path& proc, Own& own) {
  const Procfs procfs(proc);
  std::error_code ended;
  for (std::filesystem::directory_iterator entry(proc, ended), none; !ended && entry != none; entry.increment(ended)) {
    const std::string name = entry->path().filename();
    Pid pid;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid.value);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (is_multiplexer(procfs.comm(pid))) add_line(proc, pid, own);
  }
}

}  // namespace

std::optional<Addresses> parse_ssh_connection(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string from, from_port, to, to_port;
  if (!(words >> from >> from_port >> to >> to_port)) return std::nullopt;
  const auto remote = endpoint(from, from_port);
  const auto local = endpoint(to, to_port);
  if (!remote || !local) return std::nullopt;
  return Addresses{*local, *remote, Protocol::kTcp};
}

Own find_own(const std::filesystem::path& proc, Pid self) {
  const Procfs procfs(proc);
  Own own;
  add_line(proc, self, own);
  const bool multiplexed = std::any_of(own.processes.begin(), own.processes.end(),
                                       [&](Pid pid) { return is_multiplexer(procfs.comm(pid)); });
  if (multiplexed) add_multiplexed_terminals(proc, own);
  return own;
}

}  // namespace sockleak::act
