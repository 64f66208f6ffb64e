// C++ as it is written: namespaces, unnamed ones, templates, lambdas, members, static functions, nested inlining.
#include <memory>
#include <string>
#include <string_view>

#include "truth.h"

namespace db {

struct Url { int port; };
enum class Mode { kRead, kWrite };

class Pool {
 public:
  ALWAYS void grow(const Url& url) const { RECORD("db::Pool::grow(db::Url const&) const", INLINED); port = url.port; }
  NEVER void get(const std::string& key, Mode) { CALL("db::Pool::get(std::string const&, db::Mode)", REAL, grow({2})); port += static_cast<int>(key.size()); }
  mutable int port = 0;
};

template <typename T>
NEVER T connect(const Url& url, T timeout) { RECORD("db::connect<long>(db::Url const&, long)", REAL); return timeout + url.port; }

namespace {

ALWAYS int attempt(const char*, unsigned long) { RECORD("db::(anonymous namespace)::attempt(char const*, unsigned long)", INLINED); return 1; }

ALWAYS int retry(int times, double) { CALL("db::(anonymous namespace)::retry(int, double)", INLINED, attempt("a", 3)); return times; }

NEVER void session(Pool*, std::string_view, void (*)(int, char), const int* const) {
  CALL("db::(anonymous namespace)::session(db::Pool*, std::string_view, void (*)(int, char), int const*)", REAL, retry(3, 1.0));
}

class Local {
 public:
  NEVER void run(Pool& pool) const { CALL("db::(anonymous namespace)::Local::run(db::Pool&) const", REAL, pool.get("key", Mode::kRead)); }
};

}  // namespace

NEVER void start(Pool& pool) {
  CALL("db::start(db::Pool&)", REAL, session(&pool, "x", nullptr, nullptr));
  CALL("db::start(db::Pool&)", REAL, Local{}.run(pool));
  CALL("db::start(db::Pool&)", REAL, connect<long>({1}, 5L));
}

}  // namespace db

static NEVER void helper(int& count, ...) { RECORD("helper(int&, ...)", REAL); ++count; }

extern "C" NEVER void c_entry(int* count) { CALL("c_entry", REAL, helper(*count)); }

template <typename F>
static ALWAYS void apply(F function) { CALL("apply<*", INLINED, function(7)); }

int main() {
  db::Pool pool;
  int count = 0;
  CALL("main", REAL, db::start(pool));
  CALL("main", REAL, c_entry(&count));
  CALL("main", REAL, apply([&](int n) __attribute__((noinline)) { RECORD("main::{lambda(int)}::operator()(int) const|main::$_0::operator()(int) const", REAL); count += n; }));
  return pool.port + count == -1;
}
