// A story told to a Tracker: decoded as the pipeline does it.
#pragma once

#include <variant>

#include "event/decode.hpp"
#include "stack/stack_store.hpp"
#include "support/event_builder.hpp"
#include "track/tracker.hpp"

namespace sockleak::test {

class TrackedStory {
 public:
  explicit TrackedStory(const EventBuilder& story, TrackerOptions options = {}) : tracker_(stacks_, options) {
    hear(story);
  }
  TrackedStory(const TrackedStory&) = delete;
  TrackedStory& operator=(const TrackedStory&) = delete;

  /// Everything the story tells from its item number `from` on.
  void hear(const EventBuilder& story, std::size_t from = 0) {
    for (std::size_t i = from; i < story.items().size(); ++i) {
      const Recording::Item& item = story.items()[i];
      if (item.record.empty()) {
        stacks_.bind(item.stack.hash, stacks_.intern(item.stack.mapped));
        continue;
      }
      const Decoded decoded = decode(item.record);
      if (const Event* event = std::get_if<Event>(&decoded)) {
        tracker_.apply(*event);
      } else {
        ++undecoded_;
      }
    }
  }

  [[nodiscard]] const Tracker& tracker() const { return tracker_; }
  [[nodiscard]] const StackStore& stacks() const { return stacks_; }
  [[nodiscard]] std::size_t undecoded() const { return undecoded_; }

  [[nodiscard]] const SocketRecord* socket(std::uint64_t cookie) const {
    const auto found = tracker_.sockets().find(SocketId{cookie});
    return found == tracker_.sockets().end() ? nullptr : &found->second;
  }
  /// nullptr if there is none.
  [[nodiscard]] const Site* site(std::uint64_t hash, Origin origin, Protocol protocol = Protocol::kTcp) const {
    const auto found = tracker_.sites().find({stacks_.find(StackHash{hash}), origin, protocol});
    return found == tracker_.sites().end() ? nullptr : &found->second;
  }

 private:
  StackStore stacks_;
  Tracker tracker_;
  std::size_t undecoded_ = 0;
};

}  // namespace sockleak::test
