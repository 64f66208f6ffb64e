// Every option of --help is in the man page and in the completion, and these two know no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "app/options.hpp"

namespace sockleak {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

std::string document(const char* name) {
  std::ifstream file(fs::absolute(__FILE__).parent_path() / "../../../docs" / name);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(text.empty()) << name;
  return text;
}

std::string help(const std::vector<std::string>& arguments) {
  const auto parsed = parse_options(arguments);
  return parsed && std::holds_alternative<Words>(*parsed) ? std::get<Words>(*parsed).text : std::string();
}

/// Option names in the first column of a help text.
Names options_of(const std::string& help) {
  Names names;
  const std::regex line(R"(\n  (-[-a-zA-Z,]*))");
  const std::regex name(R"(--?[a-zA-Z][-a-z]*)");
  for (std::sregex_iterator at(help.begin(), help.end(), line), end; at != end; ++at) {
    const std::string column = (*at)[1];
    for (std::sregex_iterator option(column.begin(), column.end(), name); option != end; ++option) {
      names.insert(option->str());
    }
  }
  return names;
}

const std::array<std::string, 6> kCommands{"trace", "check", "scan", "report", "destroy", "doctor"};

Names all_options() {
  Names names;
  for (const std::string& command : kCommands) names.merge(options_of(help({command, "--help"})));
  return names;
}

/// The page with roff's escaped hyphens made plain.
std::string man_page() {
  return std::regex_replace(document("sockleak.8"), std::regex(R"(\\-)"), "-");
}

TEST(ManPage, ExplainsEveryOption) {
  const std::string page = man_page();
  for (const std::string& option : all_options()) {
    if (option == "-h" || option == "--help") continue;
    EXPECT_TRUE(std::regex_search(page, std::regex("\n\\.(B|BI|BR) [^\n]*" + option + "[\", ]*[^-a-z]"))) << option;
  }
}

TEST(ManPage, ExplainsNoOptionThatIsGone) {
  const std::string page = man_page();
  const std::size_t begin = page.find("\n.SH OPTIONS\n");
  const std::string section = page.substr(begin, page.find("\n.SH ", begin + 1) - begin);
  const Names known = all_options();
  const std::regex name(R"(--[a-z][-a-z]*)");
  for (std::sregex_iterator at(section.begin(), section.end(), name), end; at != end; ++at) {
    EXPECT_TRUE(known.contains(at->str())) << at->str();
  }
}

/// What bash offers for "sockleak COMMAND -".
Names offered(const std::string& command) {
  const fs::path script = fs::absolute(__FILE__).parent_path() / "../../../docs/completion/sockleak.bash";
  const std::string shell = "bash -c '. " + script.string() + "; COMP_WORDS=(sockleak " + command +
                            " -); COMP_CWORD=2; _sockleak; printf \"%s\\n\" \"${COMPREPLY[@]}\"'";
  Names names;
  FILE* output = ::popen(shell.c_str(), "r");
  if (output == nullptr) return names;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), output) != nullptr) {
    names.insert(std::string(line.data(), std::string_view(line.data()).find('\n')));
  }
  ::pclose(output);
  return names;
}

TEST(Completion, OffersTheOptionsOfEachCommand) {
  for (const std::string& command : kCommands) {
    Names expected = options_of(help({command, "--help"}));
    if (command == "trace" || command == "check") expected.insert("--");
    EXPECT_EQ(offered(command), expected) << command;
  }
}

}  // namespace
}  // namespace sockleak
