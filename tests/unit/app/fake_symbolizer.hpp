// Functions named after addresses: 0x10 is "f10" in /srv/app, at app.c:16.
#pragma once

#include <cstdio>
#include <string>

#include "symbolize/symbolizer.hpp"

namespace sockleak::test {

class FakeSymbolizer final : public Symbolizer {
 public:
  Stack symbolize(const MappedStack& stack) override {
    ++asked;
    Stack result;
    for (const MappedFrame& mapped : stack.frames) {
      char name[32];
      std::snprintf(name, sizeof(name), "f%llx", static_cast<unsigned long long>(mapped.address));
      Frame frame;
      frame.function = name;
      frame.file = "app.c";
      frame.line = static_cast<std::uint32_t>(mapped.address);
      frame.module = "/srv/app";
      frame.build_id = "c0ffee";
      frame.offset = mapped.address;
      result.frames.push_back(std::move(frame));
    }
    return result;
  }

  std::size_t asked = 0;
};

}  // namespace sockleak::test
