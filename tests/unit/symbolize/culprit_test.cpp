#include <gtest/gtest.h>

#include <set>

#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

Frame frame(std::string module, std::string function, std::string file = "", std::uint32_t line = 0) {
  Frame made;
  made.module = std::move(module);
  made.function = std::move(function);
  made.file = std::move(file);
  made.line = line;
  made.offset = 0x1000;
  return made;
}

Frame of_kind(FrameKind kind, std::string function, std::string file, std::string module = "") {
  Frame made = frame(std::move(module), std::move(function), std::move(file), 7);
  made.kind = kind;
  return made;
}

Stack stack_of(std::vector<Frame> frames) {
  return {.frames = std::move(frames), .truncated = false, .why = ""};
}

const char* const kLibc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const char* const kApp = "/srv/orders";

TEST(RuntimeFrame, IsWhateverLivesInLibcLoaderOrARuntimesModule) {
  for (const char* module : {kLibc,
                             "/lib/libc-2.31.so",
                             "/lib/ld-musl-x86_64.so.1",
                             "/lib64/ld-linux-x86-64.so.2",
                             "/lib/ld-2.28.so",
                             "/lib/libpthread.so.0",
                             "/lib/libpthread-2.31.so",
                             "/usr/lib/libstdc++.so.6.0.30",
                             "/usr/lib/libc++.so.1",
                             "/usr/lib/libgcc_s.so.1",
                             "[vdso]",
                             "/usr/lib/libpython3.11.so.1.0",
                             "/usr/bin/python3.11",
                             "/usr/bin/python3",
                             "/usr/lib/jvm/lib/server/libjvm.so",
                             "/usr/bin/node",
                             "/usr/bin/node (deleted)",
                             "/usr/lib/libnode.so.108",
                             "/usr/lib/libm.so.6",
                             "/usr/lib/libruby-3.1.so.3.1",
                             "/lib/libc.musl-x86_64.so.1"}) {
    EXPECT_TRUE(is_runtime_frame(frame(module, "f"))) << module;
  }
}

TEST(RuntimeFrame, IsNotAModuleThatOnlySoundsLikeOne) {
  for (const char* module : {kApp, "/usr/lib/libc-client.so.2007", "/usr/lib/libmagic.so.1", "/usr/bin/node_exporter",
                             "/usr/lib/libcurl.so.4", "/usr/lib/libssl.so.3", "/usr/bin/nodelay",
                             "/usr/lib/librtmp.so.1", "/usr/lib/libldap.so.2", "", "/srv/libc.so.6/app"}) {
    EXPECT_FALSE(is_runtime_frame(frame(module, "f"))) << module;
  }
}

TEST(RuntimeFrame, IsLibcsFunctionInAStaticProgram) {
  for (const char* function :
       {"__libc_start_call_main", "__libc_start_main_impl", "__libc_start_main", "_start", "__socket", "socket",
        "accept4", "__accept4", "__libc_accept", "socketpair", "connect", "__close", "__close_nocancel", "start_thread",
        "__clone3", "__GI___connect", "__clone"}) {
    EXPECT_TRUE(is_runtime_frame(frame(kApp, function))) << function;
    EXPECT_FALSE(is_runtime_frame(frame(kApp, function, "/src/mine.c", 3))) << function;
  }
  for (const char* function :
       {"main", "start", "sockets", "socket_open", "db::connect(db::Url const&)", "", "accept_loop"}) {
    EXPECT_FALSE(is_runtime_frame(frame(kApp, function))) << function;
  }
  EXPECT_TRUE(is_runtime_frame(frame(kApp, "__libc_start_call_main", "../sysdeps/nptl/libc_start_call_main.h", 58)));
  EXPECT_TRUE(is_runtime_frame(frame(kApp, "accept4", "./socket/../sysdeps/unix/sysv/linux/accept4.c", 32)));
}

TEST(RuntimeFrame, IsStandardLibraryCodeInlinedIntoTheProgram) {
  EXPECT_TRUE(is_runtime_frame(frame(kApp, "std::__invoke_impl<void>()", "/usr/include/c++/12/bits/invoke.h", 61)));
  EXPECT_TRUE(is_runtime_frame(frame(kApp, "std::thread::_State_impl<int>::_M_run()")));
  EXPECT_TRUE(is_runtime_frame(frame(kApp, "<std::net::tcp::TcpStream>::connect::<&str>")));
  EXPECT_FALSE(is_runtime_frame(frame(kApp, "<net::Pool>::get")));
  EXPECT_TRUE(is_runtime_frame(
      frame(kApp, "std::net::tcp::TcpStream::connect", "/rustc/5980761/library/std/src/net/tcp.rs", 9)));
  EXPECT_FALSE(is_runtime_frame(frame(kApp, "std::hash<db::Url>::operator()", "/src/url.hpp", 9)));
}

TEST(Culprit, IsThePythonLineThatCallsAnExtension) {
  Stack stack;
  stack.frames = {of_kind(FrameKind::kNative, "socket", "", "libc.so.6"),
                  of_kind(FrameKind::kNative, "PQconnectdb", "fe-connect.c", "libpq.so.5"),
                  of_kind(FrameKind::kPython, "create_connection", "/usr/lib/python3.11/socket.py"),
                  of_kind(FrameKind::kPython, "Orders.fetch", "/srv/app/orders.py"),
                  of_kind(FrameKind::kPython, "main", "/srv/app/main.py")};
  EXPECT_EQ(culprit_frame(stack), 3U);
  stack.frames.resize(3);
  EXPECT_EQ(culprit_frame(stack), 1U) << "no Python frame is the program's";
}

TEST(RuntimeFrame, KnowsTheStandardLibrariesOfManagedLanguages) {
  const char* const python = "/usr/bin/python3.11";
  EXPECT_TRUE(
      is_runtime_frame(of_kind(FrameKind::kPython, "create_connection", "/usr/lib/python3.11/socket.py", python)));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kPython, "fetch", "/srv/app/fetch.py", python)));
  EXPECT_FALSE(is_runtime_frame(
      of_kind(FrameKind::kPython, "send", "/usr/lib/python3.11/site-packages/requests/adapters.py", python)));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kPython, "f", "/opt/lib/python311.zip/http/client.py")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kJava, "call_stub", "")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kJava, "sun.nio.ch.Net.socket0", "Net.java")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kJava, "org.acme.Pool$$Lambda.run", "")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kJava, "org.acme.Pool.lambda$open$0", "Pool.java")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kJava, "ErrorPath.dialBackend", "ErrorPath.java")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kNode, "internalConnect", "node:net")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kNode, "", "")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kPython, "f", "<frozen importlib._bootstrap>")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kPython, "f", "/usr/lib/python3/dist-packages/app.py")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kPython, "f", "/srv/lib/python3-orders/app.py")));
  EXPECT_TRUE(is_runtime_frame(
      of_kind(FrameKind::kGo, "net.(*sysDialer).dialTCP", "/usr/lib/go-1.19/src/net/tcpsock_posix.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kGo, "net/http.(*Transport).dial", "net/http/transport.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kGo, "internal/poll.(*FD).Accept", "fd_unix.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kGo, "vendor/golang.org/x/net/http2.f", "http2/transport.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kGo, "database/sql.(*DB).conn", "database/sql/sql.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kGo, "main._Cfunc_socket", "_cgo_gotypes.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kNative, "_cgo_8b1f_Cfunc_socket", "/tmp/go-build/cgo-gcc-prolog")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kGo, "database/orders.Open", "/src/database/orders/open.go")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kGo, "main.main", "/src/main.go")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kGo, "example.com/db.Open", "/src/db/open.go")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kGo, "network.Open", "/src/network/open.go")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kJava, "java.net.Socket.connect", "Socket.java")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kJava, "org.acme.Pool.open", "Pool.java")));
  EXPECT_TRUE(is_runtime_frame(of_kind(FrameKind::kNode, "connect", "node:net")));
  EXPECT_FALSE(is_runtime_frame(of_kind(FrameKind::kNode, "query", "/srv/app/db.js")));
}

TEST(Culprit, IsTheFirstFrameOfTheProgramItself) {
  EXPECT_EQ(culprit_frame(stack_of({frame(kLibc, "__socket"), frame(kApp, "std::f()", "/usr/include/c++/12/x.h", 1),
                                    frame(kApp, "db::connect(db::Url const&)", "/src/db.cc", 5), frame(kApp, "main")})),
            2u);
}

TEST(Culprit, SkipsLibcInsideAStaticProgram) {
  EXPECT_EQ(culprit_frame(stack_of({frame(kApp, "accept4"), frame(kApp, "serve", "/src/serve.c", 5)})), 1u);
  EXPECT_EQ(culprit_frame(
                stack_of({frame(kApp, "socket", "src/network/socket.c", 7), frame(kApp, "serve", "/src/serve.c", 5)})),
            1u);  // musl with lines
}

TEST(Culprit, MayBeAWrapperNamedLikeTheSystemCallIfItIsNotTheInnermost) {
  EXPECT_EQ(culprit_frame(stack_of({frame(kLibc, "__socket"), frame(kApp, "socket", "/src/wrap.c", 7)})), 1u);
}

TEST(Culprit, MayBeAModuleWithoutAnyName) {
  EXPECT_EQ(culprit_frame(
                stack_of({frame(kLibc, "socket"), frame("", ""), frame("/opt/libvendor.so", ""), frame(kApp, "main")})),
            2u);
}

TEST(Culprit, IsWhoCallsAClientLibrary) {
  EXPECT_EQ(culprit_frame(stack_of({frame(kLibc, "__socket"), frame("/usr/lib/x86_64-linux-gnu/libcurl.so.4", "Curl_socket"),
                                    frame("/usr/lib/x86_64-linux-gnu/libpq.so.5.15", "", "/src/fe-connect.c", 7),
                                    frame(kApp, "fetch", "/src/fetch.c", 5)})),
            3u);
}

TEST(Culprit, IsTheInnermostFrameIfThereIsNoOther) {
  EXPECT_EQ(culprit_frame(stack_of({frame(kLibc, "socket"), frame(kLibc, "getaddrinfo")})), 0u);
  EXPECT_EQ(culprit_frame(Stack{}), 0u);
}

std::string fingerprint(std::vector<Frame> frames) {
  return site_fingerprint(stack_of(std::move(frames)), "connect", "tcp");
}

TEST(Culprit, IsWhatTellsMostOfARuntimeThatIsOnItsOwn) {
  const Frame read = frame(kLibc, "__GI___libc_read", "./io/../sysdeps/unix/sysv/linux/read.c", 26);
  const Frame loop = frame("/usr/bin/node", "uv__read");
  EXPECT_EQ(culprit_frame(stack_of({read, loop, frame("/usr/bin/node", "uv_run")})), 1u);
  const Frame unnamed = of_kind(FrameKind::kNode, "Builtins_Call", "");
  EXPECT_EQ(culprit_frame(stack_of({read, loop, unnamed, of_kind(FrameKind::kNode, "internalConnect", "node:net")})), 3u);
}

TEST(Fingerprint, IsSixteenHexDigitsThatNeverChange) {
  // Users keep these in suppression files: a new value here breaks them.
  EXPECT_EQ(fingerprint(
                {frame(kApp, "db::connect(db::Url const&)", "/src/db.cc", 5), frame(kApp, "main", "/src/main.cc", 9)}),
            "488cb18b88a63ed9");
  EXPECT_EQ(site_fingerprint(Stack{}, "", "").size(), 16u);
}

TEST(Fingerprint, IsTheSameOnAnotherMachine) {
  Frame here = frame("/srv/orders", "serve", "/home/build/src/serve.cc", 5);
  here.build_id = "aa";
  here.offset = 0x1000;
  Frame there = frame("/opt/v2/orders", "serve", "/ci/workspace/7/src/serve.cc", 5);
  there.build_id = "bb";
  there.offset = 0x2000;
  there.column = 4;
  EXPECT_EQ(fingerprint({frame(kLibc, "__socket"), here, frame(kLibc, "__libc_start_call_main")}),
            fingerprint({frame("/lib/libc-2.31.so", "socket"), there, frame("/lib/libc-2.31.so", "__libc_start_main"),
                         frame("", "_start")}));
}

TEST(Fingerprint, DiffersWhereTheSiteDiffers) {
  const Frame base = frame(kApp, "serve", "/src/serve.cc", 5);
  std::set<std::string> all = {fingerprint({base}), fingerprint({base, base}), fingerprint({})};
  all.insert(fingerprint({frame(kApp, "serve", "/src/serve.cc", 6)}));
  all.insert(fingerprint({frame(kApp, "serve", "/src/server.cc", 5)}));
  all.insert(fingerprint({frame(kApp, "server", "/src/serve.cc", 5)}));
  all.insert(fingerprint({frame(kApp, "f"), base}));
  all.insert(fingerprint({base, frame(kApp, "f")}));
  all.insert(site_fingerprint(stack_of({base}), "accept", "tcp"));
  all.insert(site_fingerprint(stack_of({base}), "connect", "udp"));
  all.insert(site_fingerprint(stack_of({base}), "connectt", "cp"));
  EXPECT_EQ(all.size(), 11u);
}

TEST(Fingerprint, UsesModuleAndOffsetWhereThereIsNoName) {
  Frame here = frame("/opt/a/libvendor.so", ""), moved = frame("/opt/b/libvendor.so", "");
  here.build_id = moved.build_id = "aa";
  EXPECT_EQ(fingerprint({here}), fingerprint({moved}));
  Frame other_place = here, other_build = here;
  other_place.offset = 0x1004;
  other_build.build_id = "bb";
  EXPECT_NE(fingerprint({here}), fingerprint({other_place}));
  EXPECT_NE(fingerprint({here}), fingerprint({other_build}));
  Frame jit = frame("", ""), jit_elsewhere = frame("", "");
  jit_elsewhere.offset = 0x7f0000000000;
  EXPECT_EQ(fingerprint({jit}), fingerprint({jit_elsewhere}));  // a raw address is random per run
}

TEST(Fingerprint, FallsBackToTheRuntimesFramesIfThereAreNoOthers) {
  const char* const python = "/usr/bin/python3.11";
  EXPECT_NE(fingerprint({frame(python, "sock_initobj")}), fingerprint({frame(python, "sock_accept")}));
}

}  // namespace
}  // namespace sockleak
