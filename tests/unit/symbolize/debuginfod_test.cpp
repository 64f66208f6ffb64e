// Who is asked for debug files: nobody on the network, unless the user wants it. libdwfl reads the environment when it
// is loaded, so each case runs this test program again with DEBUGINFOD_URLS pointing at a socket of ours.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "symbolize/symbolizer.hpp"
#include "unit/symbolize/sysroot.hpp"

namespace sockleak::test {
namespace {

constexpr const char* kRole = "SOCKLEAK_DEBUGINFOD_ROLE";

/// The other side: only does something when a test below runs it.
TEST(DebuginfodSubject, Symbolizes) {
  const char* role = std::getenv(kRole);
  if (role == nullptr) return;
  SymbolizerOptions options;
  options.debuginfod = std::string(role) == "asked";
  const std::string urls = std::getenv("DEBUGINFOD_URLS");
  ModuleStore modules;
  const ModuleId module = add_module(modules, sysroot_path("nested.build-id"));
  const Stack stack = make_dwfl_symbolizer(modules, options)->symbolize(mapped(module, {0x1255}));
  EXPECT_EQ(stack.frames[0].function, "");
  EXPECT_EQ(std::getenv("DEBUGINFOD_URLS"), urls);  // put back
}

/// True if the subject connected to DEBUGINFOD_URLS.
bool somebody_asked(const std::string& role) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener.get(), generic, length), 0);
  EXPECT_EQ(::listen(listener.get(), 4), 0);
  EXPECT_EQ(::getsockname(listener.get(), generic, &length), 0);
  const TemporaryDirectory cache;
  std::array environment = {"DEBUGINFOD_URLS=http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/",
                            "DEBUGINFOD_CACHE_PATH=" + cache.path(),
                            std::string("DEBUGINFOD_RETRY_LIMIT=0"),
                            std::string("DEBUGINFOD_TIMEOUT=1"),
                            std::string("no_proxy=127.0.0.1"),
                            std::string(kRole) + "=" + role};
  std::array<char*, 7> variables{};
  for (std::size_t i = 0; i < environment.size(); ++i) variables[i] = environment[i].data();
  std::string program = "/proc/self/exe", filter = "--gtest_filter=DebuginfodSubject.*";
  std::array<char*, 3> arguments = {program.data(), filter.data(), nullptr};
  pid_t child = -1;
  EXPECT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), variables.data()), 0);

  // Refuse whoever connects, until the subject is done.
  bool asked = false;
  int status = 0;
  pollfd ready{listener.get(), POLLIN, 0};
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (::poll(&ready, 1, 10) <= 0) continue;
    const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    asked = true;
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return asked || ::poll(&ready, 1, 0) > 0;
}

TEST(Debuginfod, IsNotContactedUnlessAskedFor) {
  EXPECT_FALSE(somebody_asked("default"));
}

TEST(Debuginfod, IsContactedIfAskedFor) {
  // Otherwise the test above would prove nothing. Without the client library nobody can ask.
  if (output_of("ldconfig -p 2>/dev/null | grep libdebuginfod || ls /usr/lib/*/libdebuginfod.so.1 2>/dev/null")
          .empty()) {
    GTEST_SKIP() << "libdebuginfod is not on this machine";
  }
  EXPECT_TRUE(somebody_asked("asked"));
}

}  // namespace
}  // namespace sockleak::test
