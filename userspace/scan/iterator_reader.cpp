#include "scan/iterator_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

extern "C" {
#include "abi/scan_wire.h"
}

namespace sockleak {
namespace {

constexpr std::size_t kReadBytes = 128 * 1024;  // the rest of a record before it is far shorter
constexpr std::size_t kMostWaiting = 16;

/// How many bytes at the beginning of these are whole records; none if it is no record at all.
std::optional<std::size_t> whole_records(const std::byte* bytes, std::size_t size) {
  std::size_t at = 0;
  while (size - at >= sizeof(sl_scan_header)) {
    sl_scan_header header{};
    std::memcpy(&header, bytes + at, sizeof(header));
    if (header.size < sizeof(header)) return {};
    if (size - at < header.size) break;
    at += header.size;
  }
  return at;
}

}  // namespace

IteratorReader::IteratorReader(int iterator, More more)
    : iterator_(iterator), more_(std::move(more)), thread_([this] { read_all(); }) {}

IteratorReader::~IteratorReader() {
  {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void IteratorReader::Records::append(const std::byte* data, std::size_t size) {
  if (bytes.size() - used < size) bytes.resize(used + size);
  std::copy_n(data, size, bytes.begin() + static_cast<std::ptrdiff_t>(used));
  used += size;
}

bool IteratorReader::next(Records& records) {
  std::unique_lock lock(mutex_);
  if (!records.bytes.empty()) spare_.push_back(std::move(records));
  changed_.wait(lock, [this] { return !waiting_.empty() || ended_; });
  if (waiting_.empty()) return false;
  records = std::move(waiting_.front());
  waiting_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return true;
}

IteratorReader::Records IteratorReader::empty() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return {std::vector<std::byte>(2 * kReadBytes)};
  Records records = std::move(spare_.back());
  spare_.pop_back();
  records.used = 0;
  return records;
}

bool IteratorReader::give(Records records) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_.size() < kMostWaiting || given_up_; });
  if (given_up_) return false;
  if (records.used != 0) waiting_.push_back(std::move(records));
  lock.unlock();
  changed_.notify_all();
  return true;
}

void IteratorReader::read_all() {
  std::vector<std::byte> rest;  // the beginning of a record
  bool whole = false;
  while (true) {
    Records records = empty();
    records.append(rest.data(), rest.size());
    const ssize_t n = ::read(iterator_, records.bytes.data() + records.used, kReadBytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) break;
    const std::size_t filled = records.used + static_cast<std::size_t>(n);
    const auto usable = whole_records(records.bytes.data(), filled);
    if (!usable) break;
    rest.assign(records.bytes.data() + *usable, records.bytes.data() + filled);
    records.used = *usable;
    more_(records);
    if (!give(std::move(records))) break;
    if (n == 0) {
      whole = rest.empty();
      break;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    whole_ = whole;
  }
  changed_.notify_all();
}

}  // namespace sockleak
