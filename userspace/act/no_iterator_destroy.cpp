// A build without BPF.
#include "act/iterator_destroy.hpp"

namespace sockleak::act {

Result<std::vector<int>> destroy_through_iterators(std::span<const SocketFacts* const>) {
  return fail(ErrorKind::kCannotTrace, "cannot use bpf_sock_destroy: this sockleak was built without BPF");
}

}  // namespace sockleak::act
