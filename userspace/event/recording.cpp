// Reads .slk files. The bytes may come from anywhere: every size is checked against a limit before memory is asked
// for, and reading stops at the first chunk that is not whole. A chunk counts entirely or not at all.
#include "event/recording.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/handle.hpp"
#include "event/recording_format.hpp"

namespace sockleak {
namespace {

using slk::ByteReader;
using slk::Chunk;

[[nodiscard]] MappedStack take_mapped(ByteReader& in) {
  MappedStack stack;
  const std::size_t end = in.count(static_cast<std::size_t>(WalkEnd::kNoSpace));
  stack.end = static_cast<WalkEnd>(end);
  const std::size_t count = in.count(slk::kMaxFrames);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const auto module = in.number<std::uint32_t>();
    const auto address = in.number<std::uint64_t>();
    stack.frames.push_back({ModuleId{module}, address});
  }
  return stack;
}

[[nodiscard]] Frame take_frame(ByteReader& in, std::uint32_t version) {
  Frame frame;
  const auto kind = in.number<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(FrameKind::kKernel)) in.reject();
  frame.kind = in.ok() ? static_cast<FrameKind>(kind) : FrameKind::kNative;
  frame.inlined = in.number<std::uint8_t>() != 0;
  frame.line = in.number<std::uint32_t>();
  frame.column = in.number<std::uint32_t>();
  frame.offset = in.number<std::uint64_t>();
  frame.function = in.string();
  frame.file = in.string();
  frame.module = in.string();
  frame.build_id = in.string();
  const auto gap = version >= 2 ? in.number<std::uint8_t>() : std::uint8_t{0};
  if (gap > static_cast<std::uint8_t>(kLastNameGap)) in.reject();
  frame.gap = in.ok() ? static_cast<NameGap>(gap) : NameGap::kNone;
  return frame;
}

[[nodiscard]] Stack take_resolved(ByteReader& in, std::uint32_t version) {
  Stack stack;
  stack.truncated = in.number<std::uint32_t>() != 0;
  stack.why = in.string();
  const std::size_t count = in.count(slk::kMaxFrames);
  for (std::size_t i = 0; i < count && in.ok(); ++i) stack.frames.push_back(take_frame(in, version));
  return stack;
}

[[nodiscard]] Recording::Item take_item(ByteReader& in) {
  Recording::Item item;
  const auto type = in.number<std::uint32_t>();
  ByteReader body(in.raw(in.count(slk::kMaxChunk)));
  if (type == static_cast<std::uint32_t>(slk::Item::kRecord)) {
    const std::size_t size = body.size();
    const auto bytes = body.raw(size);
    if (size < slk::kMinRecord || size > slk::kMaxRecord) in.reject();
    item.record.assign(bytes.begin(), bytes.end());
  } else if (type == static_cast<std::uint32_t>(slk::Item::kStack)) {
    item.stack.hash = StackHash{body.number<std::uint64_t>()};
    item.stack.mapped = take_mapped(body);
    if (!body.ok() || body.size() != 0) in.reject();
  } else {
    in.reject();
  }
  return item;
}

/// Names that this version does not know are left out: a newer one counts things that cannot happen here.
void take_counters(ByteReader& in, Counters& counters) {
  constexpr std::size_t kMaxCounters = 1024;
  const std::size_t count = in.count(kMaxCounters);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const std::string name = in.string();
    const auto value = in.number<std::uint64_t>();
    for (std::size_t known = 0; known < kCounterFacts.size(); ++known) {
      if (kCounterFacts[known].name == name) counters.set(static_cast<Counter>(known), value);
    }
  }
}

/// Reads chunk after chunk into a Recording.
class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::uint32_t version)
      : in_(bytes), version_(version), decompressor_(ZSTD_createDCtx()) {}

  [[nodiscard]] Recording parse() {
    while (!ended_ && in_.size() != 0) {
      if (!take_chunk()) break;
    }
    if (!ended_) recording_.counters.set(Counter::recording_cut, 1);
    return std::move(recording_);
  }

 private:
  bool take_chunk() {
    const auto kind = in_.number<std::uint32_t>();
    const auto frame = in_.raw(in_.number<std::uint32_t>());
    if (!in_.ok() || !decompress(frame)) return false;
    ByteReader raw(raw_);
    switch (static_cast<Chunk>(kind)) {
      case Chunk::kRecords:
        return take_all(raw, recording_.items, take_item);
      case Chunk::kModules:
        return take_all(raw, recording_.modules, [](ByteReader& in) {
          std::string name = in.string();
          return RecordedModule{std::move(name), in.string()};
        });
      case Chunk::kStacks:
        return take_all(raw, recording_.resolved, [this](ByteReader& in) {
          MappedStack mapped = take_mapped(in);
          return std::pair(std::move(mapped), take_resolved(in, version_));
        });
      case Chunk::kEnding:
        return take_ending(raw);
    }
    return false;  // no version has others: the header is damaged
  }

  /// Into raw_: exactly one frame that states its size and passes its checksum.
  bool decompress(std::span<const std::byte> frame) {
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > slk::kMaxChunk) return false;
    total_ += size;
    if (total_ > slk::kMaxTotal || decompressor_ == nullptr) return false;
    if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) return false;
    raw_.resize(static_cast<std::size_t>(size));
    return ZSTD_decompressDCtx(decompressor_.get(), raw_.data(), raw_.size(), frame.data(), frame.size()) == size;
  }

  template <typename T, typename Take>
  static bool take_all(ByteReader& raw, std::vector<T>& into, Take take) {
    const std::size_t before = into.size();
    while (raw.ok() && raw.size() != 0) into.push_back(take(raw));
    if (!raw.ok()) into.resize(before);
    return raw.ok();
  }

  bool take_ending(ByteReader& raw) {
    std::string json = raw.string(slk::kMaxJson);
    Counters counters;
    take_counters(raw, counters);
    if (!raw.ok() || raw.size() != 0) return false;
    recording_.session_json = std::move(json);
    recording_.counters = counters;
    ended_ = true;
    return true;
  }

  ByteReader in_;
  std::uint32_t version_;
  CPtr<ZSTD_DCtx, &ZSTD_freeDCtx> decompressor_;
  std::vector<std::byte> raw_;
  std::uint64_t total_ = 0;
  Recording recording_;
  bool ended_ = false;
};

}  // namespace

Result<Recording> parse_recording(std::span<const std::byte> bytes) {
  ByteReader header(bytes.first(std::min(bytes.size(), slk::kFileHeaderSize)));
  const auto magic = header.raw(slk::kMagic.size());
  const auto version = header.number<std::uint32_t>();
  header.number<std::uint32_t>();
  if (!header.ok() || std::memcmp(magic.data(), slk::kMagic.data(), slk::kMagic.size()) != 0) {
    return fail(ErrorKind::kInput, "this is no sockleak recording", "recordings are made with --record FILE.slk");
  }
  if (version < slk::kOldestVersion || version > slk::kVersion) {
    return fail(ErrorKind::kInput, "this recording has version " + std::to_string(version),
                "read it with the sockleak that wrote it, or a newer one");
  }
  return Parser(bytes.subspan(slk::kFileHeaderSize), version).parse();
}

Result<Recording> read_recording(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts {};
  if (!fd.valid() || ::fstat(fd.get(), &facts) != 0) return fail_os(ErrorKind::kInput, "cannot open " + path.string());
  if (!S_ISREG(facts.st_mode)) return fail(ErrorKind::kInput, path.string() + " is no regular file", "name a recording made with --record");
  if (static_cast<std::uint64_t>(facts.st_size) > slk::kMaxTotal) {
    return fail(ErrorKind::kInput, path.string() + " is too large for a recording",
                "is it one? recordings are made with --record FILE.slk");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(facts.st_size));
  std::size_t length = 0;
  while (length < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + length, bytes.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_os(ErrorKind::kInput, "cannot read " + path.string());
    if (got == 0) break;  // it shrank meanwhile: read it as a cut one
    length += static_cast<std::size_t>(got);
  }
  bytes.resize(length);
  auto recording = parse_recording(bytes);
  if (!recording) recording.error().what = path.string() + ": " + recording.error().what;
  return recording;
}

}  // namespace sockleak
