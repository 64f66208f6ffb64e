// Writes .slk files: batches of items, each one zstd frame with a checksum, then what the end of a session knows.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "abi/wire.h"
#include "base/handle.hpp"
#include "event/recording.hpp"
#include "event/recording_format.hpp"

namespace sockleak {
namespace {

using slk::ByteWriter;
using slk::Chunk;

constexpr int kCompressionLevel = 1;  // the fastest regular level: recordings are made beside the traced program

void put_mapped(ByteWriter& out, const MappedStack& stack) {
  const std::size_t count = std::min(stack.frames.size(), slk::kMaxFrames);
  out.number(static_cast<std::uint32_t>(stack.end));
  out.number(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    out.number(stack.frames[i].module.value);
    out.number(stack.frames[i].address);
  }
}

void put_resolved(ByteWriter& out, const Stack& stack) {
  const std::size_t count = std::min(stack.frames.size(), slk::kMaxFrames);
  out.number(static_cast<std::uint32_t>(stack.truncated ? 1 : 0));
  out.string(stack.why);
  out.number(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const Frame& frame = stack.frames[i];
    out.number(static_cast<std::uint8_t>(frame.kind));
    out.number(static_cast<std::uint8_t>(frame.inlined ? 1 : 0));
    out.number(frame.line);
    out.number(frame.column);
    out.number(frame.offset);
    out.string(frame.function);
    out.string(frame.file);
    out.string(frame.module);
    out.string(frame.build_id);
    out.number(frame.gap);
  }
}

}  // namespace

struct RecordingWriter::State {
  std::filesystem::path path;
  std::filesystem::path partial;
  UniqueFd fd;
  CPtr<ZSTD_CCtx, &ZSTD_freeCCtx> compressor;
  ByteWriter items;
  std::vector<std::byte> compressed;
  std::optional<Error> broken;  // the first failure; nothing works after it

  ~State() {
    if (!partial.empty()) ::unlink(partial.c_str());
  }

  tl::unexpected<Error> break_with(tl::unexpected<Error> error) {
    broken = error.value();
    return error;
  }

  Result<void> write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        return break_with(fail_os(ErrorKind::kOutput, "cannot write " + partial.string()));
      }
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Result<void> write_chunk(Chunk kind, std::span<const std::byte> raw) {
    if (raw.size() > slk::kMaxChunk) {
      return break_with(fail(ErrorKind::kOutput, "cannot write " + partial.string() + ": a part is too large"));
    }
    compressed.resize(slk::kChunkHeaderSize + ZSTD_compressBound(raw.size()));
    const std::size_t size = ZSTD_compress2(compressor.get(), compressed.data() + slk::kChunkHeaderSize,
                                            compressed.size() - slk::kChunkHeaderSize, raw.data(), raw.size());
    if (ZSTD_isError(size) != 0) {
      return break_with(fail(ErrorKind::kOutput, std::string("cannot compress: ") + ZSTD_getErrorName(size)));
    }
    ByteWriter header;
    header.number(kind);
    header.number(static_cast<std::uint32_t>(size));
    std::memcpy(compressed.data(), header.bytes().data(), slk::kChunkHeaderSize);
    return write_all(std::span(compressed).first(slk::kChunkHeaderSize + size));
  }

  Result<void> add_item(slk::Item type, std::span<const std::byte> body) {
    if (broken) return tl::unexpected(*broken);
    items.number(type);
    items.number(static_cast<std::uint32_t>(body.size()));
    items.raw(body);
    return items.size() >= slk::kBatchSize ? flush(Chunk::kRecords, items) : Result<void>{};
  }

  Result<void> flush(Chunk kind, ByteWriter& batch) {
    if (batch.size() == 0) return {};
    auto written = write_chunk(kind, batch.bytes());
    batch.clear();
    return written;
  }

  Result<void> write_modules(const std::vector<RecordedModule>& modules) {
    ByteWriter batch;
    for (const RecordedModule& module : modules) {
      batch.string(module.name);
      batch.string(module.build_id);
      if (batch.size() < slk::kBatchSize) continue;
      if (auto written = flush(Chunk::kModules, batch); !written) return written;
    }
    return flush(Chunk::kModules, batch);
  }

  Result<void> write_stacks(const std::vector<std::pair<MappedStack, Stack>>& resolved) {
    ByteWriter batch;
    for (const auto& [mapped, stack] : resolved) {
      put_mapped(batch, mapped);
      put_resolved(batch, stack);
      if (batch.size() < slk::kBatchSize) continue;
      if (auto written = flush(Chunk::kStacks, batch); !written) return written;
    }
    return flush(Chunk::kStacks, batch);
  }

  Result<void> write_ending(const Ending& ending) {
    if (ending.session_json.size() > slk::kMaxJson) {
      return break_with(fail(ErrorKind::kOutput, "cannot write " + partial.string() + ": the session is too large"));
    }
    ByteWriter out;
    out.string(ending.session_json, slk::kMaxJson);
    out.number(static_cast<std::uint32_t>(kCounterFacts.size()));
    for (std::size_t i = 0; i < kCounterFacts.size(); ++i) {
      out.string(kCounterFacts[i].name);
      out.number(ending.counters.at(i));
    }
    return write_chunk(Chunk::kEnding, out.bytes());
  }

  /// Gives the file its name once it is on disk: whoever sees the name sees all of it.
  Result<void> publish() {
    if (::fsync(fd.get()) != 0) return break_with(fail_os(ErrorKind::kOutput, "cannot write " + partial.string()));
    fd.reset();
    if (::rename(partial.c_str(), path.c_str()) != 0) {
      return break_with(fail_os(ErrorKind::kOutput, "cannot create " + path.string()));
    }
    partial.clear();
    broken = Error{ErrorKind::kOutput, path.string() + " is finished", 0, {}};
    return {};
  }
};

Result<RecordingWriter> RecordingWriter::create(const std::filesystem::path& path) {
  std::filesystem::path partial = path;
  partial += ".partial";
  // O_EXCL follows no symbolic link that somebody put there, and two sessions cannot share a file.
  UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return fail_os(ErrorKind::kOutput, "cannot create " + partial.string(),
                   errno == EEXIST ? "another session writes it; remove it if none does" : "");
  }
  auto state = std::make_unique<State>();
  state->path = path;
  state->partial = std::move(partial);
  state->fd = std::move(fd);
  state->compressor.reset(ZSTD_createCCtx());
  if (state->compressor == nullptr) return fail(ErrorKind::kOutput, "cannot compress: no memory");
  ZSTD_CCtx_setParameter(state->compressor.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(state->compressor.get(), ZSTD_c_checksumFlag, 1);
  ByteWriter header;
  header.raw(std::as_bytes(std::span(slk::kMagic)));
  header.number(slk::kVersion);
  header.number(std::uint32_t{0});
  if (auto written = state->write_all(header.bytes()); !written) return tl::unexpected(written.error());
  return RecordingWriter(std::move(state));
}

RecordingWriter::RecordingWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecordingWriter::RecordingWriter(RecordingWriter&&) noexcept = default;
RecordingWriter& RecordingWriter::operator=(RecordingWriter&&) noexcept = default;
RecordingWriter::~RecordingWriter() = default;

Result<void> RecordingWriter::add_record(std::span<const std::byte> record) {
  if (record.size() < slk::kMinRecord || record.size() > slk::kMaxRecord) {
    return fail(ErrorKind::kOutput, "a record of " + std::to_string(record.size()) + " bytes cannot be recorded");
  }
  // Copies of user stacks must never reach a disk, whatever the caller believes: the last gate is here.
  sl_header header;
  std::memcpy(&header, record.data(), sizeof(header));
  if (header.type == SL_STACK_SEEN || header.type == SL_STACK_MISSED) {
    return fail(ErrorKind::kOutput, "stack records are never recorded");
  }
  return state_->add_item(slk::Item::kRecord, record);
}

Result<void> RecordingWriter::add_stack(StackHash hash, const MappedStack& stack) {
  ByteWriter body;
  body.number(hash.value);
  put_mapped(body, stack);
  return state_->add_item(slk::Item::kStack, body.bytes());
}

Result<void> RecordingWriter::finish(const Ending& ending) {
  if (state_->broken) return tl::unexpected(*state_->broken);
  return state_->flush(Chunk::kRecords, state_->items)
      .and_then([&] { return state_->write_modules(ending.modules); })
      .and_then([&] { return state_->write_stacks(ending.resolved); })
      .and_then([&] { return state_->write_ending(ending); })
      .and_then([&] { return state_->publish(); });
}

}  // namespace sockleak
