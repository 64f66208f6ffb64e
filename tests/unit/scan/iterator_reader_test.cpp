#include "scan/iterator_reader.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "base/handle.hpp"

extern "C" {
#include "abi/scan_wire.h"
}

namespace sockleak {
namespace {

using ::testing::ElementsAre;

/// A pipe reads as an iterator does: as much as there is, cut anywhere.
class Pipe {
 public:
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(0, ::pipe2(ends.data(), O_CLOEXEC));
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }
  [[nodiscard]] int reading() const { return read_.get(); }
  void write(std::string_view bytes) const { EXPECT_EQ(static_cast<ssize_t>(bytes.size()), ::write(write_.get(), bytes.data(), bytes.size())); }
  void end() { write_.reset(); }

 private:
  UniqueFd read_, write_;
};

std::string record(std::uint32_t number, std::uint16_t size = sizeof(sl_scan_header)) {
  const sl_scan_header header{.size = size, .type = SL_SCAN_TASK, .reserved = number};
  std::string bytes(std::max<std::size_t>(size, sizeof(header)), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

std::vector<std::uint32_t> numbers(IteratorReader& reader) {
  std::vector<std::uint32_t> found;
  for (IteratorReader::Records records; reader.next(records);) {
    for (std::size_t at = 0; at < records.used;) {
      sl_scan_header header{};
      std::memcpy(&header, records.bytes.data() + at, sizeof(header));
      found.push_back(header.reserved);
      at += header.size;
    }
  }
  return found;
}

TEST(IteratorReader, GivesWholeRecordsInOrder) {
  Pipe pipe;
  pipe.write(record(1) + record(2, 88) + record(3));
  pipe.end();
  IteratorReader reader(pipe.reading(), [](IteratorReader::Records&) {});
  EXPECT_THAT(numbers(reader), ElementsAre(1, 2, 3));
  EXPECT_TRUE(reader.whole());
}

TEST(IteratorReader, PutsTogetherWhatAReadHasCut) {
  Pipe pipe;
  const std::string second = record(2, 88);
  std::size_t reads = 0;
  // The rest of the record comes after the first read, which has seen only its beginning.
  pipe.write(record(1) + second.substr(0, 30));
  IteratorReader reader(pipe.reading(), [&](IteratorReader::Records&) {
    if (++reads == 1) {
      pipe.write(second.substr(30));
      pipe.end();
    }
  });
  EXPECT_THAT(numbers(reader), ElementsAre(1, 2));
  EXPECT_TRUE(reader.whole());
}

TEST(IteratorReader, TakesInWhatComesByAnotherWay) {
  Pipe pipe;
  pipe.write(record(1));
  pipe.end();
  bool first = true;
  IteratorReader reader(pipe.reading(), [&](IteratorReader::Records& records) {
    const std::string other = record(7);
    if (first) records.append(reinterpret_cast<const std::byte*>(other.data()), other.size());
    first = false;
  });
  EXPECT_THAT(numbers(reader), ElementsAre(1, 7));
}

TEST(IteratorReader, SaysThatTheEndIsCutOrNoRecord) {
  for (const std::string& end : {record(2, 88).substr(0, 50), record(2, 4)}) {
    Pipe pipe;
    pipe.write(record(1) + end);
    pipe.end();
    IteratorReader reader(pipe.reading(), [](IteratorReader::Records&) {});
    numbers(reader);
    EXPECT_FALSE(reader.whole());
  }
}

TEST(IteratorReader, CanBeLeftBeforeTheEnd) {
  Pipe pipe;
  for (std::uint32_t i = 0; i < 8000; ++i) pipe.write(record(i));
  pipe.end();
  IteratorReader reader(pipe.reading(), [](IteratorReader::Records&) {});
  IteratorReader::Records records;
  EXPECT_TRUE(reader.next(records));
}

}  // namespace
}  // namespace sockleak
