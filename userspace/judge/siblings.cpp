#include "judge/siblings.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "track/hand_over.hpp"

namespace sockleak {
namespace {

// What is closed so shortly before the end of its process is closed because of it.
constexpr Duration kLastMoments = std::chrono::seconds(2);

[[nodiscard]] bool older(const SocketRecord* a, const SocketRecord* b) {
  return std::tie(a->created, a->id) < std::tie(b->created, b->id);
}

[[nodiscard]] Role role_of(const SocketRecord& socket) {
  switch (socket.origin) {
    case Origin::kAccept:
      return Role::kAccepted;
    case Origin::kSocketPair:
      return Role::kPair;
    case Origin::kBeforeAttach:
      return socket.listener.value != 0 ? Role::kBeforeAccepted : Role::kBeforeConnected;
    default:
      return Role::kConnector;
  }
}

/// All sockets of the site are of the same family, but for those from before the attach.
[[nodiscard]] Role role_of(const SiteKey& key) {
  switch (key.origin) {
    case Origin::kAccept:
      return Role::kAccepted;
    case Origin::kSocketPair:
      return Role::kPair;
    case Origin::kBeforeAttach:
      return Role::kBeforeConnected;
    default:
      return Role::kConnector;
  }
}

/// The local ports that something listens on, so that what was accepted from them is known although nobody saw it.
[[nodiscard]] bool is_of_listener(const SocketRecord& socket, const std::map<std::uint16_t, SocketId>& listening) {
  return socket.addresses.local.port != 0 && listening.contains(socket.addresses.local.port);
}

class Builder {
 public:
  Builder(const Tracker& tracker, KernelTime now, bool at_exit, const NamesOf& names)
      : tracker_(tracker), now_(now), at_exit_(at_exit), names_(names) {
    for (const auto& [id, socket] : tracker.sockets()) {
      if (socket.state == TcpState::kListen) listening_.emplace(socket.addresses.local.port, id);
    }
  }

  [[nodiscard]] std::vector<Siblings> build() {
    for (const auto& [key, site] : tracker_.sites()) add_site(key, site);
    if (tracker_.last_snapshot() != 0) {
      for (const auto& [id, socket] : tracker_.sockets()) {
        if (socket.snapshot >= tracker_.last_snapshot()) add_socket(socket);
      }
    }
    std::vector<Siblings> out;
    for (auto& [key, siblings] : siblings_) {
      sort(siblings);
      out.push_back(std::move(siblings));
    }
    return out;
  }

 private:
  [[nodiscard]] SiblingsKey key_of(const SiteKey& site, const StackNames& names) const {
    return {.place = names.place, .role = role_of(site), .protocol = site.protocol};
  }

  /// Of sockets from before: split by how they came, what they are connected to and what became of them.
  [[nodiscard]] SiblingsKey key_of(const SocketRecord& socket, const StackNames& names) const {
    SiblingsKey key = key_of(Tracker::site_of(socket), names);
    if (socket.origin != Origin::kBeforeAttach || socket.state == TcpState::kListen) return key;
    key.role = role_of(socket);
    if (key.role == Role::kBeforeConnected && is_of_listener(socket, listening_)) key.role = Role::kBeforeAccepted;
    key.state = socket.state;
    if (key.role == Role::kBeforeConnected) key.peer = peer_hash(socket.addresses.remote);
    return key;
  }

  Siblings& siblings(const SiblingsKey& key) {
    Siblings& found = siblings_[key];
    found.key = key;
    return found;
  }

  void add_site(const SiteKey& key, const Site& site) {
    const StackNames names = names_(key);
    Siblings& into = siblings(key_of(key, names));
    PathGroup& path = into.paths[names.path];
    const auto made = [&](const Site* a) { return a->created; };
    if (path.sites.empty() || std::all_of(path.sites.begin(), path.sites.end(), [&](const Site* s) { return made(s) < site.created; })) {
      path.site = key;
    }
    path.sites.push_back(&site);
    path.keys.push_back(key);
    if (at_exit_) add_ended(into, site);
    merge_gone(into, site.gone);
  }

  void add_ended(Siblings& into, const Site& site) {
    for (const EndedSocket& ended : site.at_exit) {
      (ended.record.state == TcpState::kListen ? into.listeners : into.ended).push_back(life_of(ended, tracker_));
    }
    std::map<ClosePath, std::vector<const EndedSocket*>> tidied;
    for (const auto* closed : {&site.late, &site.last}) {
      for (const EndedSocket& ended : *closed) {
        if (in_last_moments(ended)) tidied[{ended.how, ended.closed_at}].push_back(&ended);
      }
    }
    for (const auto& [way, sockets] : tidied) {
      if (site.close_paths.at(way) > sockets.size()) continue;  // siblings were closed there before: the ordinary way
      for (const EndedSocket* ended : sockets) {
        into.ended.push_back(life_of(*ended, tracker_));
        tidied_.insert(ended->record.id);
      }
    }
  }

  [[nodiscard]] bool in_last_moments(const EndedSocket& ended) const {
    const auto end = tracker_.processes().end_of(ended.closer);
    return end && *end - ended.closed <= kLastMoments;
  }

  void merge_gone(Siblings& into, const GoneLog& log) {
    for (const GoneSocket& socket : log.entries()) {
      if (!socket.ended && !tidied_.contains(socket.id)) into.gone.push_back(socket);
    }
    into.gone_weight = std::max(into.gone_weight, static_cast<double>(log.weight()));
  }

  void add_socket(const SocketRecord& socket) {
    if (socket.unaccepted) {
      const auto listener = tracker_.sockets().find(socket.listener);
      if (listener != tracker_.sockets().end()) path_of(listener->second).waiting.push_back(&socket);
      return;
    }
    path_of(socket).open.push_back(&socket);
    const SiteKey site = Tracker::site_of(socket);
    Siblings& into = siblings(key_of(socket, names_(site)));
    if (at_exit_ && is_held_by_accident(socket)) {
      into.ended.push_back(life_of(socket, tracker_, now_));
      into.ended.back().ended = true;
      into.ended.back().how = CloseHow::kExit;
      return;
    }
    auto& lives = socket.state == TcpState::kListen ? into.open_listeners : into.open;
    lives.push_back(life_of(socket, tracker_, now_));
    if (into.key.role == Role::kBeforeAccepted) lives.back().accepted = true;
  }

  /// Its creator has ended by itself, and only children have it that were forked meanwhile and do nothing with it.
  [[nodiscard]] bool is_held_by_accident(const SocketRecord& socket) const {
    const auto end = tracker_.processes().end_of(socket.creator.process);
    if (!end || !ended_by_itself(socket.creator.process, tracker_) || socket.state == TcpState::kListen) return false;
    if (socket.origin == Origin::kSocketPair || socket.holders.empty()) return false;
    const SocketFacts* facts = tracker_.facts(socket.id);
    if (facts == nullptr || facts->waiter != Waiter::kNobody || last_use(*facts) > *end) return false;
    const Tracker::LastTouch* touched = tracker_.last_touch(socket.id);
    if (touched != nullptr && touched->touch.task.process != socket.creator.process) return false;
    return std::all_of(socket.holders.begin(), socket.holders.end(), [&](const Holder& holder) {
      return hand_over_to(holder.process, socket, tracker_.processes()) == HandOver::kFork;
    });
  }

  PathGroup& path_of(const SocketRecord& socket) {
    const SiteKey site = Tracker::site_of(socket);
    const StackNames names = names_(site);
    PathGroup& path = siblings(key_of(socket, names)).paths[names.path];
    if (path.sites.empty()) {
      path.site = site;
      path.sites.push_back(&tracker_.sites().at(site));
      path.keys.push_back(site);
    }
    return path;
  }

  static void sort(Siblings& siblings) {
    for (auto& [id, path] : siblings.paths) {
      std::sort(path.open.begin(), path.open.end(), older);
      std::sort(path.waiting.begin(), path.waiting.end(), older);
    }
    const auto by_birth = [](const Life& a, const Life& b) {
      return std::tie(a.born, a.socket->id) < std::tie(b.born, b.socket->id);
    };
    for (auto* lives : {&siblings.open, &siblings.open_listeners, &siblings.listeners}) std::sort(lives->begin(), lives->end(), by_birth);
    std::sort(siblings.ended.begin(), siblings.ended.end(), by_birth);
    std::sort(siblings.gone.begin(), siblings.gone.end(), [](const GoneSocket& a, const GoneSocket& b) {
      return std::tie(a.closed, a.born) < std::tie(b.closed, b.born);
    });
  }

  const Tracker& tracker_;
  KernelTime now_;
  bool at_exit_;
  const NamesOf& names_;
  std::map<std::uint16_t, SocketId> listening_;
  std::set<SocketId> tidied_;  // closed in the last moments of their process: judged as what it left
  std::map<SiblingsKey, Siblings> siblings_;
};

}  // namespace

StackNames unnamed(const SiteKey& key) { return {key.stack.value, key.stack.value}; }

std::uint64_t Siblings::created() const {
  std::uint64_t count = 0;
  for (const auto& [id, path] : paths) {
    for (const Site* site : path.sites) count += site->created;
  }
  return count;
}

std::vector<Siblings> all_siblings(const Tracker& tracker, KernelTime now, bool at_exit, const NamesOf& names) {
  return Builder(tracker, now, at_exit, names).build();
}

std::uint64_t path_of(const SocketRecord& socket, const NamesOf& names) { return names(Tracker::site_of(socket)).path; }

}  // namespace sockleak
