#include "kernel/kernel_tables.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>

#include <cstring>

#include "stack/unwind_rule.hpp"

namespace sockleak {
namespace {

// Iterator output is a byte stream of wire records; a read may end in the middle of one. `reads`: how many it took.
bool read_iterator(int link, const KernelTables::Record& record, int* reads = nullptr) {
  const UniqueFd iterator(bpf_iter_create(link));
  if (!iterator.valid()) return false;
  std::vector<std::byte> buffer(256 * 1024);
  std::size_t filled = 0;
  while (true) {
    const ssize_t n = ::read(iterator.get(), buffer.data() + filled, buffer.size() - filled);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return false;
    if (n > 0 && reads != nullptr) ++*reads;
    filled += static_cast<std::size_t>(n);
    std::size_t at = 0;
    while (filled - at >= sizeof(sl_header)) {
      sl_header header{};
      std::memcpy(&header, buffer.data() + at, sizeof(header));
      if (header.size < sizeof(header) || header.size > buffer.size()) return false;
      if (filled - at < header.size) break;
      record({buffer.data() + at, header.size});
      at += header.size;
    }
    std::memmove(buffer.data(), buffer.data() + at, filled - at);
    filled -= at;
    if (n == 0) return filled == 0;
  }
}

// When its buffer is full, the kernel's walk along unix sockets goes on with the next hash bucket, whatever was still to be
// shown of the one before (bpf_iter_unix_seq_stop() leaves `st_bucket_done`; af_unix.c, 5.15 to 6.18 at least). Our program
// writes each socket once in a look: walk until the rest fits.
bool read_unix_here(int link, const KernelTables::Record& record) {
  constexpr int kMostWalks = 64;
  for (int walk = 0; walk < kMostWalks; ++walk) {
    int reads = 0;
    if (!read_iterator(link, record, &reads)) return false;
    if (reads <= 1) return true;
  }
  return false;
}

// An iterator of sockets walks the network namespace of the task that creates it (seq_file_net).
bool read_in(std::span<const UniqueFd> namespaces, const std::function<bool()>& read) {
  bool whole = read();
  if (namespaces.empty()) return whole;
  const UniqueFd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own.valid()) return false;
  for (const UniqueFd& ns : namespaces) {
    if (setns(ns.get(), CLONE_NEWNET) != 0) {
      whole = false;
      continue;
    }
    whole = read() && whole;
  }
  return setns(own.get(), CLONE_NEWNET) == 0 && whole;
}

}  // namespace

bool KernelTables::read_holders(const Record& record) const { return read_iterator(task_file_, record); }

bool KernelTables::read_sockets(std::span<const UniqueFd> namespaces, const Record& record) const {
  return read_in(namespaces, [&] {
    const bool unix_sockets = unix_ < 0 || read_unix_here(unix_, record);
    return read_iterator(tcp_, record) && unix_sockets;
  });
}

bool KernelTables::read_all(std::span<const UniqueFd> namespaces, const Record& record) const {
  const bool sockets = read_sockets(namespaces, record);
  return read_holders(record) && sockets;
}

bool KernelTables::read_unix(std::span<const UniqueFd> namespaces, const Record& record) const {
  return read_in(namespaces, [&] { return read_unix_here(unix_, record); });
}

}  // namespace sockleak
