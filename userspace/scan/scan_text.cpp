#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "base/text.hpp"
#include "scan/cause.hpp"
#include "scan/scan_report.hpp"

namespace sockleak {
namespace {

constexpr double kPortsWorthTelling = 1;  // percent; less is everyday life
constexpr std::size_t kExamples = 3;

std::string plural(std::uint64_t count, const std::string& word) {
  return count_text(count) + ' ' + word + (count == 1 ? "" : "s");
}

std::string holder_text(const ScanHolder& holder) {
  std::string text = escape_terminal(holder.comm) + " (" + std::to_string(holder.pid.value) + ")";
  if (holder.via == Via::kDescriptor) {
    text += " fd " + std::to_string(holder.place.value);
    if (holder.tid != holder.pid) text += " thread " + std::to_string(holder.tid.value);
  } else {
    text += std::string(" ") + to_string(holder.via);
  }
  return text;
}

std::string protocol_text(const ScanSocket& socket) { return to_string(socket.addresses.protocol); }

std::string endpoint_text(const Endpoint& endpoint) {
  const std::string text = to_string(endpoint);
  return text.empty() ? "*" : text;
}

std::string line_of(const ScanSocket& socket) {
  std::string line = protocol_text(socket) + ' ' + to_string(socket.state) + ' ' +
                     endpoint_text(socket.addresses.local) + " -> " + endpoint_text(socket.addresses.remote);
  if (socket.idle) line += " idle " + duration_text(*socket.idle);
  for (std::size_t i = 0; i < socket.holders.size() && i < kExamples; ++i) {
    line += (i == 0 ? "  " : ", ") + holder_text(socket.holders[i]);
  }
  if (socket.holders.size() > kExamples) line += " and " + std::to_string(socket.holders.size() - kExamples) + " more";
  if (socket.cause != Cause::kNone) line += std::string("  ") + to_string(socket.cause);
  return line;
}

class Writer {
 public:
  Writer(const ScanReport& report, const ScanTextOptions& options) : report_(report), options_(options) {
    for (const std::size_t index : report.selected) selected_.push_back(&report.snapshot.sockets[index]);
  }

  std::string write() {
    ownerless();
    close_wait();
    invisible();
    descriptors();
    backlogs();
    ports();
    settings();
    if (options_.list) list();
    summary();
    return std::move(out_);
  }

 private:
  void heading(const std::string& text) { out_ += (out_.empty() ? "" : "\n") + text + '\n'; }
  void line(const std::string& text) { out_ += "  " + text + '\n'; }
  [[nodiscard]] bool full(std::size_t shown, std::size_t all) {
    if (options_.top == 0 || shown < options_.top) return false;
    line("and " + std::to_string(all - shown) + " more (--top 0 shows all)");
    return true;
  }

  void ownerless() {
    std::map<Cause, std::vector<const ScanSocket*>> by_cause;
    std::uint64_t count = 0;
    for (const ScanSocket* socket : selected_) {
      const bool worth = socket->cause != Cause::kNone && socket->cause != Cause::kTimeWait &&
                         socket->cause != Cause::kRequest;
      if (!worth) continue;
      by_cause[socket->cause].push_back(socket);
      count += counts_as_ownerless(*socket) ? 1U : 0U;
    }
    heading("OWNERLESS  " + plural(count, "socket") + " that no descriptor refers to");
    for (const auto& [cause, sockets] : by_cause) {
      line(std::string(to_string(cause)) + "  " + plural(sockets.size(), "socket"));
      for (std::size_t i = 0; i < sockets.size() && i < kExamples; ++i) {
        line("  " + line_of(*sockets[i]));
        if (!sockets[i]->evidence.empty()) line("    evidence  " + sockets[i]->evidence);
      }
      if (sockets.size() > kExamples) line("  and " + std::to_string(sockets.size() - kExamples) + " more");
      const std::string remedy = remedy_for(cause, report_.snapshot.through_bpf);
      if (!remedy.empty()) line("  remedy  " + remedy);
    }
  }

  void close_wait() {
    struct Group {
      std::uint64_t count = 0;
      Duration oldest{};
      std::vector<std::string> descriptors;
    };
    std::map<std::string, Group> groups;
    std::uint64_t count = 0;
    for (const ScanSocket* socket : selected_) {
      if (!is_close_wait(*socket)) continue;
      ++count;
      const std::string holder = socket->holders.empty() ? std::string("holder not visible")
                                                         : escape_terminal(socket->holders.front().comm) + " (" +
                                                               std::to_string(socket->holders.front().pid.value) + ")";
      Group& group = groups[holder];
      ++group.count;
      group.oldest = std::max(group.oldest, socket->since_peer.value_or(Duration::zero()));
      if (!socket->holders.empty() && group.descriptors.size() < 8) {
        group.descriptors.push_back(std::to_string(socket->holders.front().place.value));
      }
    }
    if (count == 0) return;
    heading("CLOSE_WAIT  " + plural(count, "socket") + " whose peer has closed, and the program has not");
    std::vector<std::pair<std::string, Group>> sorted(groups.begin(), groups.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (full(i, sorted.size())) break;
      const Group& group = sorted[i].second;
      std::string text = sorted[i].first + "  " + count_text(group.count) + ", the oldest for at least " +
                         duration_text(group.oldest) + ", fd";
      for (const std::string& fd : group.descriptors) text += ' ' + fd;
      line(text + (group.count > group.descriptors.size() ? " ..." : ""));
    }
    line("remedy  close() is missing on a path of that program: sockleak trace -p PID names it");
  }

  void invisible() {
    std::vector<const ScanSocket*> sockets;
    for (const ScanSocket* socket : selected_) {
      if (is_invisible_to_ss(*socket)) sockets.push_back(socket);
    }
    if (sockets.empty()) return;
    heading("INVISIBLE  " + plural(sockets.size(), "closed or unused TCP socket") +
            " with a descriptor: ss cannot show them");
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (full(i, sockets.size())) break;
      const bool used = sockets[i]->addresses.remote.port != 0;
      line(line_of(*sockets[i]) + (used ? "  ended by the peer or a timeout, never closed" : "  never connected"));
    }
  }

  void descriptors() {
    if (report_.snapshot.descriptors.empty()) return;
    heading("DESCRIPTORS  processes near RLIMIT_NOFILE");
    for (std::size_t i = 0; i < report_.snapshot.descriptors.size(); ++i) {
      if (full(i, report_.snapshot.descriptors.size())) break;
      const DescriptorUse& use = report_.snapshot.descriptors[i];
      line(escape_terminal(use.comm) + " (" + std::to_string(use.pid.value) + ")  " + count_text(use.used) + " of " +
           count_text(use.limit) +
           (use.used >= use.limit ? "  accept() and socket() fail with EMFILE; connections pile up in accept queues" : ""));
    }
  }

  void backlogs() {
    std::vector<const ScanSocket*> listeners;
    for (const ScanSocket* socket : selected_) {
      if (socket->state == TcpState::kListen && socket->ack_backlog > 0) listeners.push_back(socket);
    }
    if (listeners.empty()) return;
    heading("BACKLOG  listeners with connections waiting for accept()");
    std::stable_sort(listeners.begin(), listeners.end(), [](const ScanSocket* a, const ScanSocket* b) {
      return a->ack_backlog > b->ack_backlog;
    });
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      if (full(i, listeners.size())) break;
      const ScanSocket& listener = *listeners[i];
      line(to_string(listener.addresses.local) + "  " + std::to_string(listener.ack_backlog) + " of " +
           std::to_string(listener.max_ack_backlog) + " waiting" +
           (listener.holders.empty() ? "" : "  " + holder_text(listener.holders.front())));
    }
  }

  static std::string gauge(const PortReport& ports, const PortUse& use) {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "%zu of %zu (%.0f %%)", use.used, ports.range, ports.percent(use));
    return text.data();
  }

  void ports() {
    for (const PortReport& ports : report_.ports) {
      std::vector<const PortUse*> uses;
      for (const PortUse& use : ports.destinations) {
        if (ports.percent(use) >= kPortsWorthTelling) uses.push_back(&use);
      }
      if (uses.empty() && ports.blocked.empty()) continue;
      heading("PORTS  network namespace " + std::to_string(ports.netns.value) + ", ephemeral " +
              std::to_string(ports.first) + "-" + std::to_string(ports.last) + ", " + count_text(ports.range) +
              " usable");
      for (std::size_t i = 0; i < uses.size(); ++i) {
        if (full(i, uses.size())) break;
        std::string text = address_text(uses[i]->local) + " -> " + endpoint_text(uses[i]->remote) + "  " +
                           gauge(ports, *uses[i]);
        if (uses[i]->time_wait > 0) text += ", " + std::to_string(uses[i]->time_wait) + " in TIME_WAIT";
        if (uses[i]->leaked > 0) text += ", " + std::to_string(uses[i]->leaked) + " leaked";
        if (uses[i]->seconds_left) {
          text += ", exhausted in " + duration_text(std::chrono::duration_cast<Duration>(
                                          std::chrono::duration<double>(*uses[i]->seconds_left)));
        }
        line(text);
      }
      if (!ports.blocked.empty()) {
        std::string text = "blocked for every destination by bind() or listen(): " +
                           count_text(ports.blocked.size());
        for (std::size_t i = 0; i < ports.blocked.size() && i < kExamples; ++i) {
          text += (i == 0 ? ": " : ", ") + std::to_string(ports.blocked[i].port) +
                  (ports.blocked[i].listening ? " listening" : "") +
                  (ports.blocked[i].by.empty() ? "" : " " + escape_terminal(ports.blocked[i].by));
        }
        line(text + (ports.blocked.size() > kExamples ? " ..." : ""));
        line("remedy  IP_BIND_ADDRESS_NO_PORT before bind(); listeners out of the range or into "
             "ip_local_reserved_ports");
      }
      for (const PortUse& use : ports.binds) {
        line("bind(" + address_text(use.local) + ", 0)  " + gauge(ports, use) + " whatever the destination");
      }
    }
  }

  void settings() {
    if (report_.snapshot.namespaces.empty()) return;
    heading("SETTINGS  of this network namespace");
    for (const Setting& setting : report_.snapshot.namespaces.front().settings) {
      if (setting.value.empty() && setting.name != "net.ipv4.ip_local_reserved_ports") continue;
      line(setting.name + " = " + (setting.value.empty() ? "none" : escape_terminal(setting.value)) + "  " +
           meaning_of(setting.name));
    }
  }

  void list() {
    heading("SOCKETS");
    for (const ScanSocket* socket : selected_) line(line_of(*socket));
  }

  void summary() {
    std::map<TcpState, std::uint64_t> states;
    for (const ScanSocket* socket : selected_) {
      if (socket->addresses.protocol == Protocol::kTcp) ++states[socket->state];
    }
    std::string text = plural(selected_.size(), "socket");
    if (selected_.size() != report_.snapshot.sockets.size()) {
      text += " of " + count_text(report_.snapshot.sockets.size());
    }
    for (const auto& [state, count] : states) text += std::string(" · ") + count_text(count) + ' ' + to_string(state);
    std::array<char, 32> took{};
    std::snprintf(took.data(), took.size(), "%.2f s", report_.snapshot.seconds);
    out_ += '\n' + text + " · " + took.data() + " · " + (report_.snapshot.gaps.empty() ? "complete" : "incomplete") + '\n';
    for (const std::string& gap : report_.snapshot.gaps) out_ += "not seen: " + gap + '\n';
    for (const std::string& reason : report_.exceeded) out_ += "LIMIT  " + reason + '\n';
  }

  const ScanReport& report_;
  const ScanTextOptions& options_;
  std::vector<const ScanSocket*> selected_;
  std::string out_;
};

}  // namespace

std::string write_scan_text(const ScanReport& report, const ScanTextOptions& options) {
  return Writer(report, options).write();
}

}  // namespace sockleak
