#include "runtime/go/go_frames.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace sockleak {
namespace {

/// As Go prints names in its stack traces: assembly functions without their calling convention, and type arguments,
/// of which newer releases keep what the compiler made of them, as "[...]" (funcNameForPrint in src/runtime/symtab.go).
void spell_as_go(std::string& name) {
  for (const std::string_view abi : {".abi0", ".abiinternal"}) {
    if (name.ends_with(abi)) name.resize(name.size() - abi.size());
  }
  const std::size_t open = name.find('['), close = name.rfind(']');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    name.replace(open, close - open + 1, "[...]");
  }
}

}  // namespace

std::vector<Frame> go_frames(GoTable& table, std::uint64_t pc) {
  std::vector<Frame> frames;
  for (GoTable::Call& call : table.calls_at(pc)) {
    Frame frame;
    spell_as_go(call.function);
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
