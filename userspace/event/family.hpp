// Names of address families, also of those whose sockets are only counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sockleak {

/// AF_NETLINK -> "netlink"; "family 99" of one without a name here.
[[nodiscard]] std::string family_name(std::uint16_t family);
/// The other way round, of those that have a name.
[[nodiscard]] std::optional<std::uint16_t> family_number(std::string_view name);

}  // namespace sockleak
