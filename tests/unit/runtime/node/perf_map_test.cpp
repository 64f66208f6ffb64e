#include "runtime/node/perf_map.hpp"

#include <gtest/gtest.h>

#include <random>

namespace sockleak {
namespace {

TEST(PerfMap, FindsTheCodeThatCoversAnAddress) {
  PerfMap map;
  map.read("1000 10 JS:~dial /srv/app.js:3:14\n0x2000 0x20 void Orders.fetch(java.lang.String)\n");
  EXPECT_EQ(map.find(0x1000), "JS:~dial /srv/app.js:3:14");
  EXPECT_EQ(map.find(0x100f), "JS:~dial /srv/app.js:3:14");
  EXPECT_EQ(map.find(0x1010), "");
  EXPECT_EQ(map.find(0x201f), "void Orders.fetch(java.lang.String)");
  EXPECT_EQ(map.find(0xfff), "");
  EXPECT_EQ(map.malformed(), 0U);
}

TEST(PerfMap, TakesTheLaterOfTwoLines) {
  PerfMap map;
  map.read("1000 10 old\n1000 8 new\n");
  EXPECT_EQ(map.find(0x1004), "new");
  EXPECT_EQ(map.find(0x1008), "");
}

TEST(PerfMap, LeavesOutWhatMakesNoSense) {
  PerfMap map;
  map.read("\nzz 10 a\n1000\n1000 10\n1000 10 \n1000 0 empty\nffffffffffffffff 10 beyond\n0x 5 b\n10000000000000000 1 c\n"
           "5000 8 cut");
  EXPECT_EQ(map.size(), 1U);
  EXPECT_EQ(map.find(0x5000), "cut");
  EXPECT_EQ(map.malformed(), 9U);
}

TEST(PerfMap, AnyBytesAreSafe) {
  std::mt19937 random(11);
  const std::string_view alphabet = "0123456789abcdefxX \t\n:JS*~()./-\xff";
  for (int i = 0; i < 5000; ++i) {
    std::string text(random() % 200, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    PerfMap map;
    map.read(text);
    EXPECT_LE(map.size(), text.size());
    (void)map.find(random());
    for (const FrameKind kind : {FrameKind::kNode, FrameKind::kNative}) (void)jit_frame(kind, text);
  }
}

TEST(JitFrame, OfV8) {
  const Frame frame = jit_frame(FrameKind::kNode, "JS:*dialBackend /srv/app.js:12:31");
  EXPECT_EQ(frame.function, "dialBackend");
  EXPECT_EQ(frame.file, "/srv/app.js");
  EXPECT_EQ(frame.line, 12U);
  EXPECT_EQ(frame.kind, FrameKind::kNode);
  EXPECT_EQ(jit_frame(FrameKind::kNode, "LazyCompile:~connect node:net:221:17").file, "node:net");
  EXPECT_EQ(jit_frame(FrameKind::kNode, "JS:~ file:///srv/a b.mjs:1:1").function, "(anonymous)");
  EXPECT_EQ(jit_frame(FrameKind::kNode, "JS:~ file:///srv/a b.mjs:1:1").file, "file:///srv/a b.mjs");
  EXPECT_EQ(jit_frame(FrameKind::kNode, "Builtin:JSEntry").function, "Builtin:JSEntry");
}

}  // namespace
}  // namespace sockleak
