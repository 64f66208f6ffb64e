// The report as data, complete and resolved: writers only format it. Field for field sockleak.report/1
// (docs/report.schema.json); strings are as the programs gave them, writers escape.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/counters.hpp"
#include "base/time.hpp"
#include "event/facts.hpp"
#include "judge/account.hpp"
#include "judge/finding.hpp"
#include "report/action.hpp"
#include "stack/stack.hpp"

namespace sockleak {

struct HostFacts {
  std::string kernel;   // uname -r
  std::string arch;
  std::string boot_id;
};

struct TargetFacts {
  std::string kind;                  // "pid" | "command" | "cgroup" | "container" | "all"
  std::vector<std::uint32_t> pids;   // of a cgroup and a container: those in it at the start
  std::string path = {};             // of the cgroup, below its hierarchy's root; for kinds "cgroup" and "container"
  std::string id = {};               // for kind "container"
  std::vector<std::string> types = {};  // only sockets of these; empty = of all
  std::vector<std::string> command;  // argv, for kind "command"
  std::optional<int> exit_status;    // of the command, as a shell would show it; nullopt = still running
};

struct HookChoice {
  std::string need;  // "create" | "accept" | "release" | "state" | "process" | "snapshot"
  std::string hook;  // "cgroup/sock_create"
};

struct Window {
  std::string start;  // RFC 3339 UTC
  std::string end;
  double seconds = 0;
};

struct ReportCreator {
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::string comm;    // process's name (thread group leader), empty = unknown
  std::string thread;  // creating thread's name
  std::string exe;
  std::uint64_t count = 0;
  std::string cgroup = {};     // path below its hierarchy's root
  std::string container = {};  // id
  std::uint64_t goroutine = 0;   // Go: its id; 0 = none, not known or several
  std::uint64_t goroutines = 0;  // how many different ones
};

struct ReportClose {
  std::uint64_t count = 0;
  std::string how;  // "close" | "exit" | "exec" | "async"
  Stack stack;
  std::size_t culprit = 0;  // index in stack.frames of the first frame that is the program's own
};

/// Sockets that were last read or written at one place with one outcome.
struct ReportTouch {
  std::uint64_t count = 0;
  std::string what;  // "recv → 0 (peer closed)"
  Stack stack;
  std::size_t culprit = 0;
  bool by_runtime = false;  // no function of the program itself was in the way of it
};

/// Of the goroutine that made the sockets: its parent, the parent's parent and so on.
struct ReportAncestor {
  std::uint64_t goroutine = 0;  // 0 = several with the same stack
  bool exact = false;           // the stack is as it was at the `go` statement
  Stack stack;
  std::size_t culprit = 0;
};

struct SocketUse {
  SocketFacts facts;              // not known: nor is the rest
  std::optional<double> idle_s;   // since data was last sent or received
  std::optional<double> dwell_s;  // CLOSE_WAIT: since the peer closed
  double counted_s = 0;           // how long its uses were counted
};

struct ReportSocket {
  SocketRecord record;
  double age_s = 0;
  std::optional<UnixName> name = {};  // of a unix socket
  SocketUse use = {};
};

struct ReportFinding {
  std::string site;  // fingerprint: 16 hex digits
  Finding finding;   // counts, verdict, confidence, evidence
  std::map<std::string, std::uint64_t> states;                      // of the leaked sockets
  std::vector<std::pair<Endpoint, std::uint64_t>> peers;            // most frequent first
  std::vector<std::pair<std::string, std::uint64_t>> paths;         // of unix sockets: their own, or their peers'; likewise
  std::vector<ReportCreator> creators;                              // most frequent first
  Stack created_at;
  std::size_t culprit = 0;  // index in created_at.frames of the first frame that is the program's own
  std::optional<Stack> goroutine_created_at;  // Go: the `go` statement, if another goroutine made them than main's
  std::vector<ReportAncestor> goroutine_ancestors;
  std::string ancestors_why;  // why nobody of the program's is named at all; empty = somebody is
  std::string caller_why;     // why created_at has none of the program's frames; empty = it has, or nobody knows
  std::optional<std::size_t> caller;  // the ancestor whose frame is to blame, as created_at has none of the program's
  std::optional<Stack> listener_created_at;
  std::size_t listener_culprit = 0;  // the same in listener_created_at
  std::vector<ReportClose> closed_at;
  std::vector<ReportTouch> last_touched_at;  // most frequent first
  std::vector<ReportSocket> sockets;
};

/// Sockets that no descriptor refers to, by why they are still there.
struct ReportOwnerless {
  Cause cause = Cause::kUnknown;
  std::uint64_t count = 0;
  struct Socket {
    ReportSocket socket;
    std::string evidence;
  };
  std::vector<Socket> sockets;  // oldest first, at most so many as of a finding
};

/// One row of the table of open sockets.
struct ReportOpenSocket {
  ReportSocket socket;
  std::string site;   // empty: it waits in an accept queue, nobody's code opened it
  std::string cause;  // empty: a descriptor refers to it
};

struct ReportLimit {
  std::uint32_t pid = 0;
  std::string comm;
  std::uint64_t used = 0, limit = 0;  // descriptors
};

/// Ephemeral ports in use towards one destination.
struct ReportPortUse {
  std::uint64_t netns = 0;
  std::string local_address;
  std::string remote_address;
  std::uint16_t remote_port = 0;
  std::uint64_t used = 0, range = 0;
  [[nodiscard]] double percent() const {
    return range == 0 ? 100.0 : 100.0 * static_cast<double>(used) / static_cast<double>(range);
  }
};

/// Sockets of one family that is not followed.
struct ReportFamily {
  std::string family;  // "netlink"
  std::uint64_t count = 0;
};

/// What makes `check` fail.
struct ReportCounting {
  bool suspects = false;            // --fail-on suspect
  std::vector<std::string> only;    // --only: rules; empty = any
  double warmup_s = 0;              // --warmup
  std::uint64_t max_leaks = 0;      // --max-leaks
  std::uint64_t counted = 0;        // sockets; more than max_leaks fail
  std::uint64_t left_out = 0;       // accused, but opened before the end of the warm-up
};

struct Report {
  std::string tool_version;
  HostFacts host;
  TargetFacts target;
  Window window;
  std::vector<HookChoice> hooks;
  Counters counters;
  bool complete = true;
  std::uint64_t created = 0, closed = 0, open = 0, leaked = 0;
  Account account;  // of what is open now
  std::vector<ReportFinding> findings;  // worst first
  std::vector<ReportOwnerless> ownerless;  // most sockets first
  std::vector<ReportLimit> limits;         // holders of tracked sockets that are near their RLIMIT_NOFILE
  std::vector<ReportPortUse> ports;        // of what tracked sockets are connected to, most used first
  std::vector<ReportFamily> other_families;  // left open, most sockets first
  std::optional<ReportCounting> counting;  // of check
  std::optional<ReportActions> actions;    // with --destroy
  /// Every site, accused or not, if that was asked for. One without evidence has no verdict.
  std::optional<std::vector<ReportFinding>> sites;
  /// With them: what the last snapshot found open, oldest first.
  std::vector<ReportOpenSocket> open_sockets;
};

}  // namespace sockleak
