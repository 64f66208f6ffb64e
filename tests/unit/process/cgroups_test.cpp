#include "process/cgroups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/process/temporary_tree.hpp"

namespace sockleak {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kId(64, 'a'), kOther = "ab" + std::string(62, '0');

TEST(CgroupPath, IsTheOneOfCgroup2) {
  EXPECT_EQ(cgroup_path("0::/system.slice/x.service\n"), "/system.slice/x.service");
  EXPECT_EQ(cgroup_path("1:name=systemd:/a\n0::/b\n"), "/b");
}

TEST(CgroupPath, OnHybridHostsIsTheOneOfSystemd) {
  EXPECT_EQ(cgroup_path("9:memory:/m\n1:name=systemd:/docker/x\n0::/\n"), "/docker/x");
  EXPECT_EQ(cgroup_path("9:memory:/m\n0::/\n"), "/");
  EXPECT_EQ(cgroup_path("9:memory:/m\n"), "");
}

class Names : public testing::TestWithParam<const char*> {};

TEST_P(Names, AreContainers) {
  std::string path = GetParam();
  path.replace(path.find("ID"), 2, kId);
  EXPECT_EQ(container_of(path), kId);
}
INSTANTIATE_TEST_SUITE_P(All, Names,
                         testing::Values("/docker/ID", "/system.slice/docker-ID.scope", "/machine.slice/libpod-ID.scope",
                                         "/machine.slice/libpod-ID.scope/container",
                                         "/kubepods.slice/kubepods-pod7.slice/cri-containerd-ID.scope",
                                         "/kubepods.slice/kubepods-pod7.slice/crio-ID.scope",
                                         "/kubepods/besteffort/pod7/ID", "/docker/ID/init.scope"));

TEST(Container, IsTheInnermostOfNestedOnes) {
  EXPECT_EQ(container_of("/docker/" + kId + "/kubelet/kubepods/pod1/" + kOther), kOther);
}

TEST(Container, IsNotSomethingThatLooksLikeOne) {
  EXPECT_EQ(container_of("/"), "");
  EXPECT_EQ(container_of(""), "");
  EXPECT_EQ(container_of("/docker"), "");
  EXPECT_EQ(container_of("/docker/" + kId.substr(1)), "");
  EXPECT_EQ(container_of("/docker/" + std::string(64, 'g')), "");
  EXPECT_EQ(container_of("/machine.slice/libpod-conmon-" + kId + ".scope"), "") << "podman's own";
}

TEST(Containers, AreFoundByTheBeginningOfTheirId) {
  const TemporaryTree tree;
  tree.write("docker/" + kId + "/cgroup.procs", "");
  tree.write("docker/" + kId + "/docker-" + kId + ".scope/cgroup.procs", "");
  tree.write("system.slice/docker-" + kOther + ".scope/cgroup.procs", "");
  tree.write("system.slice/x.service/cgroup.procs", "");
  EXPECT_THAT(find_containers(tree.root(), "a"),
              ElementsAre(ContainerCgroup{kId, "/docker/" + kId},
                          ContainerCgroup{kOther, "/system.slice/docker-" + kOther + ".scope"}));
  EXPECT_THAT(find_containers(tree.root(), "ab"), ElementsAre(testing::Field(&ContainerCgroup::id, kOther)));
  EXPECT_THAT(find_containers(tree.root(), "abc"), IsEmpty());
  EXPECT_THAT(find_containers(tree.root() / "none", "a"), IsEmpty());
}

TEST(Processes, AreThoseOfTheWholeSubtree) {
  const TemporaryTree tree;
  tree.write("g/cgroup.procs", "12\n7\n0\n");
  tree.write("g/below/cgroup.procs", "9\n12\n");
  tree.write("beside/cgroup.procs", "1\n");
  EXPECT_THAT(processes_of(tree.root() / "g"), ElementsAre(Pid{7}, Pid{9}, Pid{12}));
  EXPECT_THAT(processes_of(tree.root() / "none"), IsEmpty());
}

TEST(MountPoint, IsFoundByTypeAndOption) {
  const TemporaryTree tree;
  tree.write("mounts",
             "tmpfs /run tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
             "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\ncgroup2 /sys/fs/cgroup\\040two cgroup2 rw 0 0\n");
  EXPECT_EQ(mount_point(tree.path("mounts"), "cgroup", "name=systemd"), "/sys/fs/cgroup/systemd");
  EXPECT_EQ(mount_point(tree.path("mounts"), "cgroup2", ""), "/sys/fs/cgroup two");
  EXPECT_EQ(mount_point(tree.path("mounts"), "cgroup", "name=other"), std::nullopt);
  EXPECT_EQ(mount_point(tree.path("none"), "cgroup", ""), std::nullopt);
}

}  // namespace
}  // namespace sockleak
