// Wire records that user space writes into the stream, and what they share with the kernel's. Private to source/.
#pragma once

#include <time.h>

#include <cstring>
#include <span>

#include "base/time.hpp"

extern "C" {
#include "abi/scope_wire.h"
#include "abi/wire.h"
}

namespace sockleak {

inline KernelTime now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return {static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec)};
}

template <typename T>
T mark(std::uint16_t type, KernelTime when) {
  T record{};
  record.header.size = sizeof(T);
  record.header.type = type;
  record.header.ktime_ns = when.ns;
  return record;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& record) {
  return std::as_bytes(std::span(&record, 1));
}

inline sl_header header_of(std::span<const std::byte> record) {
  sl_header header{};
  if (record.size() >= sizeof(header)) std::memcpy(&header, record.data(), sizeof(header));
  return header;
}

inline sl_snapshot_mark snapshot_end(bool whole) {
  auto record = mark<sl_snapshot_mark>(SL_SNAPSHOT_END, now());
  record.complete = whole ? 1 : 0;
  return record;
}

}  // namespace sockleak
