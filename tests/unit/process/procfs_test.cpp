#include "process/procfs.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "unit/process/temporary_tree.hpp"

namespace sockleak {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

constexpr Pid kPid{42};

// Fields 3 to 22, start time last.
constexpr const char* kAfterName = " S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654321 0 0\n";

class FixtureProcfs : public testing::Test {
 protected:
  std::vector<MapsEntry> mappings(std::string_view text) {
    tree_.write("42/maps", text);
    return procfs_.executable_mappings(kPid);
  }

  TemporaryTree tree_;
  Procfs procfs_{tree_.root()};
};

TEST_F(FixtureProcfs, AProcessThatIsGoneAnswersNothing) {
  EXPECT_FALSE(procfs_.exists(kPid));
  EXPECT_EQ(procfs_.comm(kPid), "");
  EXPECT_EQ(procfs_.exe(kPid), "");
  EXPECT_EQ(procfs_.start_ticks(kPid), std::nullopt);
  EXPECT_EQ(procfs_.parent(kPid), std::nullopt);
  EXPECT_EQ(procfs_.thread_group(kPid), std::nullopt);
  EXPECT_THAT(procfs_.children(kPid), IsEmpty());
  EXPECT_EQ(procfs_.netns(kPid), std::nullopt);
  EXPECT_FALSE(procfs_.open_netns(kPid).valid());
  EXPECT_THAT(procfs_.executable_mappings(kPid), IsEmpty());
  EXPECT_FALSE(procfs_.open_mapping(kPid, {.start = 0x1000, .end = 0x2000, .path = "/nowhere"}).valid());
}

TEST_F(FixtureProcfs, OnlyTheKernelsNewlineIsTakenFromAName) {
  tree_.write("42/comm", "a\nb\n\n");
  EXPECT_EQ(procfs_.comm(kPid), "a\nb\n");
  EXPECT_TRUE(procfs_.exists(kPid));
}

TEST_F(FixtureProcfs, ExeLosesTheDeletedMark) {
  tree_.link("42/exe", "/usr/sbin/server (deleted)");
  EXPECT_EQ(procfs_.exe(kPid), "/usr/sbin/server");
}

TEST_F(FixtureProcfs, StatIsReadAfterTheLastParenthesis) {
  for (const std::string name : {"server", "a b", ") R 1 (", "x) S 3 4 (y)", "a)\nb", ""}) {
    tree_.write("42/stat", "42 (" + name + ")" + kAfterName);
    EXPECT_EQ(procfs_.parent(kPid), Pid{7}) << name;
    EXPECT_EQ(procfs_.start_ticks(kPid), 987654321U) << name;
  }
}

TEST_F(FixtureProcfs, AMalformedStatAnswersNothing) {
  for (const char* text : {"", "42", "42 (server", "42 (server)", "42 (server) S x 42", "42 (server) S 7 42 42\n"}) {
    tree_.write("42/stat", text);
    EXPECT_EQ(procfs_.start_ticks(kPid), std::nullopt) << text;
  }
  tree_.write("42/stat", "42 (server) S -1 42");
  EXPECT_EQ(procfs_.parent(kPid), std::nullopt);
  tree_.write("42/stat", "42 (server) S 99999999999999 42");
  EXPECT_EQ(procfs_.parent(kPid), std::nullopt);
}

TEST_F(FixtureProcfs, AThreadKnowsItsProcess) {
  tree_.write("42/status", "Name:\tTgid:\t9\\nTgid:\t8\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t40\nNgid:\t0\n");
  EXPECT_EQ(procfs_.thread_group(kPid), Pid{40});
  tree_.write("42/status", "Name:\tserver\nTgid:\t\n");
  EXPECT_EQ(procfs_.thread_group(kPid), std::nullopt);
}

TEST_F(FixtureProcfs, ChildrenOfEveryThreadAreListed) {
  tree_.write("42/task/42/children", "100 9 ");
  tree_.write("42/task/43/children", "");
  tree_.write("42/task/44/children", "77 ");
  tree_.write("500/stat", "500 (stranger) S 42 ");  // not asked when the kernel keeps lists
  EXPECT_THAT(procfs_.children(kPid), ElementsAre(Pid{9}, Pid{77}, Pid{100}));
}

TEST_F(FixtureProcfs, ChildrenAreSearchedWhereTheKernelKeepsNoLists) {
  tree_.write("42/task/42/comm", "server\n");
  tree_.write("42/stat", "42 (server) S 1 ");
  tree_.write("300/stat", "300 (b) S 42 ");
  tree_.write("29/stat", "29 (a) S 7) S 42 ");
  tree_.write("31/stat", "31 (c) S 43 ");
  tree_.write("self/stat", "32 (d) S 42 ");
  tree_.write("12x/stat", "12 (e) S 42 ");
  EXPECT_THAT(procfs_.children(kPid), ElementsAre(Pid{29}, Pid{300}));
}

TEST_F(FixtureProcfs, NetnsIsTheInodeInTheLink) {
  tree_.link("42/ns/net", "net:[4026531840]");
  EXPECT_EQ(procfs_.netns(kPid), NetnsId{4026531840});
  tree_.link("43/ns/net", "net:[x]");
  EXPECT_EQ(procfs_.netns(Pid{43}), std::nullopt);
  tree_.link("44/ns/net", "mnt:[1]");
  EXPECT_EQ(procfs_.netns(Pid{44}), std::nullopt);
}

TEST_F(FixtureProcfs, OnlyExecutableMappingsAreReturned) {
  const auto entries = mappings(
      "55d0a000-55d0b000 r--p 00000000 fe:00 247134                     /usr/bin/cat\n"
      "55d0b000-55d10000 r-xp 00002000 fe:01 247134                     /usr/bin/cat\n"
      "55d10000-55d11000 rw-p 00007000 fe:00 247134                     /usr/bin/cat\n"
      "7ffd0000-7ffd1000 rw-p 00000000 00:00 0                          [stack]\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].start, 0x55d0b000U);
  EXPECT_EQ(entries[0].end, 0x55d10000U);
  EXPECT_EQ(entries[0].offset, 0x2000U);
  EXPECT_EQ(entries[0].device_major, 0xfeU);
  EXPECT_EQ(entries[0].device_minor, 1U);
  EXPECT_EQ(entries[0].inode, 247134U);
  EXPECT_EQ(entries[0].path, "/usr/bin/cat");
  EXPECT_EQ(entries[1].start, 0xffffffffff600000U);
}

TEST_F(FixtureProcfs, EveryKindOfPathIsRead) {
  const auto entries = mappings(
      "1000-2000 r-xp 00000000 00:00 0                          [vdso]\n"
      "2000-3000 r-xp 00000000 00:00 0 \n"
      "3000-4000 rwxp 00000000 00:00 0\n"
      "4000-5000 r-xs 00000000 00:01 1031                       /memfd:jit code (deleted)\n"
      "5000-6000 r-xs 00000000 00:01 32768                      /SYSV0000162e (deleted)\n"
      "6000-7000 r-xp 00000000 fe:00 99                         /opt/two words/lib.so (deleted)\n"
      "7000-8000 r-xp 00000000 fe:00 98                         /tmp/a\\012b\\012\n"
      "8000-9000 r-xp 00000000 fe:00 97                         /tmp/back\\134slash\\n\n"
      "9000-a000 r-xp 00000000 fe:00 96                         /tmp/ends in blank \n"
      "a000-b000 r-xp 00000000 00:00 0                          [anon:heap (deleted) x]\n"
      "b000-c000 --xp 00000000 00:00 0                          [uprobes]");
  EXPECT_THAT(
      entries,
      ElementsAre(Field(&MapsEntry::path, "[vdso]"), Field(&MapsEntry::path, ""), Field(&MapsEntry::path, ""),
                  Field(&MapsEntry::path, "/memfd:jit code"), Field(&MapsEntry::path, "/SYSV0000162e"),
                  Field(&MapsEntry::path, "/opt/two words/lib.so"), Field(&MapsEntry::path, "/tmp/a\nb\n"),
                  Field(&MapsEntry::path, "/tmp/back\\134slash\\n"), Field(&MapsEntry::path, "/tmp/ends in blank "),
                  Field(&MapsEntry::path, "[anon:heap (deleted) x]"), Field(&MapsEntry::path, "[uprobes]")));
}

TEST_F(FixtureProcfs, MalformedMappingsAreSkipped) {
  const auto entries = mappings(
      "\n\nnothing\n"
      "1000\n1000-\n1000-2000\n1000-2000 \n1000-2000 r-x\n1000-2000 r-xp\n"
      "1000-2000 r-xp 0 0:\n"
      "2000-1000 r-xp 00000000 fe:00 1 /backwards\n"
      "10000000000000000-20000000000000000 r-xp 00000000 fe:00 1 /too-long\n"
      "-1000-2000 r-xp 00000000 fe:00 1 /negative\n"
      "1000-2000 r-xp 00000000 fe:00 5 /good\n"
      "3000-4000 r-xp 000");
  EXPECT_THAT(entries, ElementsAre(Field(&MapsEntry::path, "/good")));
}

/// An entry that says it is the file at `path`.
[[nodiscard]] MapsEntry entry_of(const std::string& path) {
  struct stat file {};
  EXPECT_EQ(::stat(path.c_str(), &file), 0);
  return {.start = 0xab000,
          .end = 0xcd000,
          .inode = file.st_ino,
          .device_major = gnu_dev_major(file.st_dev),
          .device_minor = gnu_dev_minor(file.st_dev),
          .path = path};
}

[[nodiscard]] std::string content(const UniqueFd& fd) {
  std::array<char, 64> buffer;
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  return got < 0 ? "unreadable" : std::string(buffer.data(), static_cast<std::size_t>(got));
}

TEST_F(FixtureProcfs, TheMapFilesLinkComesFirst) {
  tree_.write("outside", "by path");
  const MapsEntry entry = entry_of(tree_.path("outside"));
  tree_.write("container/outside", "by link");
  tree_.link("42/map_files/ab000-cd000", tree_.path("container/outside"));
  EXPECT_EQ(content(procfs_.open_mapping(kPid, entry)), "by link");
}

TEST_F(FixtureProcfs, TheMapFilesLinkOfWhatIsMappedThereNowIsNotTaken) {
  tree_.write("outside", "by path");
  const MapsEntry entry = entry_of(tree_.path("outside"));
  tree_.write("next", "by link");
  tree_.link("42/map_files/ab000-cd000", tree_.path("next"));
  EXPECT_EQ(content(procfs_.open_mapping(kPid, entry)), "by path");
}

TEST_F(FixtureProcfs, WithoutTheLinkTheProcesssOwnRootComesBeforeOurs) {
  tree_.write("outside", "ours");
  tree_.write("inside", "its own");
  MapsEntry entry = entry_of(tree_.path("inside"));
  entry.path = tree_.path("outside");  // the same name, another file: as in a container
  const std::string in_root = "42/root" + entry.path;
  std::filesystem::create_directories(tree_.root() / std::filesystem::path(in_root).parent_path());
  std::filesystem::create_hard_link(tree_.path("inside"), tree_.path(in_root));
  EXPECT_EQ(content(procfs_.open_mapping(kPid, entry)), "its own");
  const MapsEntry ours = entry_of(tree_.path("outside"));
  EXPECT_EQ(content(procfs_.open_mapping(kPid, ours)), "ours");
}

TEST_F(FixtureProcfs, AReplacedFileIsNotTaken) {
  tree_.write("old", "old");
  MapsEntry entry = entry_of(tree_.path("old"));
  tree_.write("new", "new");
  entry.path = tree_.path("new");
  EXPECT_FALSE(procfs_.open_mapping(kPid, entry).valid());
}

TEST_F(FixtureProcfs, WhatIsNoRegularFileIsNotOpened) {
  ASSERT_EQ(::mkfifo(tree_.path("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(procfs_.open_mapping(kPid, entry_of(tree_.path("fifo"))).valid());
  EXPECT_FALSE(procfs_.open_mapping(kPid, entry_of("/dev/null")).valid());
  EXPECT_FALSE(procfs_.open_mapping(kPid, {.start = 0x1000, .end = 0x2000, .path = "[vdso]"}).valid());
}

[[nodiscard]] Pid self() {
  return {static_cast<std::uint32_t>(::getpid())};
}

TEST(LiveProcfs, ReadsThisProcess) {
  const Procfs procfs;
  EXPECT_TRUE(procfs.exists(self()));
  EXPECT_EQ(procfs.comm(self()), "unit_process");
  EXPECT_EQ(procfs.exe(self()), std::filesystem::read_symlink("/proc/self/exe"));
  EXPECT_EQ(procfs.parent(self()), Pid{static_cast<std::uint32_t>(::getppid())});
  EXPECT_EQ(procfs.thread_group(self()), self());
  EXPECT_GT(procfs.start_ticks(self()).value_or(0), 0U);
  struct stat file {};
  ASSERT_EQ(::stat("/proc/self/ns/net", &file), 0);
  EXPECT_EQ(procfs.netns(self()), NetnsId{static_cast<std::uint32_t>(file.st_ino)});
  EXPECT_TRUE(procfs.open_netns(self()).valid());
}

TEST(LiveProcfs, OpensTheFileThatThisCodeIsMappedFrom) {
  const Procfs procfs;
  const auto here = reinterpret_cast<std::uint64_t>(&self);
  for (const MapsEntry& entry : procfs.executable_mappings(self())) {
    if (here < entry.start || here >= entry.end) continue;
    struct stat opened {
    }, expected{};
    ASSERT_EQ(::fstat(procfs.open_mapping(self(), entry).get(), &opened), 0);
    ASSERT_EQ(::stat("/proc/self/exe", &expected), 0);
    EXPECT_EQ(opened.st_ino, expected.st_ino);
    return;
  }
  FAIL() << "no mapping holds this function";
}

TEST(LiveProcfs, OpensADeletedFileWithANewlineInItsName) {
  const TemporaryTree tree;
  const std::string path = tree.path("a\nb (c)");
  tree.write("a\nb (c)", std::string(4096, 'x'));
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const Procfs procfs;
  bool found = false;
  for (const MapsEntry& entry : procfs.executable_mappings(self())) {
    if (entry.start != reinterpret_cast<std::uint64_t>(memory)) continue;
    found = true;
    EXPECT_EQ(entry.path, path);
    const UniqueFd opened = procfs.open_mapping(self(), entry);
    if (!opened.valid() && ::geteuid() != 0) continue;  // map_files links need CAP_CHECKPOINT_RESTORE
    EXPECT_EQ(content(opened), std::string(64, 'x'));
  }
  EXPECT_TRUE(found);
  ::munmap(memory, 4096);
}

TEST(LiveProcfs, FindsAChildWithAStrangeName) {
  std::array<int, 2> ready{}, finish{};
  ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(finish.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    ::close(finish[1]);
    ::prctl(PR_SET_NAME, ") R 1\n(");
    ::_exit(::write(ready[1], "", 1) == 1 && ::read(finish[0], &byte, 1) == 0 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const Pid pid{static_cast<std::uint32_t>(child)};
  const Procfs procfs;
  EXPECT_THAT(procfs.children(self()), testing::Contains(pid));
  EXPECT_EQ(procfs.comm(pid), ") R 1\n(");
  EXPECT_EQ(procfs.parent(pid), self());
  EXPECT_GE(procfs.start_ticks(pid).value_or(0), procfs.start_ticks(self()).value_or(1));
  for (const int fd : {finish[1], finish[0], ready[0], ready[1]}) ::close(fd);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(procfs.exists(pid));
}

}  // namespace
}  // namespace sockleak
