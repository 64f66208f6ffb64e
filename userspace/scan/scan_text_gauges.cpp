#include "scan/scan_text_gauges.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "scan/others.hpp"
#include "scan/settings.hpp"

namespace sockleak {
namespace {

constexpr double kPortsWorthTelling = 1;  // percent; less is everyday life
constexpr std::size_t kExamples = 3;

std::string namespace_text(NetnsId id, const std::string& name) {
  return "network namespace " + std::to_string(id.value) + (name.empty() ? "" : " of " + escape_terminal(name));
}

class Gauges {
 public:
  Gauges(const ScanReport& report, TextLines& lines) : report_(report), lines_(lines) {}

  void descriptors() {
    const std::vector<DescriptorUse>& uses = report_.snapshot.descriptors;
    if (uses.empty()) return;
    lines_.heading("DESCRIPTORS  processes near RLIMIT_NOFILE");
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (lines_.full(i, uses.size())) break;
      const bool none_left = uses[i].used >= uses[i].limit;
      const std::string others = families_text(others_of(report_, uses[i].pid));
      lines_.line(process_text(uses[i].comm, uses[i].pid) + "  " + count_text(uses[i].used) + " of " +
                  count_text(uses[i].limit) + (others.empty() ? "" : ", among them " + others + " sockets") +
                  (none_left ? "  accept() and socket() fail with EMFILE; connections pile up in accept queues" : ""));
    }
    const std::string pid = std::to_string(uses.front().pid.value);
    lines_.line("remedy  find the leak: sockleak trace -p " + pid + "; for now prlimit --pid " + pid +
                    " --nofile=" + std::to_string(uses.front().limit * 2) + " raises the limit of the running process",
                2, 8);
  }

  void backlogs() {
    std::vector<const ScanSocket*> listeners;
    for (const std::size_t index : report_.selected) {
      const ScanSocket& socket = report_.snapshot.sockets[index];
      if (socket.state == TcpState::kListen && socket.ack_backlog > 0) listeners.push_back(&socket);
    }
    if (listeners.empty()) return;
    lines_.heading("BACKLOG  listeners with connections waiting for accept()");
    std::stable_sort(listeners.begin(), listeners.end(), [](const ScanSocket* a, const ScanSocket* b) {
      return a->ack_backlog > b->ack_backlog;
    });
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      if (lines_.full(i, listeners.size())) break;
      const ScanSocket& listener = *listeners[i];
      // sk_acceptq_is_full(), include/net/sock.h: one more than was asked for.
      const bool is_full = listener.ack_backlog > listener.max_ack_backlog;
      lines_.line(to_string(listener.addresses.local) + "  " + count_text(listener.ack_backlog) + " of " +
                  count_text(listener.max_ack_backlog) + " waiting" +
                  (is_full ? ": full, further connections are dropped" : "") +
                  (listener.holders.empty() ? "" : "  " + holder_text(listener.holders.front())));
    }
  }

  void ports() {
    for (const PortReport& ports : report_.ports) {
      const auto worth = [&](std::size_t used) { return ports.percent(used) >= kPortsWorthTelling; };
      std::vector<const PortUse*> uses, binds;
      for (const PortUse& use : ports.destinations) {
        if (worth(use.used)) uses.push_back(&use);
      }
      for (const PortUse& use : ports.binds) {
        if (worth(use.used)) binds.push_back(&use);
      }
      if (uses.empty() && binds.empty() && !worth(ports.blocked.size())) continue;
      lines_.heading("PORTS  " + namespace_text(ports.netns, ports.name) + ", ephemeral " + std::to_string(ports.first) +
                     "-" + std::to_string(ports.last) + ", " + count_text(ports.range) + " usable");
      for (std::size_t i = 0; i < uses.size(); ++i) {
        if (lines_.full(i, uses.size())) break;
        lines_.line(address_text(uses[i]->local) + " -> " + endpoint_text(uses[i]->remote) + "  " +
                    use_text(ports, *uses[i]));
      }
      blocked(ports);
      for (std::size_t i = 0; i < binds.size(); ++i) {
        if (lines_.full(i, binds.size())) break;
        lines_.line("bind(" + address_text(binds[i]->local) + ", 0)  " + use_text(ports, *binds[i]) +
                    " whatever the destination");
      }
      if (!uses.empty()) {
        lines_.line("remedy  keep connections and use them again; more source or destination addresses or ports; a wider "
                    "range. SO_REUSEADDR and tcp_fin_timeout do not help", 2, 8);
      }
    }
  }

  void settings() {
    const std::vector<NetworkNamespace>& namespaces = report_.snapshot.namespaces;
    if (namespaces.empty()) return;
    const NetworkNamespace& first = namespaces.front();
    lines_.heading("SETTINGS  of " + (first.name.empty() ? std::string("this network namespace")
                                                         : namespace_text(first.id, first.name)));
    for (const Setting& setting : first.settings) {
      if (setting.value.empty() && setting.name != "net.ipv4.ip_local_reserved_ports") continue;
      lines_.line(setting_text(setting) + "  " + meaning_of(setting.name), 2, 4);
    }
    for (auto other = namespaces.begin() + 1; other != namespaces.end(); ++other) different(first, *other);
  }

 private:
  static std::string use_text(const PortReport& ports, const PortUse& use) {
    std::array<char, 16> percent{};
    std::snprintf(percent.data(), percent.size(), "%.0f %%", ports.percent(use.used));
    std::string text = count_text(use.used) + " of " + count_text(ports.range) + " (" + percent.data() + ")";
    if (use.time_wait > 0) text += ", " + count_text(use.time_wait) + " in TIME_WAIT, not reusable yet";
    if (use.leaked > 0) text += ", " + count_text(use.leaked) + " leaked";
    if (use.used >= ports.range) return text + ", none left: connect() fails with EADDRNOTAVAIL, bind() with EADDRINUSE";
    if (use.seconds_left) {
      text += ", exhausted in " +
              duration_text(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*use.seconds_left)));
    }
    return text;
  }

  void blocked(const PortReport& ports) {
    if (ports.blocked.empty()) return;
    std::string text = "blocked for every destination by bind() or listen(): " + count_text(ports.blocked.size());
    for (std::size_t i = 0; i < ports.blocked.size() && i < kExamples; ++i) {
      const BlockedPort& one = ports.blocked[i];
      text += (i == 0 ? ": " : ", ") + std::to_string(one.port) + (one.listening ? " listening" : "") +
              (one.by.empty() ? "" : " " + escape_terminal(one.by));
    }
    lines_.line(text + (ports.blocked.size() > kExamples ? " ..." : ""));
    lines_.line("remedy  IP_BIND_ADDRESS_NO_PORT before bind(); listeners out of the range or into "
                "ip_local_reserved_ports", 2, 8);
  }

  static std::string setting_text(const Setting& setting) {
    return setting.name + " = " + (setting.value.empty() ? "none" : escape_terminal(setting.value)) +
           (setting.in_use.empty() ? "" : " (" + escape_terminal(setting.in_use) + " in use)");
  }

  /// Only what is set otherwise there.
  void different(const NetworkNamespace& first, const NetworkNamespace& other) {
    std::string text;
    for (const Setting& setting : other.settings) {
      const auto same = std::find_if(first.settings.begin(), first.settings.end(), [&](const Setting& one) {
        return one.name == setting.name && one.value == setting.value;
      });
      // A namespace that is not the first has no file of a global setting.
      if (same != first.settings.end() || setting.value.empty()) continue;
      text += (text.empty() ? "" : ", ") + setting.name + " = " + escape_terminal(setting.value);
    }
    if (!text.empty()) lines_.line("in " + namespace_text(other.id, other.name) + ": " + text, 2, 4);
  }

  const ScanReport& report_;
  TextLines& lines_;
};

}  // namespace

void write_gauges(const ScanReport& report, TextLines& lines) {
  Gauges gauges(report, lines);
  gauges.descriptors();
  gauges.backlogs();
  gauges.ports();
  gauges.settings();
}

std::string endpoint_text(const Endpoint& endpoint) {
  const std::string text = to_string(endpoint);
  return text.empty() ? "*" : text;
}

std::string process_text(const std::string& comm, Pid pid) {
  return escape_terminal(comm) + " (" + std::to_string(pid.value) + ")";
}

std::string holder_text(const ScanHolder& holder) {
  std::string text = process_text(holder.comm, holder.pid);
  if (holder.via != Via::kDescriptor) return text + ' ' + to_string(holder.via);
  text += " fd " + std::to_string(holder.place.value);
  if (holder.tid != holder.pid) text += " thread " + std::to_string(holder.tid.value);
  return text;
}

}  // namespace sockleak
