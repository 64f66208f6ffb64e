#include "app/process_names.hpp"

#include <gtest/gtest.h>

#include "event/decode.hpp"
#include "support/event_builder.hpp"

namespace sockleak {
namespace {

/// Tells a story to `names`.
void hear(ProcessNames& names, const test::EventBuilder& story) {
  for (const Recording::Item& item : story.items()) {
    const Decoded decoded = decode(item.record);
    if (const Event* event = std::get_if<Event>(&decoded)) names.observe(*event);
  }
}

TEST(ProcessNames, AskOncePerProcess) {
  int asked = 0;
  ProcessNames names([&asked](Pid) {
    ++asked;
    return ProcessName{"orders", "/srv/orders"};
  });
  const test::Actor app = test::process(812, "x");
  hear(names, test::EventBuilder().creates(app, 1).creates(app, 2).creates(test::thread(app, 813, "w"), 3));
  EXPECT_EQ(asked, 1);
  ASSERT_NE(names.find(app.process()), nullptr);
  EXPECT_EQ(names.find(app.process())->comm, "orders");
}

TEST(ProcessNames, AskAgainAfterAnExec) {
  std::string now = "sh";
  ProcessNames names([&now](Pid) { return ProcessName{now, "/bin/" + now}; });
  const test::Actor app = test::process(812, "sh");
  hear(names, test::EventBuilder().creates(app, 1));
  now = "curl";
  hear(names, test::EventBuilder().execs(app));
  EXPECT_EQ(*names.find(app.process()), (ProcessName{"curl", "/bin/curl"}));
}

TEST(ProcessNames, TakeWhatEventsSayOfAProcessThatIsGone) {
  ProcessNames names([](Pid) { return ProcessName{}; });
  const test::Actor main = test::process(812, "orders");
  const test::Actor worker = test::thread(test::process(900), 901, "worker");
  const test::Actor execed = test::process(950, "curl");
  hear(names, test::EventBuilder().creates(main, 1).creates(worker, 2).execs(execed));
  EXPECT_EQ(names.find(main.process())->comm, "orders");
  EXPECT_EQ(names.find(worker.process())->comm, "") << "a thread's name is not its process's";
  EXPECT_EQ(names.find(execed.process())->comm, "curl");
}

TEST(ProcessNames, RememberWhatWasAskedBeforeTheFirstEvent) {
  bool alive = true;
  ProcessNames names([&alive](Pid) { return alive ? ProcessName{"app", "/srv/app"} : ProcessName{}; });
  const test::Actor app = test::process(812, "app");
  names.ask_now(Pid{812});
  alive = false;
  hear(names, test::EventBuilder().execs(app).creates(app, 1));
  EXPECT_EQ(*names.find(app.process()), (ProcessName{"app", "/srv/app"}));
}

TEST(ProcessNames, OfAProcessThatIsGoneHaveItsParentsCgroup) {
  ProcessNames names([](Pid pid) { return pid == Pid{812} ? ProcessName{"sh", "/bin/sh", "/x"} : ProcessName{}; });
  const test::Actor shell = test::process(812, "sh"), child = test::process(813), grandchild = test::process(814);
  hear(names, test::EventBuilder().forks(shell, child).forks(child, grandchild).creates(child, 1).execs(grandchild));
  EXPECT_EQ(names.find(child.process())->cgroup, "/x");
  EXPECT_EQ(names.find(grandchild.process())->cgroup, "/x");
}

TEST(ProcessNames, HaveALimit) {
  ProcessNames names([](Pid) { return ProcessName{"a", "b"}; });
  test::EventBuilder story;
  for (std::uint32_t pid = 1; pid <= ProcessNames::kMost + 10; ++pid) story.creates(test::process(pid), pid);
  hear(names, story);
  EXPECT_EQ(names.all().size(), ProcessNames::kMost);
}

}  // namespace
}  // namespace sockleak
