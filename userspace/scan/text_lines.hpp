// Lines of a text for people: headings, and lines that are folded so that they look the same in a log and in a ticket.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/text.hpp"

namespace sockleak {

class TextLines {
 public:
  /// `top`: lines per section; 0 = all.
  explicit TextLines(std::size_t top) : top_(top) {}

  void heading(const std::string& text) { out_ += (out_.empty() ? "" : "\n") + text + '\n'; }

  /// Folded at blanks; what follows the fold stands `hanging` deeper. `text` is safe for a terminal already.
  void line(std::string_view text, std::size_t indent = 2, std::size_t hanging = 2) {
    std::size_t column = indent;
    bool fresh = true;
    out_.append(indent, ' ');
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(' ', text.find_first_not_of(' ')), text.size());
      const std::string_view word = text.substr(0, end);
      if (!fresh && column + width(word) > kWidth) {
        column = indent + hanging;
        out_.append("\n").append(column, ' ');
        out_.append(word.substr(word.find_first_not_of(' ')));
      } else {
        out_.append(word);
      }
      column += width(word);
      fresh = false;
      text.remove_prefix(end);
    }
    out_ += '\n';
  }

  /// True, and said, if the section has no room for more.
  [[nodiscard]] bool full(std::size_t shown, std::size_t all) {
    if (top_ == 0 || shown < top_) return false;
    line("and " + count_text(all - shown) + " more (--top 0 shows all)");
    return true;
  }

  void raw(const std::string& text) { out_ += text; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  static constexpr std::size_t kWidth = 120;

  /// Columns: what continues a UTF-8 sequence takes none.
  static std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  }

  std::size_t top_;
  std::string out_;
};

}  // namespace sockleak
