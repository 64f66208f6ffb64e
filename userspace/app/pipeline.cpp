#include "app/pipeline.hpp"

#include <variant>

#include "event/decode.hpp"

namespace sockleak {

void Pipeline::on_record(std::span<const std::byte> record) {
  if (writer_ && !broken_) keep(writer_->add_record(record));
  const Decoded decoded = decode(record);
  if (const auto* defect = std::get_if<DecodeDefect>(&decoded)) {
    defects_.add(*defect == DecodeDefect::kUnknownType ? Counter::records_unknown : Counter::records_malformed);
    return;
  }
  const Event& event = std::get<Event>(decoded);
  names_.observe(event);
  tracker_.apply(event);
}

void Pipeline::on_stack(StackHash hash, const MappedStack& stack) {
  if (writer_ && !broken_) keep(writer_->add_stack(hash, stack));
  stacks_.bind(hash, stacks_.intern(stack));
}

Counters Pipeline::counters() const {
  Counters counters = tracker_.counters();
  counters.merge(defects_);
  counters.add(Counter::stacks_not_kept, stacks_.refused());
  return counters;
}

Result<void> Pipeline::recording() const {
  if (broken_) return tl::unexpected(*broken_);
  return {};
}

Result<void> Pipeline::finish_recording(const std::string& session_json, const Counters& losses,
                                        const ModuleStore& modules, Symbolizer& symbolizer) {
  if (auto ok = recording(); !ok || !writer_) return ok;
  RecordingWriter::Ending ending{.session_json = session_json, .modules = {}, .resolved = {}, .counters = losses};
  for (std::uint32_t id = 0; id < modules.size(); ++id) {
    const Module& module = modules.get(ModuleId{id});
    ending.modules.push_back({module.path, module.build_id});
  }
  for (std::uint32_t id = kNoStack.value + 1; id < stacks_.size(); ++id) {
    const MappedStack& stack = stacks_.get(StackId{id});
    ending.resolved.emplace_back(stack, symbolizer.symbolize(stack));
  }
  return writer_->finish(ending);
}

void Pipeline::keep(const Result<void>& written) {
  if (!written) broken_ = written.error();
}

Result<void> drain(EventSource& source, Pipeline& pipeline) {
  while (true) {
    auto progress = source.poll(pipeline, Duration::zero());
    if (!progress) return tl::unexpected(progress.error());
    if (*progress != Progress::kDelivered) return {};
  }
}

}  // namespace sockleak
