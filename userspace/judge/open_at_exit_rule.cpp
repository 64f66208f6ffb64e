// open-at-exit: the process that opened the socket ended, and only then the kernel closed it. As valgrind and
// LeakSanitizer judge memory at the end of a run.
#include <memory>
#include <string>

#include "base/text.hpp"
#include "judge/lasting.hpp"

namespace sockleak {
namespace {

// That siblings were closed shows that the program means to close such sockets.
constexpr double kSiblingsClosed = 0.97;
constexpr double kNeverClosed = 0.9;
// Servers commonly leave their listener to the kernel: worth a remark, not a failed build.
constexpr double kListener = 0.3;

[[nodiscard]] std::uint64_t closed_by_call(const Site& site) {
  std::uint64_t count = 0;
  for (const auto& [path, closed] : site.close_paths) {
    if (path.how == CloseHow::kCall) count += closed;
  }
  return count;
}

[[nodiscard]] std::string text_of(std::uint64_t left_open, bool listeners, std::uint64_t siblings) {
  std::string text = count_text(left_open);
  if (listeners) text += " listening";
  text += left_open == 1 ? " socket" : " sockets";
  text += " still open when the process ended";
  if (siblings == 0) return text + ", none was ever closed";
  return text + ", " + count_text(siblings) + (siblings == 1 ? " sibling was closed" : " siblings were closed");
}

[[nodiscard]] double confidence_of(const SiteView& view, std::uint64_t left, bool listeners, bool siblings_closed) {
  if (listeners) return kListener;
  if (view.key.protocol == Protocol::kUnix) return lasting_confidence(left, siblings_closed);
  return siblings_closed ? kSiblingsClosed : kNeverClosed;
}

class OpenAtExitRule final : public Rule {
 public:
  [[nodiscard]] std::optional<Accusation> inspect(const SiteView& view, const JudgeOptions& options) const override {
    const Site& site = view.site;
    if (!options.at_exit || site.open_at_exit == 0 || view.key.origin == Origin::kBeforeAttach) return std::nullopt;
    const bool listeners = site.listening_at_exit == site.open_at_exit;
    Accusation accusation;
    accusation.count = listeners ? site.listening_at_exit : site.open_at_exit - site.listening_at_exit;
    for (const SocketRecord& socket : site.at_exit) {
      if ((socket.state == TcpState::kListen) != listeners) continue;
      if (view.is_pooled(socket) || serves_the_process(socket, view.tracker)) --accusation.count;
      else accusation.sockets.push_back(&socket);
    }
    if (accusation.count == 0) return std::nullopt;
    const std::uint64_t siblings = closed_by_call(site);
    accusation.evidence = {"open-at-exit", text_of(accusation.count, listeners, siblings),
                           confidence_of(view, accusation.count, listeners, siblings != 0)};
    return accusation;
  }
};

}  // namespace

std::unique_ptr<Rule> make_open_at_exit_rule() {
  return std::make_unique<OpenAtExitRule>();
}

}  // namespace sockleak
