#include "app/output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sockleak {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    std::string pattern = testing::TempDir() + "sockleak-output-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~OutputFileTest() override {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  [[nodiscard]] static std::string content(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path directory_;
};

TEST_F(OutputFileTest, AppearsWhenItIsWhole) {
  const fs::path path = directory_ / "report.txt";
  auto file = OutputFile::create(path);
  ASSERT_TRUE(file);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(file->finish("all of it\n"));
  EXPECT_EQ(content(path), "all of it\n");
  struct stat facts {};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(facts.st_mode & 0777U, 0644U & ~mask);
}

TEST_F(OutputFileTest, LeavesNothingIfItWasNeverFinished) {
  { const auto file = OutputFile::create(directory_ / "report.txt"); }
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(OutputFileTest, ReplacesAFileOnlyWhenItIsWhole) {
  const fs::path path = directory_ / "report.txt";
  std::ofstream(path) << "old";
  auto file = OutputFile::create(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(content(path), "old");
  EXPECT_TRUE(file->finish("new"));
  EXPECT_EQ(content(path), "new");
}

TEST_F(OutputFileTest, ReplacesWhatALinkPointsTo) {
  std::ofstream(directory_ / "target") << "old";
  fs::create_symlink("target", directory_ / "link");
  auto file = OutputFile::create(directory_ / "link");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->finish("new"));
  EXPECT_TRUE(fs::is_symlink(directory_ / "link"));
  EXPECT_EQ(content(directory_ / "target"), "new");
}

TEST_F(OutputFileTest, WritesIntoDevicesInsteadOfReplacingThem) {
  auto file = OutputFile::create("/dev/null");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->finish("gone"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_FALSE(check_replaceable("/dev/null"));
  EXPECT_FALSE(check_replaceable(directory_));
  EXPECT_TRUE(check_replaceable(directory_ / "new.slk"));
}

TEST_F(OutputFileTest, NamesAPlaceThatCannotBeWritten) {
  const auto missing = OutputFile::create(directory_ / "missing" / "report.txt");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kOutput);
  EXPECT_THAT(missing.error().message(), testing::HasSubstr("missing/report.txt: No such file"));
  EXPECT_FALSE(OutputFile::create(directory_));
  auto full = OutputFile::create("/dev/full");
  ASSERT_TRUE(full);
  EXPECT_FALSE(full->finish("does not fit"));
}

}  // namespace
}  // namespace sockleak
