#include "scan/settings.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "scan/namespaces.hpp"

namespace sockleak {
namespace {

struct Known {
  const char* name;
  const char* meaning;
};

// Per namespace unless the kernel says otherwise. A file that does not exist is a setting that this kernel, or this
// namespace, does not have.
constexpr Known kSettings[] = {
    {"net.ipv4.ip_local_port_range", "ports for connect() and bind(0); widening it is the cheap cure for exhaustion"},
    {"net.ipv4.ip_local_reserved_ports", "left out of the range; put listeners inside the range here"},
    {"net.ipv4.tcp_tw_reuse",
     "1: connect() may take over a TIME_WAIT port after a second, 2: on loopback only, 0: never; needs timestamps; no "
     "help against ports that bind() got"},
    {"net.ipv4.tcp_tw_reuse_delay", "milliseconds that such a port has to wait first"},
    {"net.ipv4.tcp_fin_timeout", "seconds of FIN_WAIT2 of closed sockets; does not shorten TIME_WAIT (always 60 s)"},
    {"net.ipv4.tcp_max_tw_buckets", "above it TIME_WAIT is skipped; harmless, and no cure for exhaustion"},
    {"net.ipv4.tcp_max_orphans", "above it closed sockets are reset; does not touch ESTABLISHED or CLOSE_WAIT"},
    {"net.ipv4.tcp_orphan_retries", "how often a closed socket retries (0 means 8) before the kernel gives up"},
    {"net.ipv4.tcp_retries2",
     "how often an open connection sends its data again before it is given up (15: about 15 min); does not end an idle "
     "one"},
    {"net.ipv4.tcp_keepalive_time",
     "seconds of silence before the first probe; only for sockets with SO_KEEPALIVE; ends connections whose peer is "
     "gone, never CLOSE_WAIT"},
    {"net.ipv4.tcp_keepalive_intvl", "seconds between probes"},
    {"net.ipv4.tcp_keepalive_probes", "unanswered probes until the connection is reset"},
    {"net.core.somaxconn", "most connections that may wait for accept(), whatever listen() asks for"},
    {"net.ipv4.tcp_abort_on_overflow",
     "0: of a connection to a full accept queue only the client believes that it exists; 1: it is reset"},
    {"net.ipv4.tcp_mem",
     "pages for all TCP buffers of the machine: below the first no limits, above the second buffers shrink, above the "
     "third orphans are killed and data is dropped"},
    {"net.netfilter.nf_conntrack_max",
     "connections that are tracked for NAT and firewalls; above it new ones are dropped, which no socket shows"},
    {"fs.file-max", "open files of the whole machine; above it ENFILE, though not for root; RLIMIT_NOFILE is per process"},
    {"fs.nr_open", "the highest RLIMIT_NOFILE that a process can be given"},
};

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return {};
  return value;
}

/// "8080,9000-9010"
std::vector<std::pair<std::uint16_t, std::uint16_t>> port_list(std::string_view text) {
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    const std::size_t dash = one.find('-');
    const auto first = to_number(one.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : to_number(one.substr(dash + 1));
    if (first && last && *first <= 65535 && *last <= 65535) {
      ports.emplace_back(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return ports;
}

std::string value_of(std::string_view setting) {
  std::string path = "/proc/sys/" + std::string(setting);
  std::replace(path.begin() + 10, path.end(), '.', '/');
  std::string value = first_line(path);
  std::replace(value.begin(), value.end(), '\t', ' ');
  return value;
}

/// The line "TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1" of /proc/net/sockstat: the number behind a word.
std::string tcp_count(const std::string& sockstat, const std::string& word) {
  std::istringstream words(sockstat);
  for (std::string one, number; words >> one;) {
    if (one == word && words >> number) return number;
  }
  return {};
}

/// orphan and mem are the machine's, tw is this namespace's (net/ipv4/proc.c, sockstat_seq_show).
std::string in_use(std::string_view setting, const std::string& sockstat) {
  if (setting == "net.ipv4.tcp_max_orphans") return tcp_count(sockstat, "orphan");
  if (setting == "net.ipv4.tcp_max_tw_buckets") return tcp_count(sockstat, "tw");
  if (setting == "net.ipv4.tcp_mem") return tcp_count(sockstat, "mem");
  if (setting == "net.netfilter.nf_conntrack_max") return value_of("net.netfilter.nf_conntrack_count");
  if (setting == "fs.file-max") {
    const std::string use = value_of("fs.file-nr");  // "1824 0 9223372036854775807"
    return use.substr(0, use.find(' '));
  }
  return {};
}

void take_port_range(const std::string& value, NetworkNamespace& facts) {
  const auto first = to_number(value);
  const std::size_t blank = value.find(' ');
  const auto last = blank == std::string::npos ? std::nullopt : to_number(std::string_view(value).substr(blank + 1));
  if (!first || !last || *first > *last || *last > 65535) return;
  facts.first_port = static_cast<std::uint16_t>(*first);
  facts.last_port = static_cast<std::uint16_t>(*last);
}

}  // namespace

NetworkNamespace read_settings(NetnsId id) {
  NetworkNamespace facts;
  facts.id = id;
  const std::string sockstat = line_with("/proc/net/sockstat", "TCP:");
  for (const Known& known : kSettings) {
    const std::string_view setting = known.name;
    std::string value = value_of(setting);
    if (setting.ends_with("ip_local_port_range")) take_port_range(value, facts);
    if (setting.ends_with("reserved_ports")) facts.reserved = port_list(value);
    if (setting.ends_with("tcp_tw_reuse")) facts.tw_reuse = static_cast<int>(to_number(value).value_or(2));
    if (setting.ends_with("tcp_tw_reuse_delay") && to_number(value)) {
      facts.tw_reuse_delay = std::chrono::milliseconds(*to_number(value));
    }
    facts.settings.push_back({known.name, value, value.empty() ? std::string() : in_use(setting, sockstat)});
  }
  return facts;
}

const char* meaning_of(std::string_view setting) {
  for (const Known& known : kSettings) {
    if (setting == known.name) return known.meaning;
  }
  return "";
}

}  // namespace sockleak
