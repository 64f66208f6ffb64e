// What several rules ask of siblings.
#include "judge/rule.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sockleak {

Lives lives_with_future(const Siblings& siblings) {
  Lives lives;
  for (const Life& life : siblings.open) lives.push_back(&life);
  for (const Life& life : siblings.ended) {
    if (life.how != CloseHow::kExit) lives.push_back(&life);
  }
  return lives;
}

std::string sockets_text(std::size_t count) { return count_text(count) + (count == 1 ? " socket" : " sockets"); }

double by_count(std::span<const double> first, std::size_t count) {
  return count == 0 ? 0 : first[std::min(count, first.size()) - 1];
}

}  // namespace sockleak
