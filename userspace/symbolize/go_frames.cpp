#include "symbolize/go_frames.hpp"

#include <string_view>
#include <utility>

namespace sockleak {

std::vector<Frame> go_frames(GoTable& table, std::uint64_t pc) {
  std::vector<Frame> frames;
  for (GoTable::Call& call : table.calls_at(pc)) {
    Frame frame;
    // Assembly functions carry their calling convention's name; the source does not.
    for (const std::string_view abi : {".abi0", ".abiinternal"}) {
      if (call.function.ends_with(abi)) call.function.resize(call.function.size() - abi.size());
    }
    frame.function = std::move(call.function);
    frame.file = std::move(call.file);
    frame.line = call.line;
    frame.inlined = call.inlined;
    frame.kind = FrameKind::kGo;
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace sockleak
