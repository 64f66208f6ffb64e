// bytes -> Event. Pure: no state, no I/O. Every byte is checked; the input is kernel or file data, never trusted.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <variant>

#include "event/event.hpp"

namespace sockleak {

enum class DecodeDefect { kTooShort, kWrongSize, kUnknownType };

using Decoded = std::variant<Event, DecodeDefect>;

/// Decodes one wire record (bpf/abi/wire.h), header included. Stack records are not events: kUnknownType.
[[nodiscard]] Decoded decode(std::span<const std::byte> record);

/// The record's type field, or nullopt if it is shorter than a header.
[[nodiscard]] std::optional<std::uint16_t> record_type(std::span<const std::byte> record);

}  // namespace sockleak
