#include "unit/report/sample_report.hpp"

namespace sockleak::sample {

using namespace std::chrono_literals;

Endpoint inet(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port) {
  Endpoint endpoint{.family = Family::kInet, .address = {}, .port = port};
  endpoint.address[0] = a;
  endpoint.address[1] = b;
  endpoint.address[2] = c;
  endpoint.address[3] = d;
  return endpoint;
}

Frame frame(std::string function, std::string file, std::uint32_t line) {
  Frame out;
  out.function = std::move(function);
  out.file = std::move(file);
  out.line = line;
  out.module = "/srv/orders";
  out.build_id = "c0ffee";
  out.offset = 0x1000 + line;
  return out;
}

Frame bare_frame(std::string module, std::uint64_t offset, std::string function) {
  Frame out;
  out.function = std::move(function);
  out.module = std::move(module);
  out.offset = offset;
  return out;
}

ReportSocket socket(std::uint64_t cookie, std::int32_t fd) {
  ReportSocket out;
  out.record.id = SocketId{cookie};
  out.record.origin = Origin::kConnect;
  out.record.state = TcpState::kCloseWait;
  out.record.addresses = {inet(10, 0, 0, 1, 40000), inet(10, 0, 0, 9, 5432), Protocol::kTcp};
  out.record.netns = NetnsId{4026531840};
  out.record.inode = 90000 + cookie;
  out.record.rx_bytes = 1;
  out.record.tx_bytes = 1234;
  out.record.holders = {{.process = {Pid{812}, 5}, .tid = Pid{812}, .comm = "orders", .fd = Fd{fd}}};
  out.age_s = 48.00049;
  return out;
}

ReportFinding finding() {
  ReportFinding out;
  out.site = "0123456789abcdef";
  out.finding.site = {StackId{1}, Origin::kConnect, Protocol::kTcp};
  out.finding.verdict = Verdict::kLeak;
  out.finding.confidence = 0.98;
  out.finding.created = 4849;
  out.finding.closed = 4812;
  out.finding.leaked = 37;
  out.finding.leaked_per_minute = 12.2;
  out.finding.evidence = {{"close-wait", "35 sockets ≥ 10 s, oldest 48 s", 0.95},
                          {"growth", "rose in 6 windows of 5 s", 0.7}};
  out.finding.median_lifetime = 41ms;
  out.finding.longest_lifetime = 2100ms;
  out.states = {{"CLOSE_WAIT", 35}, {"ESTABLISHED", 2}};
  out.peers = {{inet(10, 0, 0, 9, 5432), 37}};
  out.creators = {{812, 815, "orders", "worker-3", "/srv/orders", 37}};
  Frame inlined = frame("OrderService::fetch", "src/order.cc", 131);
  inlined.inlined = true;
  out.created_at.frames = {bare_frame("/lib/x86_64-linux-gnu/libc.so.6", 0x10e3f7, "connect"),
                           frame("db::connect(Url const&)", "src/db/pool.cc", 88),
                           inlined,
                           frame("serve", "src/main.cc", 20),
                           frame("main", "src/main.cc", 44),
                           bare_frame("/lib/x86_64-linux-gnu/libc.so.6", 0x271ca, "__libc_start_call_main"),
                           bare_frame("/lib/x86_64-linux-gnu/libc.so.6", 0x27285, "__libc_start_main@@GLIBC_2.34"),
                           bare_frame("/srv/orders", 0x10a1, "_start")};
  out.culprit = 1;
  Stack close;
  close.frames = {bare_frame("/lib/x86_64-linux-gnu/libc.so.6", 0x10aa00, "close"),
                  frame("db::Pool::put", "src/db/pool.cc", 203)};
  out.closed_at = {{4812, "close", close, 1}};
  out.sockets = {socket(1, 19), socket(2, 23), socket(3, 24)};
  return out;
}

Report clean_report() {
  Report out;
  out.tool_version = "0.1.0";
  out.host = {"6.18.0", "x86_64", "11111111-2222-3333-4444-555555555555"};
  out.target = {.kind = "pid", .pids = {812}, .command = {}, .exit_status = {}};
  out.window = {"2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z", 60.0004};
  out.hooks = {{"create", "cgroup/sock_create"}, {"state", "tp_btf/inet_sock_set_state"}};
  out.created = 11902;
  out.closed = 11850;
  out.open = 52;
  return out;
}

Report report() {
  Report out = clean_report();
  out.leaked = 37;
  out.findings = {finding()};
  return out;
}

Report ownerless_report() {
  Report out = report();
  ReportSocket waiting = socket(9, -1);
  waiting.record.holders = {{.process = {Pid{812}, 5}, .tid = Pid{812}, .comm = "orders", .fd = Fd{3},
                             .via = Via::kRingSlot, .handed_over = HandOver::kFork}};
  ReportAction action;
  action.cookie = 9;
  action.protocol = "tcp";
  action.state = "CLOSE_WAIT";
  action.cause = "held";
  action.holders = {{901, "sh", 3}};
  action.result = "done";
  out.actions = ReportActions{false, {action}};
  out.ownerless = {{Cause::kRingSlot, 2, {{waiting, "slot 3 of an io_uring of orders (812)"}}}};
  out.limits = {{812, "orders", 1000, 1024}};
  return out;
}

Report hostile_report() {
  const std::string attack =
      "\x1b]0;owned\x07\n\xc2\x9b"
      "2J\x9b\xff\xc0\xaf\u202e\"\\</script>";
  Report out = ownerless_report();
  out.host.kernel = attack;
  out.target = {.kind = "command", .pids = {1}, .command = {attack, attack}, .exit_status = 1};
  out.hooks = {{attack, attack}};
  ReportFinding& bad = out.findings[0];
  bad.site = "0123456789abcdef";
  bad.finding.evidence = {{attack, attack, 0.5}};
  bad.creators = {{812, 815, attack, attack + "2", attack, 1}, {813, 813, attack, "", attack, 1}};
  for (Stack* stack : {&bad.created_at, &bad.closed_at[0].stack}) {
    for (Frame& f : stack->frames) f = {attack, attack, 7, 0, attack, attack, 9, true, FrameKind::kNative};
    stack->frames.push_back(bare_frame(attack, 9));
    stack->truncated = true;
    stack->why = attack;
  }
  bad.listener_created_at = bad.created_at;
  bad.goroutine_created_at = bad.created_at;
  bad.goroutine_ancestors = {{7, true, bad.created_at, 0}};
  bad.caller = 0;
  bad.ancestors_why = attack;
  for (ReportSocket& s : bad.sockets) s.record.holders[0].comm = attack;
  out.actions->sockets[0].holders[0].comm = attack;
  out.actions->sockets[0].result_why = attack;
  out.ownerless[0].sockets[0].evidence = attack;
  out.ownerless[0].sockets[0].socket.record.holders[0].comm = attack;
  out.limits[0].comm = attack;
  return out;
}

}  // namespace sockleak::sample
