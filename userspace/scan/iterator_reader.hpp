// Reads a BPF iterator to its end in a thread of its own: the kernel walks on while what it has told is taken in.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sockleak {

class IteratorReader {
 public:
  /// Whole records, each with an sl_scan_header. The memory is used again and again: fresh pages cost more than reading.
  struct Records {
    std::vector<std::byte> bytes;
    std::size_t used = 0;
    void append(const std::byte* data, std::size_t size);
  };
  /// Appends what has come by another way, whole records; called in the reader's thread after each read.
  using More = std::function<void(Records&)>;

  /// `iterator` stays the caller's, and open until this is gone.
  IteratorReader(int iterator, More more);
  IteratorReader(const IteratorReader&) = delete;
  IteratorReader& operator=(const IteratorReader&) = delete;
  ~IteratorReader();

  /// Takes `records` back and fills in the next ones; false at the end.
  bool next(Records& records);
  /// After the end: nothing was cut short.
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  void read_all();
  bool give(Records records);
  Records empty();

  int iterator_;
  More more_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Records> waiting_;
  std::vector<Records> spare_;
  bool ended_ = false, given_up_ = false, whole_ = false;
  std::thread thread_;
};

}  // namespace sockleak
