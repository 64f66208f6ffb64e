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
  for (std::optional<Pid> pid = self; pid && pid->value > 1; pid = procfs.parent(*pid)) {
    if (std::find(own.processes.begin(), own.processes.end(), *pid) != own.processes.end()) break;
    own.processes.push_back(*pid);
    add_login(proc, *pid, own);
  }
  return own;
}

}  // namespace sockleak::act
