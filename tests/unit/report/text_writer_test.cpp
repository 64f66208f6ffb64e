#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "report/frame_text.hpp"
#include "report/writers.hpp"
#include "unit/report/sample_report.hpp"

namespace sockleak {
namespace {

using namespace std::chrono_literals;
using sample::bare_frame;
using sample::frame;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string text(const Report& report) {
  return write_text(report, {});
}
std::string verbose(const Report& report) {
  return write_text(report, {.color = false, .verbose = true, .top = 0});
}

/// A report whose only finding was changed by `change`.
template <typename Change>
Report with(Change change) {
  Report report = sample::report();
  change(report.findings[0]);
  return report;
}

/// The line that begins with this label, label included; empty if there is none.
std::string row(const std::string& out, const std::string& label) {
  const std::size_t at = out.find("\n  " + label + " ");
  if (at == std::string::npos) return {};
  return out.substr(at + 3, out.find('\n', at + 1) - at - 3);
}

TEST(TextWriter, ListsWhatNoDescriptorRefersTo) {
  EXPECT_THAT(text(sample::ownerless_report()),
              HasSubstr("OWNERLESS  2 sockets without a descriptor · io-uring-slot\n"
                        "  evidence     slot 3 of an io_uring of orders (812)\n"
                        "  remedy       the program must close the slot or unregister the files; ending it closes them "
                        "too\n"
                        "  sockets      cookie 9 CLOSE_WAIT 10.0.0.1:40000 → 10.0.0.9:5432 · age 48 s · 1 byte received, "
                        "1 234 sent · io_uring slot 3 of orders (812)\n"
                        "               … 1 more\n"));
}

TEST(TextWriter, NamesTheGoStatementAndTheCaller) {
  const Report report = with([](ReportFinding& f) {
    f.goroutine_created_at = Stack{{frame("net/http.(*Transport).queueForDial", "net/http/transport.go", 1416)}, false, {}};
    f.goroutine_ancestors = {{0, true, {{frame("net/http.(*Transport).getConn", "net/http/transport.go", 1379)}, false, {}}, 0},
                             {5, true, {{frame("runtime.newproc", "runtime/proc.go", 4097),
                                         frame("main.fetch", "main.go", 20)}, false, {}}, 1}};
    f.caller = 1;
  });
  const std::string brief = text(report);
  EXPECT_EQ(row(brief, "go statement"), "go statement in  net/http.(*Transport).queueForDial  net/http/transport.go:1416");
  EXPECT_EQ(row(brief, "called from"), "called from  main.fetch  main.go:20 · goroutine 5 · at its go statement");
  EXPECT_EQ(row(brief, "ancestor"), "");
  EXPECT_EQ(row(verbose(report), "ancestor"),
            "ancestor     net/http.(*Transport).getConn  net/http/transport.go:1379 · at its go statement");
}

TEST(TextWriter, SaysWhatBecameOfLeftovers) {
  Report report = sample::clean_report();
  ReportAction done;
  done.protocol = "tcp";
  done.local = {"10.0.0.1", 40000};
  done.remote = {"10.0.0.9", 5432};
  done.holders = {{901, "sh", 3}, {902, "a\x1b[m", 3}};
  done.allowed = true;
  done.result = "done";
  done.stays = "the descriptor";
  ReportAction refused = done;
  refused.allowed = false;
  refused.why = "another process holds it";
  report.actions = ReportActions{false, {done, refused}};
  const std::string out = text(report);
  EXPECT_THAT(out, HasSubstr("DESTROY  2 leftovers of processes that have ended\n"));
  EXPECT_THAT(out, HasSubstr("1 done\n"));
  EXPECT_THAT(out, HasSubstr("1 refused: another process holds it\n"));
  EXPECT_THAT(out, HasSubstr("tcp 10.0.0.1:40000 -> 10.0.0.9:5432 · held by sh (901) fd 3, a"));
  EXPECT_THAT(out, HasSubstr("stays: the descriptor"));
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
  report.actions->dry_run = true;
  EXPECT_THAT(text(report), HasSubstr("WOULD DESTROY  2 leftovers"));
}

TEST(TextWriter, LooksAsTheDesignPromises) {
  EXPECT_EQ(
      text(sample::report()),
      "LEAK  37 of 4 849 sockets never closed · +12/min · TCP to 10.0.0.9:5432 · 35 CLOSE_WAIT, 2 ESTABLISHED   "
      "confidence 0.98\n"
      "  opened by    orders (pid 812) thread worker-3\n"
      "    db::connect(Url const&)  src/db/pool.cc:88\n"
      "    OrderService::fetch      src/order.cc:131   (inlined)\n"
      "    serve                    src/main.cc:20\n"
      "    main                     src/main.cc:44\n"
      "  siblings     4 812 closed in  db::Pool::put  src/db/pool.cc:203 · median lifetime 41 ms, longest 2.1 s\n"
      "  held by      orders (812) fd 19, 23, 24 …\n"
      "  evidence     close-wait: 35 sockets ≥ 10 s, oldest 48 s · growth: rose in 6 windows of 5 s\n"
      "  remedy       the peer closed, recv returns 0 ever since and nobody calls close(): siblings are closed in "
      "db::Pool::put (src/db/pool.cc:203), the path that sees the end must get there too\n"
      "\n"
      "1 site, 37 leaked sockets · 11 902 created, 11 850 closed · data complete\n");
}

TEST(TextWriter, VerboseShowsEveryFrameEverySocketAndTheHooks) {
  Report report = sample::report();
  report.findings[0].sockets.resize(1);
  report.counters.set(Counter::frames_without_module, 2);
  EXPECT_EQ(
      verbose(report),
      "LEAK  37 of 4 849 sockets never closed · +12/min · TCP to 10.0.0.9:5432 · 35 CLOSE_WAIT, 2 ESTABLISHED   "
      "confidence 0.98\n"
      "  opened by    orders (pid 812) thread worker-3\n"
      "    connect                        /lib/x86_64-linux-gnu/libc.so.6+0x10e3f7\n"
      "    db::connect(Url const&)        src/db/pool.cc:88\n"
      "    OrderService::fetch            src/order.cc:131   (inlined)\n"
      "    serve                          src/main.cc:20\n"
      "    main                           src/main.cc:44\n"
      "    __libc_start_call_main         /lib/x86_64-linux-gnu/libc.so.6+0x271ca\n"
      "    __libc_start_main@@GLIBC_2.34  /lib/x86_64-linux-gnu/libc.so.6+0x27285\n"
      "    _start                         /srv/orders+0x10a1\n"
      "  siblings     4 812 closed in  db::Pool::put  src/db/pool.cc:203 · median lifetime 41 ms, longest 2.1 s\n"
      "    close          /lib/x86_64-linux-gnu/libc.so.6+0x10aa00\n"
      "    db::Pool::put  src/db/pool.cc:203\n"
      "  held by      orders (812) fd 19 …\n"
      "  evidence     close-wait: 35 sockets ≥ 10 s, oldest 48 s · growth: rose in 6 windows of 5 s\n"
      "  remedy       the peer closed, recv returns 0 ever since and nobody calls close(): siblings are closed in "
      "db::Pool::put (src/db/pool.cc:203), the path that sees the end must get there too\n"
      "  site         0123456789abcdef\n"
      "  sockets      cookie 1 CLOSE_WAIT 10.0.0.1:40000 → 10.0.0.9:5432 · age 48 s · 1 byte received, 1 234 sent "
      "· orders (812) fd 19\n"
      "\n"
      "1 site, 37 leaked sockets · 11 902 created, 11 850 closed · data complete\n"
      "  note         2 frames outside every known module\n"
      "  hooks        create cgroup/sock_create · state tp_btf/inet_sock_set_state\n");
}

TEST(TextWriter, SaysWhenNothingLeaked) {
  EXPECT_EQ(text(sample::clean_report()), "no leak found · 11 902 created, 11 850 closed, 52 open · data complete\n");
}

TEST(TextWriter, NeverCallsLossyDataComplete) {
  Report report = sample::clean_report();
  report.counters.set(Counter::events_lost, 12);
  report.complete = true;  // a mistake of the caller must not hide a loss
  EXPECT_EQ(text(report),
            "no leak found · 11 902 created, 11 850 closed, 52 open · data INCOMPLETE: 12 events lost because the ring "
            "buffer was full\n");
  report.counters.set(Counter::sockets_evicted, 1234);
  report.counters.set(Counter::stacks_lost, 5);  // breaks no promise
  EXPECT_EQ(text(report),
            "no leak found · 11 902 created, 11 850 closed, 52 open · data INCOMPLETE: 12 events lost because the ring "
            "buffer was full\n  1 234 sockets forgotten because the table was full\n");
}

TEST(TextWriter, SaysIncompleteEvenWithoutACounter) {
  Report report = sample::clean_report();
  report.complete = false;
  EXPECT_THAT(text(report), HasSubstr("· data INCOMPLETE\n"));
}

TEST(TextWriter, RightAlignsTheConfidenceAndKeepsAGapWhenTheHeadlineIsLong) {
  const std::string brief = text(with([](ReportFinding& f) { f.states.clear(); }));
  EXPECT_EQ(columns(brief.substr(0, brief.find('\n'))), 120U);
  const std::string full = text(with([](ReportFinding& f) { f.states["SYN_SENT"] = 20; }));
  EXPECT_THAT(full, HasSubstr("35 CLOSE_WAIT, 20 SYN_SENT, 2 ESTABLISHED   confidence 0.98\n"));
}

TEST(TextWriter, NamesTheOtherVerdicts) {
  EXPECT_THAT(text(with([](ReportFinding& f) { f.finding.verdict = Verdict::kSuspect; })),
              StartsWith("SUSPECT  37 of 4 849 sockets never closed"));
  const Report pool = with([](ReportFinding& f) {
    f.finding.verdict = Verdict::kPool;
    f.finding.leaked = 0;
    f.finding.leaked_per_minute = 0;
  });
  EXPECT_THAT(text(pool), StartsWith("POOL  37 of 4 849 sockets kept open · TCP to"));
  EXPECT_EQ(row(text(pool), "remedy"),
            "remedy       none needed: the number of open sockets stays flat while the site is busy");
}

TEST(TextWriter, UsesTheSingular) {
  Report report = with([](ReportFinding& f) { f.finding.created = f.finding.leaked = 1; });
  report.leaked = 1;
  EXPECT_THAT(text(report), StartsWith("LEAK  1 of 1 socket never closed"));
  EXPECT_THAT(text(report), HasSubstr("\n1 site, 1 leaked socket · "));
}

TEST(TextWriter, ShowsTheRateInTheUnitThatFits) {
  const auto rate = [](double per_minute) {
    return text(with([per_minute](ReportFinding& f) { f.finding.leaked_per_minute = per_minute; }));
  };
  EXPECT_THAT(rate(12345.6), HasSubstr("closed · +12 346/min · TCP"));
  EXPECT_THAT(rate(0.1), HasSubstr("closed · +6/h · TCP"));
  EXPECT_THAT(rate(0), HasSubstr("closed · TCP"));
  EXPECT_THAT(rate(-3), HasSubstr("closed · TCP"));
  EXPECT_THAT(rate(std::numeric_limits<double>::infinity()), HasSubstr("closed · TCP"));
}

TEST(TextWriter, SaysWhoTheTrafficIsWith) {
  const auto two_peers = [](Origin origin) {
    return text(with([origin](ReportFinding& f) {
      f.finding.site.origin = origin;
      f.peers = {{sample::inet(10, 0, 0, 7, 50001), 20}, {sample::inet(10, 0, 0, 7, 50002), 17}};
      for (ReportSocket& s : f.sockets) s.record.addresses.local.port = 8080;
    }));
  };
  EXPECT_THAT(two_peers(Origin::kConnect), HasSubstr("· TCP to 10.0.0.7:50001 and 1 other ·"));
  EXPECT_THAT(two_peers(Origin::kAccept), HasSubstr("· TCP on :8080 from 10.0.0.7 ·"));
  EXPECT_THAT(two_peers(Origin::kBeforeAttach), HasSubstr("· TCP with 10.0.0.7:50001 and 1 other ·"));
  EXPECT_THAT(text(with([](ReportFinding& f) { f.peers.clear(); })), HasSubstr("· TCP · 35 CLOSE_WAIT"));
}

TEST(TextWriter, TellsThreadsApart) {
  const auto opened_by = [](std::vector<ReportCreator> creators) {
    return row(text(with([&](ReportFinding& f) { f.creators = std::move(creators); })), "opened by");
  };
  EXPECT_EQ(opened_by({{812, 812, "orders", "orders", "", 37}}), "opened by    orders (pid 812)");
  EXPECT_EQ(opened_by({{812, 812, "orders", "orders", "", 37, "/docker/3f2a90c1d2e3f405", "3f2a90c1d2e3f405"}}),
            "opened by    orders (pid 812) in container 3f2a90c1d2e3");
  EXPECT_EQ(opened_by({{812, 815, "orders", "orders", "", 37}}), "opened by    orders (pid 812) thread 815");
  EXPECT_EQ(opened_by({{812, 815, "orders", "w3", "", 30}, {812, 816, "orders", "w4", "", 7}}),
            "opened by    orders (pid 812) thread w3 ×30, orders (pid 812) thread w4 ×7");
  EXPECT_EQ(opened_by({{1, 1, "a", "", "", 9}, {2, 2, "b", "", "", 8}, {3, 3, "c", "", "", 7}, {4, 4, "d", "", "", 6}}),
            "opened by    a (pid 1) ×9, b (pid 2) ×8, c (pid 3) ×7 and 1 other");
  EXPECT_EQ(opened_by({{812, 815, "orders", "orders", "", 37, "", "", 77, 1}}),
            "opened by    orders (pid 812) thread 815 · goroutine 77");
  EXPECT_EQ(opened_by({{812, 812, "orders", "orders", "", 37, "", "", 0, 12}}),
            "opened by    orders (pid 812) · 12 goroutines");
  EXPECT_EQ(opened_by({}), "opened by    an unknown process");
}

TEST(TextWriter, SaysThatASocketIsOlderThanTheSession) {
  const std::string out = text(with([](ReportFinding& f) {
    f.finding.site.origin = Origin::kBeforeAttach;
    f.creators.clear();
    f.created_at = {};
  }));
  EXPECT_EQ(row(out, "opened by"), "opened by    an unknown process, before sockleak attached");
  EXPECT_THAT(out, HasSubstr("\n    … no stack was taken\n"));
  EXPECT_EQ(row(out, "held by"), "held by      orders (812) fd 19, 23, 24 …");
}

TEST(TextWriter, ShowsAtMostEightFramesAndSaysHowManyMore) {
  const Report report = with([](ReportFinding& f) {
    f.created_at.frames.assign(11, frame("recurse", "a.c", 1));
    f.culprit = 1;
  });
  const std::string out = text(report);
  EXPECT_THAT(out, HasSubstr("\n    recurse  a.c:1\n    … 2 more frames\n  siblings"));
  EXPECT_THAT(verbose(report), Not(HasSubstr("more frame")));
}

TEST(TextWriter, SaysWhereAndWhyAStackEnds) {
  const std::string out = text(with([](ReportFinding& f) {
    f.created_at.frames = {frame("f", "a.c", 1)};
    f.created_at.truncated = true;
    f.created_at.why = "user memory was not readable";
    f.culprit = 0;
  }));
  EXPECT_THAT(out, HasSubstr("\n    f  a.c:1\n    … stack ends here: user memory was not readable\n  siblings"));
}

TEST(TextWriter, ShowsModulesWhereNamesOrLinesAreMissing) {
  const Report report = with([](ReportFinding& f) {
    f.created_at.frames = {bare_frame("/usr/lib/libdb.so", 0x1a2b), bare_frame("", 0x7f00dead),
                           bare_frame("/usr/lib/libpq.so.5", 0x99, "PQconnect"), frame("f", "a.c", 0)};
    f.culprit = 0;
  });
  EXPECT_THAT(text(report), HasSubstr("\n    ?? libdb.so+0x1a2b\n"
                                      "    ?? 0x7f00dead\n"
                                      "    PQconnect           libpq.so.5\n"
                                      "    f                   a.c\n"));
  EXPECT_THAT(verbose(report), HasSubstr("\n    ?? /usr/lib/libdb.so+0x1a2b\n"
                                         "    ?? 0x7f00dead\n"
                                         "    PQconnect                    /usr/lib/libpq.so.5+0x99\n"));
}

TEST(TextWriter, ALongNameMovesOnlyItsOwnLine) {
  const std::string name = "std::" + std::string(200, 'x');
  const Report report = with([&](ReportFinding& f) {
    f.created_at.frames = {frame(name, "a.h", 1), frame("main", "a.c", 2)};
    f.culprit = 0;
  });
  EXPECT_THAT(text(report), HasSubstr("    std::" + std::string(70, 'x') + "…  a.h:1\n    main  a.c:2\n"));
  EXPECT_THAT(verbose(report), HasSubstr("    " + name + "  a.h:1\n"));
}

TEST(TextWriter, SurvivesACulpritThatIsNotThere) {
  EXPECT_THAT(text(with([](ReportFinding& f) { f.culprit = f.closed_at[0].culprit = 99; })),
              HasSubstr("\n    connect                  libc.so.6\n"));
}

TEST(TextWriter, NamesTheListener) {
  const std::string out = text(with([](ReportFinding& f) {
    f.listener_created_at = Stack{{frame("socket"), frame("listen_on", "srv.cc", 30)}, false, ""};
    f.listener_culprit = 1;
  }));
  EXPECT_EQ(row(out, "listener"), "listener     created in  listen_on  srv.cc:30");
}

TEST(TextWriter, ShowsThreeClosePathsAndSumsUpTheRest) {
  const Report report = with([](ReportFinding& f) {
    const Stack other{{frame("other", "b.cc", 5)}, false, ""};
    f.closed_at.push_back({200, "exit", {}, 0});
    f.closed_at.push_back({100, "async", other, 0});
    f.closed_at.push_back({50, "close", {}, 0});
    f.closed_at.push_back({7, "exec", {}, 0});
  });
  EXPECT_THAT(text(report),
              HasSubstr("\n  siblings     4 812 closed in  db::Pool::put  src/db/pool.cc:203 · median lifetime 41 ms, "
                        "longest 2.1 s\n"
                        "               200 closed by the end of the process\n"
                        "               100 closed by the kernel later in  other  b.cc:5\n"
                        "               … 57 on 2 other paths\n"));
  EXPECT_THAT(verbose(report), HasSubstr("               50 closed, place unknown\n"
                                         "               7 closed on exec\n"));
}

TEST(TextWriter, HasNoSiblingsRowWhenNoneWasClosed) {
  const std::string out = text(with([](ReportFinding& f) {
    f.finding.closed = 0;
    f.closed_at.clear();
  }));
  EXPECT_EQ(row(out, "siblings"), "");
}

TEST(TextWriter, ListsEightDescriptorsSortedAndOnce) {
  const auto held_by = [](std::vector<std::int32_t> fds) {
    return row(text(with([&](ReportFinding& f) {
                 f.sockets.clear();
                 for (const std::int32_t fd : fds) f.sockets.push_back(sample::socket(1, fd));
                 f.finding.leaked = fds.size();
               })),
               "held by");
  };
  EXPECT_EQ(held_by({9, 8, 7, 7}), "held by      orders (812) fd 7, 8, 9");
  EXPECT_EQ(held_by({9, 8, 7, 6, 5, 4, 3, 2, 1}), "held by      orders (812) fd 1, 2, 3, 4, 5, 6, 7, 8 …");
}

TEST(TextWriter, ShowsWhoElseHoldsTheSockets) {
  const Holder shell{.process = {Pid{901}, 9}, .tid = Pid{901}, .comm = "sh", .fd = Fd{19}, .close_on_exec = false};
  const std::string shared = text(with([&](ReportFinding& f) { f.sockets[0].record.holders.push_back(shell); }));
  EXPECT_EQ(row(shared, "held by"), "held by      orders (812) fd 19, 23, 24 … · also held by sh (901) fd 19 …");
  const std::string inherited = text(with([&](ReportFinding& f) {
    for (ReportSocket& s : f.sockets) s.record.holders = {shell};
  }));
  EXPECT_EQ(row(inherited, "held by"), "held by      sh (901) fd 19 … · not by the process that opened them");
  EXPECT_EQ(row(inherited, "remedy"),
            "remedy       sh (901) keeps them open without having opened them: open with SOCK_CLOEXEC, or close the "
            "descriptors it was handed");
}

TEST(TextWriter, SaysWhyNobodyHoldsASocket) {
  const auto held_by = [](const char* rule, bool unaccepted) {
    return row(text(with([&](ReportFinding& f) {
                 f.finding.evidence = {{rule, "", 1}};
                 for (ReportSocket& s : f.sockets) {
                   s.record.holders.clear();
                   s.record.unaccepted = unaccepted;
                 }
               })),
               "held by");
  };
  EXPECT_EQ(held_by("open-at-exit", false), "held by      nobody now: the process has ended");
  EXPECT_EQ(held_by("unaccepted", true), "held by      nobody yet: they wait in the listener's accept queue");
  EXPECT_EQ(held_by("growth", false), "held by      nobody: no descriptor refers to them");
}

TEST(TextWriter, ChoosesTheRemedyFromTheFacts) {
  const auto remedy = [](const char* rule, bool siblings) {
    return row(text(with([&](ReportFinding& f) {
                 f.finding.evidence = {{rule, "", 1}};
                 if (!siblings) f.closed_at.clear();
               })),
               "remedy");
  };
  EXPECT_EQ(
      remedy("close-wait", false),
      "remedy       the peer closed, recv returns 0 ever since and nobody calls close(): close the sockets opened "
      "in db::connect(Url const&) (src/db/pool.cc:88) once recv returns 0");
  EXPECT_EQ(remedy("growth", true),
            "remedy       siblings are closed in db::Pool::put (src/db/pool.cc:203): the path that skips it leaks");
  EXPECT_EQ(remedy("open-at-exit", true),
            "remedy       siblings are closed in db::Pool::put (src/db/pool.cc:203): the path that skips it leaks");
  EXPECT_EQ(
      remedy("open-at-exit", false),
      "remedy       nobody closed the sockets opened in db::connect(Url const&) (src/db/pool.cc:88): only the end "
      "of the process did");
  EXPECT_EQ(remedy("growth", false),
            "remedy       nobody ever closes the sockets opened in db::connect(Url const&) (src/db/pool.cc:88)");
}

TEST(TextWriter, DoesNotCallASuspectALeak) {
  Report report = sample::report();
  report.findings.push_back(report.findings[0]);
  report.findings[1].finding.verdict = Verdict::kSuspect;
  EXPECT_THAT(write_text(report, {}), HasSubstr("\n1 site, 37 leaked sockets · 1 suspect site · 11 902 created"));
  report.findings.erase(report.findings.begin());
  report.leaked = 0;
  EXPECT_THAT(write_text(report, {}),
              HasSubstr("\nno leak proven · 1 suspect site · 11 902 created, 11 850 closed, 52 open · data complete\n"));
}

TEST(TextWriter, ShowsTheTopFindingsAndSaysWhatItLeftOut) {
  Report report = sample::report();
  report.findings.resize(3, report.findings[0]);
  const std::string out = write_text(report, {.color = false, .verbose = false, .top = 1});
  EXPECT_THAT(out, HasSubstr("\n\n… 2 more sites not shown\n\n3 sites, 37 leaked sockets"));
}

TEST(TextWriter, ColoursOnlyWhenAskedTo) {
  EXPECT_THAT(text(sample::report()), Not(HasSubstr("\x1b")));
  Report report = sample::report();
  report.complete = false;
  std::string out = write_text(report, {.color = true, .verbose = false, .top = 0});
  EXPECT_THAT(out, StartsWith("\x1b[1;31mLEAK\x1b[0m  37 of"));
  EXPECT_THAT(out, HasSubstr("\n  \x1b[2mopened by\x1b[0m    orders"));
  EXPECT_THAT(out, HasSubstr("\x1b[33mdata INCOMPLETE\x1b[0m\n"));
  for (const std::string code : {"\x1b[1;31m", "\x1b[2m", "\x1b[33m", "\x1b[0m"}) {
    for (std::size_t at; (at = out.find(code)) != std::string::npos;) out.erase(at, code.size());
  }
  report.findings[0].finding.verdict = Verdict::kLeak;
  EXPECT_EQ(out, text(report));  // colours change no width
}

TEST(TextWriter, LetsNoProgramSteerTheTerminal) {
  for (const std::string& out : {text(sample::hostile_report()), verbose(sample::hostile_report())}) {
    std::string without_newlines = out;
    std::erase(without_newlines, '\n');
    EXPECT_EQ(escape_terminal(without_newlines), without_newlines);
    EXPECT_THAT(out, HasSubstr("\\x1b]0;owned\\x07\\x0a\\xc2\\x9b2J\\x9b\\xff\\xc0\\xaf\\xe2\\x80\\xae"));
  }
}

TEST(NamesHint, IsGivenWhereARuntimesCodeHasNoName) {
  Stack stack;
  Frame frame;
  frame.function = "main";
  stack.frames = {frame};
  EXPECT_EQ(names_hint(stack), "");
  frame.function.clear();
  frame.kind = FrameKind::kJava;
  stack.frames.push_back(frame);
  EXPECT_EQ(names_hint(stack), "") << "no flag would name it";
  stack.frames.back().kind = FrameKind::kNode;
  EXPECT_THAT(names_hint(stack), HasSubstr("--perf-basic-prof"));
  stack.frames.back().function = "dial";
  EXPECT_EQ(names_hint(stack), "");
}

}  // namespace
}  // namespace sockleak
