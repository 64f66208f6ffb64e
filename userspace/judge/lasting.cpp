#include "judge/lasting.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace sockleak {
namespace {

// syslog(3), sd_journal and sd_notify, name service caches, D-Bus, a desktop's servers.
constexpr std::array<std::string_view, 8> kServices{
    "/dev/log", "/run/systemd/", "/run/nscd/", "/var/run/nscd/", "/run/dbus/", "/var/run/dbus/", "/run/user/", "/tmp/.X11-unix/"};
constexpr std::string_view kAbstract = "@";

// One that is left while others were closed may be the last of a connection that was made anew now and then, or what was
// kept of a pair; several that nobody ever closed may be a thread's each.
constexpr double kFirst = 0.6;
constexpr double kPerSibling = 0.1;
constexpr double kMostSiblings = 0.9;
constexpr double kFirstUnclosed = 0.3;
constexpr double kMostUnclosed = 0.7;

}  // namespace

bool serves_the_process(const SocketRecord& socket, const Tracker& tracker) {
  const UnixName* name = tracker.unix_name(socket.id);
  if (socket.addresses.protocol != Protocol::kUnix || name == nullptr) return false;
  std::string_view path = name->peer_path;
  if (path.starts_with(kAbstract)) path.remove_prefix(kAbstract.size());
  return std::any_of(kServices.begin(), kServices.end(), [&](std::string_view service) { return path.starts_with(service); });
}

double lasting_confidence(std::uint64_t left, bool siblings_closed) {
  const double first = siblings_closed ? kFirst : kFirstUnclosed;
  const double most = siblings_closed ? kMostSiblings : kMostUnclosed;
  return std::min(first + kPerSibling * static_cast<double>(left - 1), most);
}

}  // namespace sockleak
