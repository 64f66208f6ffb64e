// decode(): every record type field by field, and bytes that no kernel sends.
#include "event/decode.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "support/event_builder.hpp"

namespace sockleak {
namespace {

template <typename Wire>
std::vector<std::byte> bytes_of(const Wire& wire) {
  std::vector<std::byte> bytes(sizeof(wire));
  std::memcpy(bytes.data(), &wire, sizeof(wire));
  return bytes;
}

template <typename Wire>
Wire wire_of(std::uint16_t type) {
  Wire wire{};
  wire.header.size = sizeof(Wire);
  wire.header.type = type;
  wire.header.ktime_ns = 111;
  wire.header.tgid = 222;
  wire.header.tid = 333;
  wire.header.start_ns = 444;
  return wire;
}

sl_tuple inet_tuple() {
  sl_tuple tuple{};
  tuple.local[0] = 127;
  tuple.local[3] = 1;
  tuple.local[4] = 0xFF;  // rubbish behind the IPv4 address
  tuple.remote[0] = 10;
  tuple.remote[3] = 9;
  tuple.local_port = 40000;
  tuple.remote_port = 5432;
  tuple.family = 2;
  tuple.type = 1;
  tuple.protocol = 6;
  return tuple;
}

template <typename Expected, typename Wire>
Expected decoded(const Wire& wire) {
  const Decoded result = decode(bytes_of(wire));
  const Event* event = std::get_if<Event>(&result);
  if (event == nullptr || !std::holds_alternative<Expected>(*event)) {
    ADD_FAILURE() << "decoded to something else";
    return {};
  }
  return std::get<Expected>(*event);
}

DecodeDefect defect_of(std::span<const std::byte> bytes) {
  const Decoded result = decode(bytes);
  EXPECT_TRUE(std::holds_alternative<DecodeDefect>(result));
  return std::holds_alternative<DecodeDefect>(result) ? std::get<DecodeDefect>(result) : DecodeDefect{99};
}

void expect_task(const Task& task) {
  EXPECT_EQ(task.process, (ProcessId{Pid{222}, 444}));
  EXPECT_EQ(task.tid, Pid{333});
}

void expect_inet(const Addresses& addresses) {
  EXPECT_EQ(to_string(addresses.local), "127.0.0.1:40000");
  EXPECT_EQ(to_string(addresses.remote), "10.0.0.9:5432");
  EXPECT_EQ(addresses.local.address[4], 0);
  EXPECT_EQ(addresses.protocol, Protocol::kTcp);
}

TEST(Decode, SocketCreatedHasEveryField) {
  auto wire = wire_of<sl_socket_created>(SL_SOCKET_CREATED);
  wire.cookie = 7;
  wire.stack = 8;
  wire.netns = 9;
  wire.stack_end = SL_WALK_DEPTH;
  wire.tuple = inet_tuple();
  std::strcpy(wire.comm, "worker-3");
  const auto event = decoded<SocketCreated>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  expect_task(event.task);
  EXPECT_EQ(event.comm, "worker-3");
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.stack, StackHash{8});
  EXPECT_EQ(event.netns, NetnsId{9});
  EXPECT_EQ(event.stack_end, WalkEnd::kDepth);
  expect_inet(event.addresses);
}

TEST(Decode, SocketAcceptedHasEveryField) {
  auto wire = wire_of<sl_socket_accepted>(SL_SOCKET_ACCEPTED);
  wire.cookie = 7;
  wire.listener_cookie = 6;
  wire.stack = 8;
  wire.netns = 9;
  wire.stack_end = SL_WALK_COMPLETE;
  wire.fd = -3;
  wire.tuple = inet_tuple();
  std::strcpy(wire.comm, "acceptor");
  const auto event = decoded<SocketAccepted>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  expect_task(event.task);
  EXPECT_EQ(event.comm, "acceptor");
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.listener, SocketId{6});
  EXPECT_EQ(event.stack, StackHash{8});
  EXPECT_EQ(event.stack_end, WalkEnd::kComplete);
  EXPECT_EQ(event.fd, Fd{-3});
  EXPECT_EQ(event.netns, NetnsId{9});
  expect_inet(event.addresses);
}

TEST(Decode, StateChangedHasEveryField) {
  auto wire = wire_of<sl_state_changed>(SL_STATE_CHANGED);
  wire.cookie = 7;
  wire.listener_cookie = 6;
  wire.netns = 9;
  wire.old_state = 3;
  wire.new_state = 1;
  wire.tuple = inet_tuple();
  const auto event = decoded<StateChanged>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.listener, SocketId{6});
  EXPECT_EQ(event.from, TcpState::kSynRecv);
  EXPECT_EQ(event.to, TcpState::kEstablished);
  EXPECT_EQ(event.netns, NetnsId{9});
  expect_inet(event.addresses);
}

TEST(Decode, SocketClosedHasEveryField) {
  auto wire = wire_of<sl_socket_closed>(SL_SOCKET_CLOSED);
  wire.cookie = 7;
  wire.stack = 8;
  wire.stack_end = SL_WALK_NO_USER;
  wire.how = SL_CLOSE_EXIT;
  wire.state = 8;
  std::strcpy(wire.comm, "closer");
  const auto event = decoded<SocketClosed>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  expect_task(event.task);
  EXPECT_EQ(event.comm, "closer");
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.stack, StackHash{8});
  EXPECT_EQ(event.stack_end, WalkEnd::kNoUserStack);
  EXPECT_EQ(event.how, CloseHow::kExit);
  EXPECT_EQ(event.state, TcpState::kCloseWait);
}

TEST(Decode, SocketGoroutine) {
  auto wire = wire_of<sl_socket_goroutine>(SL_SOCKET_GOROUTINE);
  wire.cookie = 5;
  wire.goroutine = 77;
  wire.parent = 6;
  wire.created_at = 9;
  const auto event = decoded<SocketGoroutine>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  EXPECT_EQ(event.socket, SocketId{5});
  EXPECT_EQ(event.goroutine, 77U);
  EXPECT_EQ(event.parent, 6U);
  EXPECT_EQ(event.created_at, StackHash{9});
}

TEST(Decode, SocketWaited) {
  auto wire = wire_of<sl_socket_waited>(SL_SOCKET_WAITED);
  wire.cookie = 5;
  wire.stack = 9;
  EXPECT_EQ(decoded<SocketWaited>(wire).socket, SocketId{5});
  EXPECT_EQ(decoded<SocketWaited>(wire).stack, StackHash{9});
}

TEST(Decode, GoroutineAncestorsNeverMoreThanThereIsRoomFor) {
  auto wire = wire_of<sl_goroutine_ancestors>(SL_GOROUTINE_ANCESTORS);
  wire.cookie = 5;
  wire.exact = 1;
  wire.count = 2;
  wire.ancestors[0] = {6, 60};
  wire.ancestors[1] = {1, 0};
  auto event = decoded<GoroutineAncestors>(wire);
  EXPECT_EQ(event.socket, SocketId{5});
  EXPECT_TRUE(event.exact);
  ASSERT_EQ(event.ancestors.size(), 2U);
  EXPECT_EQ(event.ancestors[0].goroutine, 6U);
  EXPECT_EQ(event.ancestors[0].stack, StackHash{60});
  EXPECT_EQ(event.ancestors[1].goroutine, 1U);
  wire.count = 255;
  wire.exact = 0;
  event = decoded<GoroutineAncestors>(wire);
  EXPECT_FALSE(event.exact);
  EXPECT_EQ(event.ancestors.size(), std::size_t{SL_MAX_ANCESTORS});
}

TEST(Decode, UnixSocketsHaveATypeAndNames) {
  auto created = wire_of<sl_socket_created>(SL_SOCKET_CREATED);
  created.tuple.family = 1;
  created.tuple.type = 5;
  created.header.flags = SL_CREATED_IN_PAIR;
  EXPECT_TRUE(decoded<SocketCreated>(created).in_pair);
  EXPECT_EQ(decoded<SocketCreated>(created).addresses.protocol, Protocol::kUnix);
  EXPECT_EQ(decoded<SocketCreated>(created).addresses.type, SocketType::kSeqpacket);
  created.tuple.type = 200;
  EXPECT_EQ(decoded<SocketCreated>(created).addresses.type, SocketType::kUnknown);

  auto named = wire_of<sl_socket_named>(SL_SOCKET_NAMED);
  named.cookie = 5;
  named.peer = 6;
  std::fill(std::begin(named.path), std::end(named.path), 'x');
  named.length = 255;
  named.peer_path[1] = 'b';
  named.peer_length = 2;
  const auto event = decoded<SocketNamed>(named);
  EXPECT_EQ(event.socket, SocketId{5});
  EXPECT_EQ(event.peer, SocketId{6});
  EXPECT_EQ(event.path, std::string(SL_UNIX_PATH, 'x'));
  EXPECT_EQ(event.peer_path, "@b");
}

TEST(Decode, SocketDestroyedHasEveryField) {
  auto wire = wire_of<sl_socket_destroyed>(SL_SOCKET_DESTROYED);
  wire.cookie = 7;
  const auto event = decoded<SocketDestroyed>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  EXPECT_EQ(event.socket, SocketId{7});
}

TEST(Decode, ProcessEventsHaveEveryField) {
  auto fork = wire_of<sl_process_forked>(SL_PROCESS_FORKED);
  fork.child_start_ns = 555;
  fork.child_tgid = 666;
  std::strcpy(fork.comm, "parent");
  const auto forked = decoded<ProcessForked>(fork);
  EXPECT_EQ(forked.time, KernelTime{111});
  expect_task(forked.parent);
  EXPECT_EQ(forked.child, (ProcessId{Pid{666}, 555}));
  EXPECT_EQ(forked.comm, "parent");

  auto exec = wire_of<sl_process_execed>(SL_PROCESS_EXECED);
  std::strcpy(exec.comm, "image");
  const auto execed = decoded<ProcessExeced>(exec);
  EXPECT_EQ(execed.time, KernelTime{111});
  expect_task(execed.task);
  EXPECT_EQ(execed.comm, "image");

  auto exit = wire_of<sl_process_exited>(SL_PROCESS_EXITED);
  exit.exit_code = 256;
  const auto exited = decoded<ProcessExited>(exit);
  EXPECT_EQ(exited.time, KernelTime{111});
  expect_task(exited.task);
  EXPECT_EQ(exited.wait_status, 256);

  const auto freed = decoded<ProcessFreed>(wire_of<sl_process_freed>(SL_PROCESS_FREED));
  EXPECT_EQ(freed.time, KernelTime{111});
  EXPECT_EQ(freed.process, (ProcessId{Pid{222}, 444}));
}

TEST(Decode, SnapshotSocketHasEveryField) {
  auto wire = wire_of<sl_snapshot_socket>(SL_SNAPSHOT_SOCKET);
  wire.cookie = 7;
  wire.inode = 10;
  wire.rx_bytes = 11;
  wire.tx_bytes = 12;
  wire.netns = 9;
  wire.state = 8;
  wire.dead = 1;
  wire.tuple = inet_tuple();
  const auto event = decoded<SnapshotSocket>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.inode, 10U);
  EXPECT_EQ(event.rx_bytes, 11U);
  EXPECT_EQ(event.tx_bytes, 12U);
  EXPECT_EQ(event.netns, NetnsId{9});
  EXPECT_EQ(event.state, TcpState::kCloseWait);
  EXPECT_TRUE(event.dead);
  expect_inet(event.addresses);
}

TEST(Decode, SnapshotHolderHasEveryField) {
  auto wire = wire_of<sl_snapshot_holder>(SL_SNAPSHOT_HOLDER);
  wire.cookie = 7;
  wire.inode = 10;
  wire.rx_bytes = 11;
  wire.tx_bytes = 12;
  wire.listener_cookie = 6;
  wire.netns = 9;
  wire.fd = 19;
  wire.state = 1;
  wire.close_on_exec = 1;
  wire.tuple = inet_tuple();
  std::strcpy(wire.comm, "holder");
  const auto event = decoded<SnapshotHolder>(wire);
  EXPECT_EQ(event.time, KernelTime{111});
  expect_task(event.task);
  EXPECT_EQ(event.comm, "holder");
  EXPECT_EQ(event.fd, Fd{19});
  EXPECT_TRUE(event.close_on_exec);
  EXPECT_EQ(event.socket, SocketId{7});
  EXPECT_EQ(event.listener, SocketId{6});
  EXPECT_EQ(event.inode, 10U);
  EXPECT_EQ(event.state, TcpState::kEstablished);
  EXPECT_EQ(event.rx_bytes, 11U);
  EXPECT_EQ(event.tx_bytes, 12U);
  EXPECT_EQ(event.netns, NetnsId{9});
  expect_inet(event.addresses);
}

TEST(Decode, MarksOfUserSpaceHaveEveryField) {
  EXPECT_EQ(decoded<SessionBegan>(wire_of<sl_session_mark>(SL_SESSION_BEGIN)).time, KernelTime{111});
  auto ended = wire_of<sl_session_mark>(SL_COMMAND_ENDED);
  ended.status = 9;
  EXPECT_EQ(decoded<CommandEnded>(ended).wait_status, 9);
  EXPECT_EQ(decoded<CommandEnded>(ended).time, KernelTime{111});
  expect_task(decoded<CommandEnded>(ended).task);
  EXPECT_EQ(decoded<SnapshotBegan>(wire_of<sl_snapshot_mark>(SL_SNAPSHOT_BEGIN)).time, KernelTime{111});
  auto end = wire_of<sl_snapshot_mark>(SL_SNAPSHOT_END);
  EXPECT_FALSE(decoded<SnapshotEnded>(end).complete);
  end.complete = 1;
  EXPECT_TRUE(decoded<SnapshotEnded>(end).complete);
  EXPECT_EQ(decoded<SnapshotEnded>(end).time, KernelTime{111});
}

TEST(Decode, CommNeedNotEndWithANul) {
  auto wire = wire_of<sl_socket_created>(SL_SOCKET_CREATED);
  std::memcpy(wire.comm, "exactly-16-bytes", SL_COMM_LEN);
  EXPECT_EQ(decoded<SocketCreated>(wire).comm, "exactly-16-bytes");
}

TEST(Decode, ProtocolsAreToldByFamilyTypeAndNumber) {
  const auto protocol = [](std::uint16_t family, std::uint8_t type, std::uint8_t number) {
    auto wire = wire_of<sl_socket_created>(SL_SOCKET_CREATED);
    wire.tuple.family = family;
    wire.tuple.type = type;
    wire.tuple.protocol = number;
    return decoded<SocketCreated>(wire).addresses.protocol;
  };
  EXPECT_EQ(protocol(2, 1, 6), Protocol::kTcp);
  EXPECT_EQ(protocol(10, 2, 17), Protocol::kUdp);
  EXPECT_EQ(protocol(2, 1, 132), Protocol::kSctp);
  EXPECT_EQ(protocol(2, 1, 254), Protocol::kMptcp);
  EXPECT_EQ(protocol(2, 2, 1), Protocol::kIcmp);
  EXPECT_EQ(protocol(10, 3, 58), Protocol::kIcmp);
  EXPECT_EQ(protocol(2, 3, 255), Protocol::kRaw);
  EXPECT_EQ(protocol(2, 3, 89), Protocol::kRaw);
  EXPECT_EQ(protocol(2, 3, 6), Protocol::kRaw);
  EXPECT_EQ(protocol(2, 2, 136), Protocol::kNone);
  EXPECT_EQ(protocol(1, 1, 1), Protocol::kUnix);
  EXPECT_EQ(protocol(17, 3, 1), Protocol::kNone);
}

TEST(Decode, FamiliesWithoutInternetAddressesHaveNone) {
  auto wire = wire_of<sl_state_changed>(SL_STATE_CHANGED);
  wire.tuple = inet_tuple();
  wire.tuple.family = 1;
  EXPECT_EQ(decoded<StateChanged>(wire).addresses.local.family, Family::kUnix);
  EXPECT_EQ(to_string(decoded<StateChanged>(wire).addresses.local), "");
  wire.tuple.family = 40;
  EXPECT_EQ(decoded<StateChanged>(wire).addresses.local.family, Family::kUnspecified);
  EXPECT_EQ(decoded<StateChanged>(wire).addresses.local.port, 0);
}

TEST(Decode, UnknownNumbersBecomeTheCautiousValue) {
  auto wire = wire_of<sl_socket_closed>(SL_SOCKET_CLOSED);
  wire.how = 77;
  wire.state = 200;
  wire.stack_end = 4000;
  wire.header.ktime_ns = std::numeric_limits<std::uint64_t>::max();
  const auto event = decoded<SocketClosed>(wire);
  EXPECT_EQ(event.how, CloseHow::kAsync);
  EXPECT_EQ(event.state, TcpState::kUnknown);
  EXPECT_EQ(event.stack_end, WalkEnd::kNone);
  EXPECT_EQ(event.time.ns, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

TEST(Decode, ShortRecordsAreToldApartFromWrongSizes) {
  auto wire = wire_of<sl_socket_closed>(SL_SOCKET_CLOSED);
  const auto whole = bytes_of(wire);
  EXPECT_EQ(defect_of({}), DecodeDefect::kTooShort);
  EXPECT_EQ(defect_of(std::span(whole).first(31)), DecodeDefect::kTooShort);
  EXPECT_EQ(defect_of(std::span(whole).first(40)), DecodeDefect::kWrongSize);  // the header says 152
  wire.header.size = 64;
  EXPECT_EQ(defect_of(std::span<const std::byte>(bytes_of(wire)).first(64)), DecodeDefect::kTooShort);
}

TEST(Decode, ALongerRecordOfAKnownTypeIsANewerOne) {
  auto wire = wire_of<sl_socket_closed>(SL_SOCKET_CLOSED);
  wire.cookie = 7;
  wire.header.size = sizeof(wire) + 8;
  auto bytes = bytes_of(wire);
  bytes.resize(sizeof(wire) + 8);
  const Decoded result = decode(bytes);
  ASSERT_TRUE(std::holds_alternative<Event>(result));
  EXPECT_EQ(std::get<SocketClosed>(std::get<Event>(result)).socket, SocketId{7});
}

TEST(Decode, StackRecordsAreNoEvents) {
  EXPECT_EQ(defect_of(bytes_of(wire_of<sl_stack_seen>(SL_STACK_SEEN))), DecodeDefect::kUnknownType);
  EXPECT_EQ(defect_of(bytes_of(wire_of<sl_stack_missed>(SL_STACK_MISSED))), DecodeDefect::kUnknownType);
  EXPECT_EQ(defect_of(bytes_of(wire_of<sl_process_freed>(4711))), DecodeDefect::kUnknownType);
}

TEST(Decode, RecordTypeNeedsAHeader) {
  const auto bytes = bytes_of(wire_of<sl_process_freed>(SL_PROCESS_FREED));
  EXPECT_EQ(record_type(bytes), SL_PROCESS_FREED);
  EXPECT_EQ(record_type(std::span(bytes).first(31)), std::nullopt);
}

TEST(Decode, MutatedRecordsNeverCrash) {
  const test::Actor app = test::process(812);
  test::EventBuilder story;
  story.session_begins().creates(app, 1).connects(1).listens(2).arrives(3, 2).accepts(app, 3, 2).peer_closes(3);
  story.snapshot().forks(app, test::process(813)).execs(app).closes(app, 1).destroyed(2).exits(app).freed(app);
  story.command_ended(app, 0);
  std::mt19937_64 random(20240607);
  std::size_t events = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = story.items()[random() % story.items().size()].record;
    const auto flips = random() % 6;
    for (std::uint64_t i = 0; i < flips; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 40));
    if (bytes.size() >= 4 && random() % 2 == 0) {  // let most of them past the size check
      const auto size = static_cast<std::uint32_t>(bytes.size());
      std::memcpy(bytes.data(), &size, sizeof(size));
    }
    events += std::holds_alternative<Event>(decode(bytes)) ? 1 : 0;
  }
  EXPECT_GT(events, 5000U);
}

}  // namespace
}  // namespace sockleak
