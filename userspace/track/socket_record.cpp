// How a socket came to be, as the report prints it.
#include "track/socket_record.hpp"

namespace sockleak {

const char* to_string(Origin origin) {
  switch (origin) {
    case Origin::kSocket:
      return "socket";
    case Origin::kConnect:
      return "connect";
    case Origin::kAccept:
      return "accept";
    case Origin::kBeforeAttach:
      return "before-attach";
  }
  return "socket";
}

}  // namespace sockleak
