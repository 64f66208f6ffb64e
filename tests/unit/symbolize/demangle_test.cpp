#include <gtest/gtest.h>

#include "symbolize/symbolizer.hpp"

namespace sockleak {
namespace {

struct Row {
  const char* symbol;
  const char* name;
};

class Demangles : public testing::TestWithParam<Row> {};

TEST_P(Demangles, ToTheNameInTheSource) {
  EXPECT_EQ(demangle(GetParam().symbol), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    RustV0, Demangles,
    testing::Values(Row{"_RNvC6_123foo3bar", "123foo::bar"},
                    Row{"_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"},
                    Row{"_RNvMs_Cs4Cv8Wi1oAIB_7mycrateNtB4_7Example3foo", "<mycrate::Example>::foo"},
                    Row{"_RNCNvC4bare4main0", "bare::main::{closure#0}"}, Row{"_RINvC3net4openhE", "net::open::<u8>"},
                    Row{"_RNvC4bare4main.llvm.1234567", "bare::main"}));

INSTANTIATE_TEST_SUITE_P(
    RustLegacy, Demangles,
    testing::Values(Row{"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
                    Row{"_ZN4test4main17ha1b2c3d4e5f60718E.llvm.42", "test::main"},
                    Row{"_ZN51_$LT$net..Pool$u20$as$u20$core..ops..drop..Drop$GT$4drop17hc5f60718a1b2c3d4E",
                        "<net::Pool as core::ops::drop::Drop>::drop"}));

INSTANTIATE_TEST_SUITE_P(
    Cxx, Demangles,
    testing::Values(Row{"_ZN2db7connectERKNS_3UrlE", "db::connect(db::Url const&)"},
                    Row{"_ZN2db7connectIlEET_RKNS_3UrlES1_", "db::connect<long>(db::Url const&, long)"},
                    Row{"_ZN2db7connectERKNS_3UrlE.constprop.0", "db::connect(db::Url const&)"},
                    Row{"_ZN2db7connectERKNS_3UrlE.part.0.isra.0", "db::connect(db::Url const&)"},
                    Row{"_ZN2db7connectERKNS_3UrlE.cold", "db::connect(db::Url const&)"},
                    Row{"_ZN2db4Pool3getERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
                        "db::Pool::get(std::string const&)"},
                    Row{"_Z1fSt17basic_string_viewIcSt11char_traitsIcEE", "f(std::string_view)"},
                    Row{"_ZN12_GLOBAL__N_14leakEv", "(anonymous namespace)::leak()"}, Row{"_ZN3FooC4Ev", "Foo::Foo()"},
                    Row{"_ZZN3app3runEvENKUlvE_clEv", "app::run()::{lambda()#1}::operator()() const"},
                    Row{"_ZN4PoolplERKS_", "Pool::operator+(Pool const&)"}));

INSTANTIATE_TEST_SUITE_P(NothingElse, Demangles,
                         testing::Values(Row{"", ""}, Row{"_", "_"}, Row{"_Z", "_Z"}, Row{"_R", "_R"},
                                         Row{"main", "main"}, Row{"_start", "_start"}, Row{"_ZZZZ", "_ZZZZ"},
                                         Row{"_RNvC", "_RNvC"}, Row{"socket", "socket"},
                                         Row{"open.part.0", "open.part.0"}, Row{"i", "i"},
                                         Row{"_ZN3fooE$x", "_ZN3fooE$x"}, Row{"main.(*T).f", "main.(*T).f"}));

TEST(Demangle, GivesUpOnSymbolsThatNobodyCanRead) {
  const std::string symbol = "_Z" + std::string(100'000, 'P') + "i";
  EXPECT_EQ(demangle(symbol), symbol);
}

TEST(Demangle, SurvivesEveryPrefixAndEveryChangedByte) {
  for (const std::string good : {"_ZN2db7connectIlEET_RKNS_3UrlES1_", "_RNvMs_Cs4Cv8Wi1oAIB_7mycrateNtB4_7Example3foo",
                                 "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"}) {
    for (std::size_t length = 0; length < good.size(); ++length) (void)demangle(good.substr(0, length));
    for (std::size_t at = 2; at < good.size(); ++at) {
      for (const char c : {'S', '_', 'E', 'I', '0', '9', 'B', '.', '$', '\xff'}) {
        std::string bad = good;
        bad[at] = c;
        (void)demangle(bad);
      }
    }
  }
}

}  // namespace
}  // namespace sockleak
