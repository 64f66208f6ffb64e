// Offsets: Include/cpython/code.h, Include/internal/pycore_frame.h and pycore_pystate.h of the CPython sources, which keep
// them within a minor version, as extension modules rely on them; since 3.13 the interpreter tells them itself
// (_Py_DebugOffsets in pycore_runtime.h). Where autoTSSkey lies does change: it is read from the code.
#include "runtime/python/interpreter.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "stack/exported_symbols.hpp"
#include "stack/module_reader.hpp"

namespace sockleak {
namespace {

struct Symbol {
  std::uint64_t address = 0, size = 0;
};

struct Symbols {
  Symbol runtime, code_type, loop, thread_state, version;
  Symbol is, call_no_args, code_new;  // that came with 3.10, 3.9 and 3.8
};

Symbols symbols_of(const Module& module) {
  Symbols found;
  const std::array<std::pair<std::string_view, Symbol*>, 8> wanted{{
      {"_PyRuntime", &found.runtime},
      {"PyCode_Type", &found.code_type},
      {"_PyEval_EvalFrameDefault", &found.loop},
      {"PyGILState_GetThisThreadState", &found.thread_state},
      {"Py_Version", &found.version},
      {"Py_Is", &found.is},
      {"PyObject_CallNoArgs", &found.call_no_args},
      {"PyCode_NewWithPosOnlyArgs", &found.code_new},
  }};
  for_each_exported_symbol(module, [&](const ExportedSymbol& symbol) {
    if (!symbol.name.starts_with('_') && !symbol.name.starts_with('P')) return;
    for (const auto& [name, place] : wanted) {
      if (name == symbol.name) *place = {symbol.address, symbol.size};
    }
  });
  return found;
}

unsigned minor_version(const Symbols& symbols, ModuleReader& reader) {
  if (symbols.version.address != 0) {  // PY_VERSION_HEX, exported since 3.11
    const auto version = reader.value<std::uint64_t>(symbols.version.address);
    return version && *version >> 24 == 3 ? (*version >> 16) & 0xff : 0;
  }
  if (symbols.is.address != 0) return 10;
  if (symbols.call_no_args.address != 0) return 9;
  return symbols.code_new.address != 0 ? 8 : 0;
}

sl_python layout_of(unsigned minor) {
  sl_python layout{};
  layout.leads_to = SL_PYTHON_NOWHERE;
  layout.unit = 1;
  if (minor <= 10) {  // PyFrameObject
    layout.thread_frame = 24;
    layout.frame_bytes = 112;
    layout.frame_code = 32;
    layout.frame_previous = 24;
    layout.frame_instruction = minor == 10 ? 96 : 104;
    layout.unit = minor == 10 ? 2 : 1;
    layout.entry = SL_PYTHON_ENTRY_ALWAYS;
    layout.code_first_line = 40;
    layout.code_file = 104;
    layout.code_name = 112;
    layout.code_lines = 120;
    return layout;
  }
  layout.thread_frame = 56;  // _PyCFrame
  layout.leads_to = minor == 11 ? 8 : 0;
  layout.frame_bytes = 72;  // _PyInterpreterFrame
  layout.frame_code = minor == 11 ? 32 : 0;
  layout.frame_previous = minor == 11 ? 48 : 8;
  layout.frame_instruction = 56;
  layout.frame_entry = minor == 11 ? 68 : 70;
  layout.entry = minor == 11 ? SL_PYTHON_ENTRY_FLAG : SL_PYTHON_ENTRY_OWNER;
  layout.code_first_line = minor == 11 ? 72 : 68;
  layout.code_file = 112;
  layout.code_name = 128;  // co_qualname
  layout.code_lines = 136;
  layout.code_instructions = minor == 11 ? 184 : 192;
  return layout;
}

/// struct _Py_DebugOffsets, the beginning of _PyRuntime: a cookie, the version, whether it is free-threaded, then groups of
/// numbers, each beginning with its structure's size. Groups have grown with 3.14.
std::optional<sl_python> told_layout(ModuleReader& reader, std::uint64_t runtime, unsigned minor) {
  constexpr std::size_t kRuntimeState = 3, kThreadState = 9, kCode = 10;
  const std::size_t interpreter_state = minor >= 14 ? 16 : 13, frame_fields = minor >= 14 ? 8 : 6;
  struct {
    std::array<char, 8> cookie;
    std::uint64_t version, free_threaded;
  } head{};
  std::array<std::uint64_t, kRuntimeState + 16 + kThreadState + 8 + kCode> told{};
  if (!reader.copy(runtime, std::as_writable_bytes(std::span(&head, 1))) ||
      !reader.copy(runtime + sizeof(head), std::as_writable_bytes(std::span(told)))) {
    return std::nullopt;
  }
  if (std::memcmp(head.cookie.data(), "xdebugpy", head.cookie.size()) != 0 || head.free_threaded != 0) {
    return std::nullopt;
  }
  const auto thread = std::span(told).subspan(kRuntimeState + interpreter_state);
  const auto frame = thread.subspan(kThreadState);
  const auto code = frame.subspan(frame_fields);
  const auto number = [](std::uint64_t value) {
    return static_cast<__u16>(std::min<std::uint64_t>(value, SL_PYTHON_NOWHERE));
  };
  sl_python layout{};
  layout.leads_to = SL_PYTHON_NOWHERE;
  layout.unit = 1;
  layout.thread_frame = number(thread[4]);
  layout.frame_bytes = minor >= 14 ? 80 : 72;
  layout.frame_previous = number(frame[1]);
  layout.frame_code = number(frame[2]);
  layout.frame_instruction = number(frame[3]);
  layout.frame_entry = number(frame[5]);
  layout.entry = SL_PYTHON_ENTRY_OWNER;
  layout.code_file = number(code[1]);
  layout.code_name = number(code[3]);  // co_qualname
  layout.code_lines = number(code[4]);
  layout.code_first_line = number(code[5]);
  layout.code_instructions = number(code[9]);
  const auto fits = [](std::uint64_t offset, std::uint64_t size) { return offset % 4 == 0 && offset < size; };
  const bool sound = layout.thread_frame < 4096 && fits(layout.frame_code, layout.frame_bytes) &&
                     fits(layout.frame_previous, layout.frame_bytes) &&
                     fits(layout.frame_instruction, layout.frame_bytes) && layout.frame_entry < layout.frame_bytes &&
                     fits(layout.code_file, 144) && fits(layout.code_name, 144) && fits(layout.code_lines, 144) &&
                     fits(layout.code_first_line, 144) && layout.code_instructions < 4096;
  return sound ? std::optional(layout) : std::nullopt;
}

}  // namespace

sl_python PythonInterpreter::at(std::uint64_t bias) const {
  sl_python moved = layout;
  moved.key += bias;
  moved.code_type += bias;
  return moved;
}

std::uint64_t thread_key_address(std::span<const std::byte> code, std::uint64_t address, std::uint64_t runtime,
                                 std::uint64_t size) {
  const auto byte = [&](std::size_t at) { return std::to_integer<unsigned>(code[at]); };
  const auto number = [&](std::size_t at) {
    std::int32_t value = 0;
    std::memcpy(&value, code.data() + at, sizeof(value));
    return static_cast<std::uint64_t>(std::int64_t{value});
  };
  const auto inside = [&](std::uint64_t key) { return key > runtime && key - runtime < size && key % 8 == 0; };
  for (std::size_t i = 0; i + 7 <= code.size(); ++i) {
    std::uint64_t key = 0;
    const bool lea = byte(i) == 0x48 && byte(i + 1) == 0x8d;
    if (lea && (byte(i + 2) & 0xc7) == 0x05) {  // lea key(%rip), REG
      key = address + i + 7 + number(i + 3);
    } else if (lea && byte(i + 2) >> 6 == 2 && (byte(i + 2) & 7) != 4) {  // lea K(REG), REG: REG has _PyRuntime
      key = runtime + number(i + 3);
    } else if (byte(i) == 0x8b && (byte(i + 1) & 0xc7) == 0x05) {  // mov key+4(%rip), REG: its second member
      key = address + i + 6 + number(i + 2) - 4;
    } else if (byte(i) == 0xbf) {  // mov $key, %edi
      key = number(i + 1);
    }
    if (inside(key)) return key;
  }
  return 0;
}

std::optional<PythonInterpreter> find_python(const Module& module) {
  if (!module.fd.valid() || module.segments.empty()) return std::nullopt;
  const Symbols symbols = symbols_of(module);
  if (symbols.runtime.address == 0 || symbols.loop.address == 0) return std::nullopt;
  PythonInterpreter python;
  python.loop = function_parts(module, {symbols.loop.address, symbols.loop.address + symbols.loop.size});

  constexpr unsigned kOldest = 8, kFirstThatTells = 13, kNewest = 14;
  ModuleReader reader(module);
  const unsigned minor = minor_version(symbols, reader);
  if (minor < kOldest || minor > kNewest || symbols.code_type.address == 0) return python;
  const auto layout =
      minor >= kFirstThatTells ? told_layout(reader, symbols.runtime.address, minor) : std::optional(layout_of(minor));
  std::array<std::byte, 64> code{};
  const std::size_t length = std::min<std::size_t>(code.size(), symbols.thread_state.size);
  const std::span<std::byte> begin = std::span(code).first(length);
  if (!layout || length == 0 || !reader.copy(symbols.thread_state.address, begin)) return python;
  const std::uint64_t key =
      thread_key_address(begin, symbols.thread_state.address, symbols.runtime.address, symbols.runtime.size);
  if (key == 0) return python;
  python.layout = *layout;
  python.layout.key = key;
  python.layout.code_type = symbols.code_type.address;
  python.minor = minor;
  return python;
}

}  // namespace sockleak
