// A table with a limit. What was asked for lately stays: entries lie in two halves, and when the young one is full the old
// one is given up. Needs no order of all entries, and an entry costs what it costs in a plain hash table.
#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>

namespace sockleak {

template <typename Key, typename Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t limit) : half_(limit / 2) {}

  /// Who must know what is given up.
  void on_forgotten(std::function<void(const Key&, const Value&)> listener) { on_forgotten_ = std::move(listener); }

  /// Nullptr if there is none. Valid until the next call of find() or put().
  [[nodiscard]] Value* find(const Key& key) {
    if (const auto at = young_.find(key); at != young_.end()) return &at->second;
    auto node = old_.extract(key);
    if (node.empty()) return nullptr;
    make_room();
    return &young_.insert(std::move(node)).position->second;
  }
  /// True if there was none.
  bool put(const Key& key, Value value) {
    if (Value* known = find(key)) {
      *known = std::move(value);
      return false;
    }
    make_room();
    young_.emplace(key, std::move(value));
    return true;
  }
  bool erase(const Key& key) { return young_.erase(key) + old_.erase(key) > 0; }

  template <typename Function>
  void for_each(Function function) const {
    for (const auto* half : {&young_, &old_}) {
      for (const auto& [key, value] : *half) function(key, value);
    }
  }
  [[nodiscard]] std::size_t size() const { return young_.size() + old_.size(); }

 private:
  void make_room() {
    if (young_.size() < half_) return;
    if (on_forgotten_) {
      for (const auto& [key, value] : old_) on_forgotten_(key, value);
    }
    old_ = std::exchange(young_, {});
  }

  std::size_t half_;
  std::unordered_map<Key, Value> young_, old_;
  std::function<void(const Key&, const Value&)> on_forgotten_;
};

}  // namespace sockleak
