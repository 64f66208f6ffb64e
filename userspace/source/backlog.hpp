// What is told while nobody listens yet: kept until somebody does.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "source/event_source.hpp"

namespace sockleak {

class Backlog final : public RecordSink {
 public:
  void on_record(std::span<const std::byte> record) override { records_.emplace_back(record.begin(), record.end()); }
  void on_stack(StackHash hash, const MappedStack& stack) override { stacks_.emplace_back(hash, stack); }

  [[nodiscard]] bool empty() const { return records_.empty() && stacks_.empty(); }

  /// Hands it all on, and is empty then. No record that is kept names a stack that is kept.
  void deliver(RecordSink& sink) {
    for (const auto& record : records_) sink.on_record(record);
    for (const auto& [hash, stack] : stacks_) sink.on_stack(hash, stack);
    records_.clear();
    stacks_.clear();
  }

 private:
  std::vector<std::vector<std::byte>> records_;
  std::vector<std::pair<StackHash, MappedStack>> stacks_;
};

}  // namespace sockleak
