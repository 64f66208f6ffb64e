#include "app/judge_names.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace sockleak {
namespace {

using std::string_view;

template <std::size_t Count>
[[nodiscard]] bool is_one_of(string_view name, const std::array<string_view, Count>& names) {
  return std::ranges::find(names, name) != names.end();
}

template <std::size_t Count>
[[nodiscard]] bool has_one_of(string_view text, const std::array<string_view, Count>& parts) {
  return std::ranges::any_of(parts, [&](string_view part) { return text.find(part) != string_view::npos; });
}

// CPython's Python/pylifecycle.c and Python/import.c, Ruby's gc.c, PHP's main.c, Perl's perl.c.
constexpr auto kInterpretersEnds = std::to_array<string_view>(
    {"Py_FinalizeEx", "Py_Finalize", "Py_RunMain.cold", "finalize_modules", "_PyGC_CollectNoFail", "rb_objspace_call_finalizer",
     "ruby_cleanup", "rb_ec_cleanup", "php_request_shutdown", "php_module_shutdown", "zend_deactivate", "perl_destruct"});
// CPython's Modules/gcmodule.c, Go's runtime/mfinal.go, the JDK's Cleaner and Finalizer threads, V8's weak callbacks.
constexpr auto kCollectors = std::to_array<string_view>(
    {"gc_collect_main", "gc_collect_generations", "runtime.runfinq", "runtime.runFinalizers", "java.lang.ref.Finalizer.runFinalizer",
     "java.lang.ref.Finalizer$FinalizerThread.run", "jdk.internal.ref.CleanerImpl.run", "java.lang.ref.Cleaner.run",
     "v8::internal::GlobalHandles::InvokeFirstPassWeakCallbacks"});

constexpr auto kPoolFiles = std::to_array<string_view>(
    {"/urllib3/connectionpool.py", "/urllib3/poolmanager.py", "/requests/sessions.py", "/aiohttp/connector.py", "/httpcore/",
     "/redis/connection.py", "/pymongo/pool.py", "/sqlalchemy/pool/", "/psycopg2/pool.py", "/psycopg_pool/", "/asyncpg/pool.py",
     "node:_http_agent", "_http_agent.js", "node:internal/deps/undici", "/node_modules/undici/", "/node_modules/agentkeepalive/",
     "/node_modules/generic-pool/", "/node_modules/pg-pool/", "/node_modules/ioredis/"});
constexpr auto kPoolFunctions = std::to_array<string_view>(
    {"net/http.(*Transport)", "database/sql.(*DB)", "jdk.internal.net.http.", "sun.net.www.http.HttpClient",
     "com.zaxxer.hikari.pool.", "org.apache.http.impl.conn.", "org.apache.hc.client5.", "okhttp3.internal.connection.",
     "org.apache.commons.pool2.", "io.lettuce.core.", "redis.clients.jedis.", "internalConnectMultiple"});

constexpr auto kFurniture = std::to_array<string_view>(
    {"sun.nio.ch.NioSocketImpl.<clinit>", "sun.nio.ch.SocketDispatcher.init", "sun.nio.ch.FileDispatcherImpl.init",
     "Java_sun_nio_ch_FileDispatcherImpl_init", "Java_sun_nio_ch_SocketDispatcher_init", "Java_java_net_PlainSocketImpl_initProto",
     "Java_sun_nio_ch_UnixDispatcher_init", "__res_context_send", "__libc_res_nsend", "getaddrinfo", "__netlink_open",
     "__check_pf", "uv_loop_init", "uv__async_start", "uv_signal_loop_init", "uv__signal_global_init", "__nscd_open_socket", "openlog_internal",
     "sd_notify", "evsig_init_", "asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe"});
constexpr string_view kSelfPipe = "_make_self_pipe";

[[nodiscard]] std::uint64_t hash_of(string_view text, std::uint64_t seed) {
  std::uint64_t hash = seed ^ 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

[[nodiscard]] StackNames names_of(const Stack& stack) {
  const std::string print = site_fingerprint(stack, {}, {});
  StackNames names;
  names.path = std::strtoull(print.c_str(), nullptr, 16);
  names.place = names.path;
  const std::size_t culprit = culprit_frame(stack);
  if (culprit >= stack.frames.size() || stack.frames[culprit].function.empty()) return names;
  const Frame& frame = stack.frames[culprit];
  names.path = hash_of(frame.module, names.path);  // copies of a program are programs of their own
  names.place = hash_of(frame.module, hash_of(frame.file, hash_of(frame.function, frame.line)));
  return names;
}

template <std::size_t Count>
[[nodiscard]] bool any_function(const Stack& stack, const std::array<string_view, Count>& names) {
  return std::ranges::any_of(stack.frames, [&](const Frame& frame) { return is_one_of(frame.function, names); });
}

}  // namespace

bool opens_for_pool(const Stack& stack) {
  // Node's loop connects for whoever asked before, its own agents among them.
  const bool by_loop = std::ranges::any_of(stack.frames, [](const Frame& frame) { return frame.function.starts_with("uv__") || frame.function.starts_with("uv_tcp_"); });
  const bool own = std::ranges::any_of(stack.frames, [](const Frame& frame) { return frame.kind == FrameKind::kNode && !frame.file.empty() && !is_runtime_frame(frame); });
  if (by_loop && !own) return true;
  return std::ranges::any_of(stack.frames, [](const Frame& frame) {
    return has_one_of(frame.file, kPoolFiles) || has_one_of(frame.function, kPoolFunctions);
  });
}

bool is_furniture(const Stack& stack) {
  return any_function(stack, kFurniture) ||
         std::ranges::any_of(stack.frames, [](const Frame& frame) { return frame.function.ends_with(kSelfPipe); });
}

Reclaimer reclaimer_of(const Stack& closing) {
  if (any_function(closing, kInterpretersEnds)) return Reclaimer::kInterpretersEnd;
  if (any_function(closing, kCollectors)) return Reclaimer::kCollector;
  return Reclaimer::kNone;
}

const StackKnowledge::Facts& StackKnowledge::of(StackId id) {
  const auto [at, added] = known_.try_emplace(id);
  if (!added) return at->second;
  Facts& facts = at->second;
  facts.names = {.place = id.value, .path = id.value};
  if (id == kNoStack) return facts;
  const Stack stack = symbolizer_.symbolize(stacks_.get(id));
  facts.names = names_of(stack);
  facts.pool = opens_for_pool(stack);
  facts.furniture = is_furniture(stack);
  facts.reclaimer = reclaimer_of(stack);
  return facts;
}

JudgeNames StackKnowledge::names() {
  JudgeNames names;
  names.of_stack = [this](const SiteKey& key) { return of(key.stack).names; };
  names.opens_for_pool = [this](StackId id) { return of(id).pool; };
  names.is_furniture = [this](StackId id) { return of(id).furniture; };
  names.reclaimer = [this](StackId id) { return of(id).reclaimer; };
  return names;
}

}  // namespace sockleak
