// Evaluation in three values (Kleene): true, false, unknown. Unknown never matches, also not behind a `not`.
#include "filter/filter.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>

#include "filter/filter_node.hpp"

namespace sockleak {
namespace {

using Truth = std::optional<bool>;

Truth negate(Truth truth) { return truth ? Truth(!*truth) : truth; }

template <typename T>
bool compare(T left, Comparison comparison, T right) {
  switch (comparison) {
    case Comparison::kEqual:
      return left == right;
    case Comparison::kNotEqual:
      return left != right;
    case Comparison::kLess:
      return left < right;
    case Comparison::kLessEqual:
      return left <= right;
    case Comparison::kGreater:
      return left > right;
    case Comparison::kGreaterEqual:
      return left >= right;
  }
  return false;
}

bool same_prefix(const std::uint8_t* a, const std::uint8_t* b, unsigned bits) {
  if (std::memcmp(a, b, bits / 8) != 0) return false;
  if (bits % 8 == 0) return true;
  const unsigned shift = 8 - bits % 8;
  return a[bits / 8] >> shift == b[bits / 8] >> shift;
}

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/// An IPv4 prefix also means IPv6 sockets that speak to IPv4 through a mapped address, as `ss` has it.
bool in_network(const Endpoint& endpoint, const AddressIs& wanted) {
  if (wanted.family == Family::kUnspecified) return true;
  if (endpoint.family == wanted.family) {
    return same_prefix(endpoint.address.data(), wanted.network.data(), wanted.prefix);
  }
  return wanted.family == Family::kInet && endpoint.family == Family::kInet6 &&
         std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), endpoint.address.begin()) &&
         same_prefix(endpoint.address.data() + kMappedPrefix.size(), wanted.network.data(), wanted.prefix);
}

/// True if one holder satisfies it; unknown instead of false while holders may be hidden.
template <typename Predicate>
Truth any_holder(const FilterSubject& subject, bool wanted, Predicate predicate) {
  const bool found = std::any_of(subject.holders.begin(), subject.holders.end(), predicate);
  if (found) return wanted;
  return subject.holders_known ? Truth(!wanted) : Truth();
}

bool globs(const std::string& pattern, std::string_view text) {
  return fnmatch(pattern.c_str(), std::string(text).c_str(), 0) == 0;
}

/// A cgroup means its whole subtree.
bool in_cgroup(const std::string& pattern, std::string_view path) {
  if (globs(pattern, path)) return true;
  const std::string_view stem = pattern.ends_with('/') ? std::string_view(pattern).substr(0, pattern.size() - 1) : pattern;
  return path.size() > stem.size() && path.starts_with(stem) && path[stem.size()] == '/';
}

struct Evaluation {
  const FilterSubject& subject;

  Truth of(const FilterNode& node) const { return std::visit(*this, node.value); }

  Truth operator()(const AllOf& both) const {
    const Truth left = of(*both.left);
    if (left == Truth(false)) return false;
    const Truth right = of(*both.right);
    if (right == Truth(false)) return false;
    return left && right ? Truth(true) : Truth();
  }
  Truth operator()(const AnyOf& either) const {
    const Truth left = of(*either.left);
    if (left == Truth(true)) return true;
    const Truth right = of(*either.right);
    if (right == Truth(true)) return true;
    return left && right ? Truth(false) : Truth();
  }
  Truth operator()(const Negation& negation) const { return negate(of(*negation.operand)); }
  Truth operator()(const StateIn& in) const {
    if (subject.state == TcpState::kUnknown) return {};
    return ((in.states >> static_cast<unsigned>(subject.state)) & 1U) != 0;
  }
  Truth operator()(const AddressIs& wanted) const {
    const Endpoint& endpoint = wanted.local ? subject.addresses.local : subject.addresses.remote;
    const bool same = in_network(endpoint, wanted) && (!wanted.port || endpoint.port == *wanted.port);
    return same == (wanted.comparison == Comparison::kEqual);
  }
  Truth operator()(const PortIs& wanted) const {
    const Endpoint& endpoint = wanted.local ? subject.addresses.local : subject.addresses.remote;
    return compare(endpoint.port, wanted.comparison, wanted.port);
  }
  Truth operator()(const NumberIs& wanted) const {
    switch (wanted.what) {
      case NumberOf::kPid: {
        const Comparison positive =
            wanted.comparison == Comparison::kNotEqual ? Comparison::kEqual : wanted.comparison;
        return any_holder(subject, positive == wanted.comparison, [&](const FilterHolder& holder) {
          return compare<std::uint64_t>(holder.pid.value, positive, wanted.number) ||
                 compare<std::uint64_t>(holder.tid.value, positive, wanted.number);
        });
      }
      case NumberOf::kNetns:
        if (!subject.netns) return {};
        return compare<std::uint64_t>(subject.netns->value, wanted.comparison, wanted.number);
      case NumberOf::kCookie:
        if (subject.socket.value == 0) return {};
        return compare(subject.socket.value, wanted.comparison, wanted.number);
      case NumberOf::kInode:
        return compare(subject.inode, wanted.comparison, wanted.number);
    }
    return {};
  }
  Truth operator()(const TextIs& wanted) const {
    switch (wanted.what) {
      case TextOf::kComm:
        return any_holder(subject, wanted.equal,
                          [&](const FilterHolder& holder) { return globs(wanted.pattern, holder.comm); });
      case TextOf::kCgroup:
        return any_holder(subject, wanted.equal,
                          [&](const FilterHolder& holder) { return in_cgroup(wanted.pattern, holder.cgroup); });
      case TextOf::kCause:
        if (subject.cause.empty() && subject.ownerless != Truth(false)) return {};
        return globs(wanted.pattern, subject.cause) == wanted.equal;
    }
    return {};
  }
  Truth operator()(const AgeIs& wanted) const {
    const Truth above = older_than(wanted.age, wanted.comparison == Comparison::kGreaterEqual ||
                                                   wanted.comparison == Comparison::kLess);
    const bool asks_for_old =
        wanted.comparison == Comparison::kGreater || wanted.comparison == Comparison::kGreaterEqual;
    return asks_for_old ? above : negate(above);
  }
  Truth operator()(const ProtocolIs& wanted) const { return subject.protocol == wanted.protocol; }
  Truth operator()(const FamilyIs& wanted) const { return subject.addresses.local.family == wanted.family; }
  Truth operator()(const Ownerless&) const { return subject.ownerless; }

  Truth older_than(Duration age, bool or_equal) const {
    const auto beyond = [&](Duration known) { return or_equal ? known >= age : known > age; };
    if (subject.at_least_old && beyond(*subject.at_least_old)) return true;
    if (subject.at_most_old && !beyond(*subject.at_most_old)) return false;
    return {};
  }
};

bool uses(const FilterNode& node, std::string_view word) {
  if (node.word == word) return true;
  if (const auto* both = std::get_if<AllOf>(&node.value)) return uses(*both->left, word) || uses(*both->right, word);
  if (const auto* any = std::get_if<AnyOf>(&node.value)) return uses(*any->left, word) || uses(*any->right, word);
  if (const auto* negation = std::get_if<Negation>(&node.value)) return uses(*negation->operand, word);
  return false;
}

}  // namespace

bool Filter::matches(const FilterSubject& subject) const {
  return root_ == nullptr || Evaluation{subject}.of(*root_) == Truth(true);
}

bool Filter::mentions(std::string_view word) const { return root_ != nullptr && uses(*root_, word); }

}  // namespace sockleak
