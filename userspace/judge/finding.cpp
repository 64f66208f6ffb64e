// The words for verdicts.
#include "judge/finding.hpp"

namespace sockleak {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kLeak:
      return "leak";
    case Verdict::kSuspect:
      return "suspect";
    case Verdict::kPool:
      return "pool";
    case Verdict::kInherited:
      return "inherited";
    case Verdict::kStuck:
      return "stuck";
    case Verdict::kOwnerless:
      return "ownerless";
  }
  return "suspect";
}

}  // namespace sockleak
