// Which frame of a resolved stack is to blame, and what of a stack identifies the place in the program: both leave out
// libc, loader and language runtimes, which are on every stack and differ between machines.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

using std::string_view;

string_view base_name(string_view path) {
  if (constexpr string_view kDeleted = " (deleted)"; path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return path.substr(path.rfind('/') + 1);
}

bool contains(string_view text, string_view part) {
  return text.find(part) != string_view::npos;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "libm.so.6", "libm-2.31.so" and "libm.so" are libm; "libmagic.so" and "libc-client.so" are not.
bool is_library(string_view file, string_view name) {
  if (!file.starts_with(name)) return false;
  file.remove_prefix(name.size());
  return file.starts_with(".so") || (file.size() > 1 && file[0] == '-' && is_digit(file[1]));
}

/// "python3", "python3.11", "node" and "nodejs20", but not "node_exporter".
bool is_program(string_view file, string_view name) {
  if (!file.starts_with(name)) return false;
  file.remove_prefix(name.size());
  return std::ranges::all_of(file, [](char c) { return is_digit(c) || c == '.' || c == '-'; });
}

/// Libraries that connect for whoever calls them: the caller decides how long it lasts.
bool is_client_library(string_view path) {
  static constexpr auto kLibraries = std::to_array<string_view>(
      {"libcurl", "libcurl-gnutls", "libcurl-nss", "libpq", "libmysqlclient", "libmariadb", "libhiredis", "libssl",
       "libcrypto", "libgnutls", "libldap", "libssh", "libssh2", "libnghttp2", "librabbitmq", "libmemcached"});
  const string_view file = base_name(path);
  return std::ranges::any_of(kLibraries, [&](string_view name) { return is_library(file, name); });
}

bool is_libc_module(string_view path) {
  static constexpr auto kLibraries = std::to_array<string_view>({"libc", "ld", "libpthread"});
  const string_view file = base_name(path);
  return std::ranges::any_of(kLibraries, [&](string_view name) { return is_library(file, name); }) ||
         file.starts_with("ld-linux") || file.starts_with("ld-musl") || file.starts_with("libc.musl");
}

bool is_runtime_module(string_view path) {
  static constexpr auto kLibraries = std::to_array<string_view>(
      {"libc",      "ld",        "libpthread", "libm",      "librt",    "libdl",      "libresolv",
       "libanl",    "libstdc++", "libc++",     "libc++abi", "libgcc_s", "libunwind",  "libasan",
       "libtsan",   "libubsan",  "liblsan",    "libjvm",    "libnet",   "libnio",     "libjava",
       "libextnet", "libuv",     "libruby",    "libperl",   "libphp",   "libcoreclr", "libSystem.Native"});
  static constexpr auto kPrograms = std::to_array<string_view>(
      {"python", "pypy", "node", "nodejs", "ruby", "perl", "php", "java", "beam.smp", "dotnet", "php-fpm", "deno"});
  static constexpr auto kPrefixes = std::to_array<string_view>(
      {"ld-linux", "ld-musl", "ld64.so", "[vdso]", "[vsyscall]", "linux-vdso", "libpython", "libnode.so", "libpypy"});
  const string_view file = base_name(path);
  return std::ranges::any_of(kLibraries, [&](string_view name) { return is_library(file, name); }) ||
         std::ranges::any_of(kPrograms, [&](string_view name) { return is_program(file, name); }) ||
         std::ranges::any_of(kPrefixes, [&](string_view name) { return file.starts_with(name); }) ||
         contains(path, "/lib-dynload/") ||  // extension modules that came with Python
         file.starts_with("libruby-") || file.starts_with("libc.musl");
}

/// Functions of libc that are on the way to a socket system call or below main, without leading underscores. A
/// static program has them in its own module.
bool is_libc_function(string_view function) {
  if (function == "_start" || function == "_start_c") return true;
  static constexpr auto kNames = std::to_array<string_view>({"accept",
                                                             "accept4",
                                                             "bind",
                                                             "cancellable_syscall",
                                                             "clone",
                                                             "clone3",
                                                             "close",
                                                             "close_nocancel",
                                                             "connect",
                                                             "dup",
                                                             "dup2",
                                                             "dup3",
                                                             "fclose",
                                                             "fcntl",
                                                             "fcntl64",
                                                             "fcntl64_nocancel",
                                                             "fdopen",
                                                             "fork",
                                                             "getaddrinfo",
                                                             "gethostbyname",
                                                             "gethostbyname2_r",
                                                             "gethostbyname_r",
                                                             "internal_syscall_cancel",
                                                             "ioctl",
                                                             "libc_accept",
                                                             "libc_connect",
                                                             "libc_csu_init",
                                                             "libc_fork",
                                                             "libc_start_call_main",
                                                             "libc_start_main",
                                                             "libc_start_main_impl",
                                                             "libc_start_main_stage2",
                                                             "listen",
                                                             "pthread_create",
                                                             "read",
                                                             "recvmsg",
                                                             "res_context_query",
                                                             "res_context_send",
                                                             "restore_rt",
                                                             "sccp",
                                                             "sendmsg",
                                                             "shutdown",
                                                             "socket",
                                                             "socketpair",
                                                             "start_thread",
                                                             "syscall",
                                                             "syscall_cancel",
                                                             "syscall_cancel_arch",
                                                             "syscall_cp",
                                                             "syscall_cp_c",
                                                             "vfork",
                                                             "write"});
  static_assert(std::ranges::is_sorted(kNames));
  while (function.starts_with('_')) function.remove_prefix(1);
  if (function.starts_with("GI__")) function.remove_prefix(4);  // glibc's hidden aliases: __GI___socket
  while (function.starts_with('_')) function.remove_prefix(1);
  return std::ranges::binary_search(kNames, function);
}

/// "/usr/lib/python3.11/socket.py", "/opt/py/lib/python311.zip/ssl.py"; not what was installed on top of it.
bool is_python_library(string_view file) {
  constexpr string_view kDirectory = "/lib/python3";
  const std::size_t at = file.find(kDirectory);
  if (at == string_view::npos || contains(file, "/site-packages/") || contains(file, "/dist-packages/")) return false;
  file.remove_prefix(at + kDirectory.size());
  const std::size_t version = file.find_first_not_of(".0123456789");
  return version != string_view::npos && version != 0 &&
         (file[version] == '/' || file.substr(version).starts_with("zip/"));
}

/// Where the sources of standard libraries and language runtimes live, as debug information names them.
bool is_runtime_source(const Frame& frame) {
  const string_view file = frame.file;
  switch (frame.kind) {
    case FrameKind::kNode:
      return file.starts_with("node:") || file.starts_with("internal/") || file.empty();  // V8's own have none
    case FrameKind::kPython:
      return file.starts_with("<frozen ") || is_python_library(file);
    case FrameKind::kJava:
      if (!contains(frame.function, ".")) return true;  // HotSpot's stubs, and what has no name
      if (contains(frame.function, "$$Lambda.")) return true;  // calls the lambda's body, which has a name of its own
      return std::ranges::any_of(std::array<string_view, 5>{"java.", "javax.", "jdk.", "sun.", "com.sun."},
                                 [&](string_view package) { return frame.function.starts_with(package); });
    default:
      break;
  }
  // C++ (libstdc++, libc++), Rust (paths are rewritten to /rustc/COMMIT), glibc with debug information.
  return contains(file, "/include/c++/") || contains(file, "/libstdc++-v3/") || file.starts_with("/rustc/") ||
         contains(file, "/rustlib/src/rust/library/") || contains(file, "/sysdeps/unix/") ||
         contains(file, "sysdeps/nptl/") || contains(file, "/csu/../") || file.starts_with("./nptl/") ||
         file.ends_with("/cgo-gcc-prolog");
}

/// Go's own packages have no dot in the first part of their import path; neither has a program's "main". What cgo
/// generates between the two languages is no one's either.
bool is_go_runtime(const Frame& frame) {
  if (frame.kind != FrameKind::kGo && !string_view(frame.file).ends_with(".go")) return false;
  static constexpr auto kPackages = std::to_array<string_view>({"bufio", "compress", "context", "crypto", "encoding",
                                                                "fmt", "internal", "io", "net", "os", "reflect",
                                                                "runtime", "sync", "syscall", "vendor"});
  const string_view function = frame.function;
  if (base_name(frame.file) == "_cgo_gotypes.go" || function.starts_with("database/sql.")) return true;
  return std::ranges::binary_search(kPackages, function.substr(0, function.find_first_of("./")));
}

bool has_lines(const Frame& frame) {
  return frame.line != 0 && !frame.file.empty();
}

/// FNV-1a, 64 bits: stable across compilers and machines, which std::hash is not.
class Fingerprint {
 public:
  void add(string_view text) {
    for (const char c : text) mix(static_cast<unsigned char>(c));
    mix(0xff);  // ends every text, occurs in none: "ab","c" differs from "a","bc"
  }
  void add(std::uint64_t number) {
    for (int i = 0; i < 8; ++i) mix(static_cast<unsigned char>(number >> (8 * i)));
  }
  [[nodiscard]] std::string hex() const {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash_));
    return text.data();
  }

 private:
  void mix(unsigned char byte) {
    hash_ ^= byte;
    hash_ *= 0x100000001b3ULL;
  }
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

void add_frame(Fingerprint& fingerprint, const Frame& frame) {
  if (frame.function.empty()) {
    fingerprint.add(base_name(frame.module));
    fingerprint.add(frame.build_id);
    fingerprint.add(frame.module.empty() ? 0 : frame.offset);  // without a module it is an address, random per run
    return;
  }
  fingerprint.add(frame.function);
  fingerprint.add(base_name(frame.file));
  fingerprint.add(std::uint64_t{frame.line});
}

}  // namespace

bool is_runtime_frame(const Frame& frame) {
  if (frame.kind == FrameKind::kKernel) return true;
  // Python, Java and Node frames are the program's although they run in the interpreter's module.
  const bool native = frame.kind == FrameKind::kNative || frame.kind == FrameKind::kGo;
  if (native && is_runtime_module(frame.module)) return true;
  if (is_runtime_source(frame) || is_go_runtime(frame)) return true;
  if (has_lines(frame) || !native) return false;
  // '<' begins only Rust's names: "<std::net::tcp::TcpStream>::connect".
  return is_libc_function(frame.function) ||
         std::ranges::any_of(
             std::array<string_view, 5>{"std::", "<std::", "<core::", "<alloc::", "core::ops::function::"},
             [&](string_view prefix) { return frame.function.starts_with(prefix); });
}

namespace {

/// Nothing but a runtime: what it is written in itself says more than the machine code below, and that more than libc.
std::size_t most_telling(const std::vector<Frame>& frames) {
  const auto is_script = [](const Frame& frame) {
    const bool scripted = frame.kind == FrameKind::kPython || frame.kind == FrameKind::kNode || frame.kind == FrameKind::kJava;
    return scripted && has_lines(frame);
  };
  const auto is_above_libc = [](const Frame& frame) {
    return frame.kind == FrameKind::kNative && !frame.function.empty() && !is_libc_module(frame.module) &&
           !is_libc_function(frame.function);
  };
  auto found = std::ranges::find_if(frames, is_script);
  if (found == frames.end()) found = std::ranges::find_if(frames, is_above_libc);
  return found == frames.end() ? 0 : static_cast<std::size_t>(found - frames.begin());
}

}  // namespace

std::size_t culprit_frame(const Stack& stack) {
  const std::vector<Frame>& frames = stack.frames;
  // Extension modules work for the line that calls them.
  const auto is_own_python = [](const Frame& frame) {
    return frame.kind == FrameKind::kPython && !is_runtime_frame(frame);
  };
  if (const auto own = std::ranges::find_if(frames, is_own_python); own != frames.end()) {
    return static_cast<std::size_t>(own - frames.begin());
  }
  const auto is_culprit = [&](const Frame& frame) {
    if (is_runtime_frame(frame) || (frame.function.empty() && frame.module.empty())) return false;
    // The system call's wrapper, of a static libc that was built with lines.
    return &frame != &frames.front() || frame.inlined || !is_libc_function(frame.function);
  };
  const auto is_caller = [&](const Frame& frame) { return is_culprit(frame) && !is_client_library(frame.module); };
  auto found = std::ranges::find_if(frames, is_caller);
  if (found == frames.end()) found = std::ranges::find_if(frames, is_culprit);
  return found == frames.end() ? most_telling(frames) : static_cast<std::size_t>(found - frames.begin());
}

std::string site_fingerprint(const Stack& stack, const std::string& origin, const std::string& protocol) {
  Fingerprint fingerprint;
  fingerprint.add(origin);
  fingerprint.add(protocol);
  const bool all_runtime = std::ranges::all_of(stack.frames, is_runtime_frame);
  for (const Frame& frame : stack.frames) {
    if (all_runtime || !is_runtime_frame(frame)) add_frame(fingerprint, frame);
  }
  return fingerprint.hex();
}

}  // namespace sockleak
