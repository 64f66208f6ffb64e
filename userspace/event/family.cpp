#include "event/family.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sockleak {
namespace {

// include/linux/socket.h; numbers, because older headers lack the last ones.
constexpr std::array<std::pair<std::uint16_t, const char*>, 33> kNames{{
    {1, "unix"},      {2, "inet"},     {3, "ax25"},     {4, "ipx"},       {5, "appletalk"}, {8, "atmpvc"},
    {9, "x25"},       {10, "inet6"},   {15, "key"},     {16, "netlink"},  {17, "packet"},   {20, "atmsvc"},
    {21, "rds"},      {24, "pppox"},   {26, "llc"},     {28, "mpls"},     {29, "can"},      {30, "tipc"},
    {31, "bluetooth"}, {32, "iucv"},   {33, "rxrpc"},   {34, "isdn"},     {35, "phonet"},   {36, "ieee802154"},
    {37, "caif"},     {38, "alg"},     {39, "nfc"},     {40, "vsock"},    {41, "kcm"},      {42, "qipcrtr"},
    {43, "smc"},      {44, "xdp"},     {45, "mctp"},
}};

}  // namespace

std::string family_name(std::uint16_t family) {
  const auto* const known =
      std::find_if(kNames.begin(), kNames.end(), [family](const auto& one) { return one.first == family; });
  return known == kNames.end() ? "family " + std::to_string(family) : known->second;
}

std::optional<std::uint16_t> family_number(std::string_view name) {
  const auto* const known = std::find_if(kNames.begin(), kNames.end(), [name](const auto& one) { return one.second == name; });
  return known == kNames.end() ? std::nullopt : std::optional(known->first);
}

}  // namespace sockleak
