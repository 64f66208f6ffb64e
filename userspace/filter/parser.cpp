// Text -> FilterNode by recursive descent: or < and (also unwritten) < not < term. Words are `ss`'s (iproute2
// misc/ssfilter.y), values too: "10.0.0.0/8:443", "[::1]:22", ":80", "*".
#include <arpa/inet.h>
#include <fnmatch.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "base/text.hpp"
#include "event/family.hpp"
#include "filter/filter_node.hpp"

namespace sockleak {
namespace {

constexpr std::size_t kMaxDepth = 100;    // because the parser recurses
constexpr std::size_t kMaxTokens = 4096;  // because a longer filter is a mistake, and nodes nest to the left

using Node = std::unique_ptr<FilterNode>;

tl::unexpected<Error> bad(const std::string& what, std::string hint = {}) {
  return fail(ErrorKind::kUsage, "filter: " + what,
              hint.empty() ? "see FILTERS in sockleak(8), for example: state close-wait and dport = :5432" : hint);
}

std::string quote(std::string_view word) { return "'" + escape_terminal(word) + "'"; }
template <typename T>
Node make(std::string_view word, T value) {
  return std::make_unique<FilterNode>(FilterNode{std::string(word), std::move(value)});
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\n') {
      ++at;
      continue;
    }
    std::size_t length = 1;
    if (c == '(' || c == ')') {  // stands alone
    } else if (std::string_view("=!<>&|").find(c) != std::string_view::npos) {
      if (at + 1 < text.size()) {
        const std::string_view two = text.substr(at, 2);
        if (two == "==" || two == "!=" || two == "<=" || two == ">=" || two == "&&" || two == "||") length = 2;
      }
    } else {
      while (at + length < text.size() &&
             std::string_view(" \t\n()=!<>&|").find(text[at + length]) == std::string_view::npos) {
        // Wildcards may hold a negated set: comm [!a]*
        if (text[at + length - 1] == '[' && at + length + 1 < text.size() && text[at + length] == '!') ++length;
        ++length;
      }
    }
    tokens.emplace_back(text.substr(at, length));
    at += length;
  }
  return tokens;
}

constexpr std::uint32_t bit(TcpState state) { return 1U << static_cast<unsigned>(state); }
constexpr std::uint32_t kAllStates = (1U << 13U) - 2U;
constexpr std::uint32_t kSynRecv = bit(TcpState::kSynRecv) | bit(TcpState::kNewSynRecv);
constexpr std::uint32_t kUnconnected = bit(TcpState::kListen) | bit(TcpState::kClose);

struct StateWord {
  const char* word;
  std::uint32_t states;
};
// ss(8), STATE-FILTER; both spellings of every state.
constexpr StateWord kStateWords[] = {
    {"established", bit(TcpState::kEstablished)}, {"estab", bit(TcpState::kEstablished)},
    {"syn-sent", bit(TcpState::kSynSent)},        {"syn-recv", kSynRecv},
    {"fin-wait-1", bit(TcpState::kFinWait1)},     {"fin-wait1", bit(TcpState::kFinWait1)},
    {"fin-wait-2", bit(TcpState::kFinWait2)},     {"fin-wait2", bit(TcpState::kFinWait2)},
    {"time-wait", bit(TcpState::kTimeWait)},      {"closed", bit(TcpState::kClose)},
    {"close", bit(TcpState::kClose)},             {"unconnected", bit(TcpState::kClose)},
    {"close-wait", bit(TcpState::kCloseWait)},    {"last-ack", bit(TcpState::kLastAck)},
    {"listening", bit(TcpState::kListen)},        {"listen", bit(TcpState::kListen)},
    {"closing", bit(TcpState::kClosing)},         {"all", kAllStates},
    {"connected", kAllStates & ~kUnconnected},
    {"synchronized", kAllStates & ~kUnconnected & ~bit(TcpState::kSynSent)},
    {"bucket", kSynRecv | bit(TcpState::kTimeWait)},
    {"big", kAllStates & ~kSynRecv & ~bit(TcpState::kTimeWait)},
};

std::optional<std::uint32_t> states_named(std::string_view text) {
  std::string word = lower(text);
  std::replace(word.begin(), word.end(), '_', '-');
  for (const StateWord& known : kStateWords) {
    if (word == known.word) return known.states;
  }
  return {};
}

std::optional<std::uint64_t> number_in(std::string_view text, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size() && number <= most && !text.empty();
  return whole ? std::optional(number) : std::nullopt;
}

/// ":443", "443", ":https".
std::optional<std::uint16_t> port_in(std::string_view text) {
  if (text.starts_with(':')) text.remove_prefix(1);
  if (const auto number = number_in(text, 65535)) return static_cast<std::uint16_t>(*number);
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return {};
  const servent* service = getservbyname(std::string(text).c_str(), nullptr);
  if (service == nullptr) return {};
  return ntohs(static_cast<std::uint16_t>(service->s_port));
}

/// Splits "address[/prefix][:port]"; IPv6 takes brackets when a port follows.
Result<AddressIs> address_in(std::string_view text) {
  AddressIs wanted;
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return bad("no ']' in " + quote(text));
    std::string_view rest = host.substr(end + 1);
    std::string inside(host.substr(1, end - 1));
    if (rest.starts_with('/')) {
      const std::size_t colon = rest.find(':');
      inside += rest.substr(0, colon);
      rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
    }
    if (!rest.empty() && rest[0] != ':') return bad("cannot read the address " + quote(text));
    auto inner = address_in(inside);
    if (!inner || inner->family != Family::kInet6) return bad("no IPv6 address: " + quote(text));
    wanted = *inner;
    port = rest;
    has_port = !rest.empty();
    host = {};
  } else if (std::count(host.begin(), host.end(), ':') <= 1) {
    const std::size_t colon = host.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = host.substr(colon);
    host = host.substr(0, colon);
  }
  if (has_port && port != ":*") {
    wanted.port = port_in(port);
    if (!wanted.port) return bad("no port: " + quote(text));
  }
  if (host.empty() || host == "*") return wanted;
  const std::size_t slash = host.find('/');
  const std::string address(host.substr(0, slash));
  if (inet_pton(AF_INET, address.c_str(), wanted.network.data()) == 1) {
    wanted.family = Family::kInet;
  } else if (inet_pton(AF_INET6, address.c_str(), wanted.network.data()) == 1) {
    wanted.family = Family::kInet6;
  } else {
    return bad("no address: " + quote(text), "names are not looked up: give the address, as in dst 10.0.0.9/32:5432");
  }
  wanted.prefix = wanted.family == Family::kInet ? 32 : 128;
  if (slash != std::string_view::npos) {
    const auto bits = number_in(host.substr(slash + 1), wanted.prefix);
    if (!bits) return bad("no prefix length: " + quote(text));
    wanted.prefix = static_cast<unsigned>(*bits);
  }
  return wanted;
}

std::optional<Comparison> comparison_in(std::string_view word) {
  if (word == "=" || word == "==" || word == "eq" || word == "is") return Comparison::kEqual;
  if (word == "!=" || word == "ne" || word == "neq") return Comparison::kNotEqual;
  if (word == "<" || word == "lt") return Comparison::kLess;
  if (word == "<=" || word == "le" || word == "leq") return Comparison::kLessEqual;
  if (word == ">" || word == "gt") return Comparison::kGreater;
  if (word == ">=" || word == "ge" || word == "geq") return Comparison::kGreaterEqual;
  return {};
}

class Parser {
 public:
  explicit Parser(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  Result<Node> whole() {
    auto node = any_of();
    if (node && at_ < tokens_.size()) return bad("cannot read on at " + quote(tokens_[at_]));
    return node;
  }

 private:
  [[nodiscard]] std::string peek() const { return at_ < tokens_.size() ? lower(tokens_[at_]) : std::string(); }

  bool take(std::string_view a, std::string_view b, std::string_view c) {
    const std::string word = peek();
    if (word.empty() || (word != a && word != b && word != c)) return false;
    ++at_;
    return true;
  }

  Result<Node> any_of() {
    if (++depth_ > kMaxDepth) return bad("too deeply nested");
    auto left = all_of();
    while (left && take("or", "|", "||")) {
      auto right = all_of();
      if (!right) return right;
      left = make("or", AnyOf{std::move(*left), std::move(*right)});
    }
    --depth_;
    return left;
  }

  Result<Node> all_of() {
    auto left = term();
    while (left) {
      const bool written = take("and", "&", "&&");
      const std::string next = peek();
      if (!written && (next.empty() || next == ")" || next == "or" || next == "|" || next == "||")) break;
      auto right = term();
      if (!right) return right;
      left = make("and", AllOf{std::move(*left), std::move(*right)});
    }
    return left;
  }

  Result<Node> term() {
    if (take("not", "!", "!")) {
      if (++depth_ > kMaxDepth) return bad("too deeply nested");
      auto operand = term();
      --depth_;
      if (!operand) return operand;
      return make("not", Negation{std::move(*operand)});
    }
    if (take("(", "(", "(")) {
      auto inner = any_of();
      if (inner && !take(")", ")", ")")) return bad("a ')' is missing");
      return inner;
    }
    if (at_ >= tokens_.size()) return bad(tokens_.empty() ? "is empty" : "ends too early");
    const std::string word = peek();
    ++at_;
    return keyword(word);
  }

  Result<Node> keyword(const std::string& word) {
    if (word == "ownerless") return make(word, Ownerless{});
    if (word == "state" || word == "exclude") return state(word);
    if (word == "src" || word == "dst") return address(word);
    if (word == "sport" || word == "dport") return port(word);
    if (word == "pid") return number(word, NumberOf::kPid, UINT32_MAX);
    if (word == "netns") return number(word, NumberOf::kNetns, UINT32_MAX);
    if (word == "cookie") return number(word, NumberOf::kCookie, UINT64_MAX);
    if (word == "inode") return number(word, NumberOf::kInode, UINT64_MAX);
    if (word == "comm") return text(word, TextOf::kComm);
    if (word == "cgroup") return text(word, TextOf::kCgroup);
    if (word == "cause") return cause(word);
    if (word == "age") return age(word);
    if (word == "proto" || word == "protocol") return protocol(word);
    if (word == "family") return family(word);
    return bad("unknown word " + quote(tokens_[at_ - 1]),
               "words are state exclude src dst sport dport proto family pid comm cgroup netns cookie inode age "
               "ownerless cause and or not ( )");
  }

  /// Takes the value after an optional comparison.
  Result<std::pair<Comparison, std::string>> compared(const std::string& word) {
    Comparison comparison = Comparison::kEqual;
    if (const auto written = comparison_in(peek())) {
      comparison = *written;
      ++at_;
    }
    if (at_ >= tokens_.size() || peek() == ")") return bad(word + " needs a value");
    return std::pair(comparison, tokens_[at_++]);
  }

  /// The same where only "is" and "is not" make sense.
  Result<std::pair<bool, std::string>> equated(const std::string& word) {
    auto value = compared(word);
    if (!value) return tl::unexpected<Error>(value.error());
    if (value->first > Comparison::kNotEqual) return bad(word + " knows only = and !=");
    return std::pair(value->first == Comparison::kEqual, std::move(value->second));
  }

  static Node negated_unless(bool equal, Node node) {
    return equal ? std::move(node) : make("not", Negation{std::move(node)});
  }

  Result<Node> state(const std::string& word) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    const auto states = states_named(value->second);
    if (!states) {
      return bad("no state: " + quote(value->second),
                 "states are established syn-sent syn-recv fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack "
                 "listening closing all connected synchronized bucket big");
    }
    return negated_unless(value->first == (word == "state"), make(word, StateIn{*states}));
  }

  Result<Node> address(const std::string& word) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    auto wanted = address_in(value->second);
    if (!wanted) return tl::unexpected<Error>(wanted.error());
    wanted->local = word == "src";
    wanted->comparison = value->first ? Comparison::kEqual : Comparison::kNotEqual;
    return make(word, *wanted);
  }

  Result<Node> port(const std::string& word) {
    auto value = compared(word);
    if (!value) return tl::unexpected<Error>(value.error());
    const auto number = port_in(value->second);
    if (!number) return bad("no port: " + quote(value->second));
    return make(word, PortIs{word == "sport", value->first, *number});
  }

  Result<Node> number(const std::string& word, NumberOf what, std::uint64_t most) {
    auto value = compared(word);
    if (!value) return tl::unexpected<Error>(value.error());
    const auto number = number_in(value->second, most);
    if (!number) return bad("no number: " + quote(value->second));
    return make(word, NumberIs{what, value->first, *number});
  }

  Result<Node> text(const std::string& word, TextOf what) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    return make(word, TextIs{what, value->first, std::move(value->second)});
  }

  Result<Node> cause(const std::string& word) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    const char* const pattern = value->second.c_str();  // a misspelt one would mean no socket at all
    for (int known = 1; known <= static_cast<int>(Cause::kUnknown); ++known) {
      if (fnmatch(pattern, to_string(static_cast<Cause>(known)), 0) != 0) continue;
      return make(word, TextIs{TextOf::kCause, value->first, value->second});
    }
    return bad("no such cause: " + quote(value->second), "see Causes in sockleak(8), for example: cause accept-queue");
  }

  Result<Node> age(const std::string& word) {
    const bool written = comparison_in(peek()).has_value();
    auto value = compared(word);
    if (!value) return tl::unexpected<Error>(value.error());
    if (written && value->first <= Comparison::kNotEqual) return bad("age knows only < <= > >=");
    const auto duration = parse_duration(value->second);
    if (!duration) return tl::unexpected<Error>(duration.error());
    return make(word, AgeIs{written ? value->first : Comparison::kGreaterEqual, *duration});
  }

  Result<Node> protocol(const std::string& word) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    for (const Protocol known : {Protocol::kTcp, Protocol::kUdp, Protocol::kMptcp, Protocol::kSctp, Protocol::kRaw,
                                 Protocol::kIcmp}) {
      if (lower(value->second) == to_string(known)) {
        return negated_unless(value->first, make(word, ProtocolIs{known}));
      }
    }
    return bad("no protocol: " + quote(value->second), "protocols are tcp udp mptcp sctp raw icmp");
  }

  Result<Node> family(const std::string& word) {
    auto value = equated(word);
    if (!value) return tl::unexpected<Error>(value.error());
    const auto number = family_number(lower(value->second));
    if (!number) return bad("no family: " + quote(value->second), "families are inet, inet6, unix, netlink ...");
    return negated_unless(value->first, make(word, FamilyIs{static_cast<Family>(*number)}));
  }

  std::vector<std::string> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

Filter::Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Result<Filter> Filter::parse(std::string_view text) {
  std::vector<std::string> tokens = tokens_of(text);
  Filter filter;
  if (tokens.empty()) return filter;
  if (tokens.size() > kMaxTokens) return bad("too long");
  auto root = Parser(std::move(tokens)).whole();
  if (!root) return tl::unexpected<Error>(root.error());
  filter.root_ = std::move(*root);
  return filter;
}

}  // namespace sockleak
