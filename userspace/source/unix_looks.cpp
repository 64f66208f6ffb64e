#include "source/unix_looks.hpp"

#include <bpf/bpf.h>

#include "source/marks.hpp"

extern "C" {
#include "abi/unix_table.h"
}

namespace sockleak {
namespace {

constexpr Duration kEvery = std::chrono::seconds(2);

using Row = std::pair<std::uint64_t, sl_unix_socket>;

std::vector<Row> rows_of(int map, std::size_t most) {
  constexpr std::size_t kBatch = 4096;
  std::vector<Row> rows;
  std::vector<std::uint64_t> keys(kBatch);
  std::vector<sl_unix_socket> values(kBatch);
  std::uint32_t place = 0;
  bool first = true, more = true;
  while (more && rows.size() < most) {
    auto count = static_cast<__u32>(kBatch);
    const int error = bpf_map_lookup_batch(map, first ? nullptr : &place, &place, keys.data(), values.data(), &count, nullptr);
    if (error != 0 && errno != ENOENT) break;
    for (std::size_t i = 0; i < count; ++i) rows.emplace_back(keys[i], values[i]);
    more = error == 0;
    first = false;
  }
  return rows;
}

}  // namespace

bool UnixLooks::needed() const { return (programs_->rodata->sl_config.unix_calls & SL_UNIX_CLOSED) != 0; }

void UnixLooks::begin() {
  ++programs_->bss->sl_unix_looks;
  begun_ = now();
}

bool UnixLooks::due(KernelTime now) const { return needed() && now - begun_ >= kEvery; }

bool UnixLooks::look(const TargetTable& targets) {
  begin();
  return !rows_of(bpf_map__fd(programs_->maps.sl_unix), 1).empty() && walk(targets);
}

bool UnixLooks::walk(const TargetTable& targets) const {
  const auto ignore = [](std::span<const std::byte>) {};
  const KernelTables& tables = programs_.tables();
  if (!tables.lists_unix()) return tables.read_holders(ignore);
  programs_->bss->sl_unix_marks_only = 1;
  const bool whole = tables.read_unix(targets.other_namespaces(), ignore);
  programs_->bss->sl_unix_marks_only = 0;
  return whole;
}

void UnixLooks::tell_gone(const TargetTable& targets, RecordSink& sink) const {
  if (!needed()) return;
  const std::set<NetnsId> walked = targets.namespaces();
  // One walk is not believed: bind() moves a socket to another hash bucket, maybe to one that was walked along already.
  if (missing(walked).empty() || !walk(targets)) return;
  for (const std::uint64_t number : missing(walked)) {
    // Whoever deletes it tells of it.
    if (bpf_map_delete_elem(bpf_map__fd(programs_->maps.sl_unix), &number) != 0) continue;
    auto record = mark<sl_socket_closed>(SL_SOCKET_CLOSED, now());
    record.cookie = number;
    record.how = SL_CLOSE_UNSEEN;
    sink.on_record(bytes_of(record));
  }
}

std::vector<std::uint64_t> UnixLooks::missing(const std::set<NetnsId>& walked) const {
  std::vector<std::uint64_t> missing;
  const std::uint32_t look = programs_->bss->sl_unix_looks;
  for (const auto& [number, socket] : rows_of(bpf_map__fd(programs_->maps.sl_unix), SIZE_MAX)) {
    if (socket.look == look || socket.born_ns >= begun_.ns) continue;
    if (programs_.tables().lists_unix() && !walked.contains(NetnsId{socket.netns})) continue;  // not looked at
    missing.push_back(number);
  }
  return missing;
}

}  // namespace sockleak
