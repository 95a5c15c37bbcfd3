// Gates: what a receiver gets when its gate opens, closes, or changes its flow.
#include "test/allocations.h"
#include "test/flow_bed.h"

using namespace sluice;
using plane::FlowOptions;
using plane::FlowReceiverOptions;
using plane::GateChange;
using plane::Handle;
using test::FlowBed;
using test::Got;
using test::Peer;
using test::rtp_packet;

namespace {

/** Two talkers, each a flow of its own. */
struct Bed : FlowBed {
  explicit Bed(std::size_t history = 0) {
    FlowOptions options;
    options.history = history;
    for (std::size_t i = 0; i < 2; i++) {
      ports[i] = port();
      numbers[i] = last_port;
      flow_handles[i] = flow(ports[i], options);
    }
    out = port();
  }
  /** 20 ms of voice from a talker. */
  void talk(std::size_t who, int packets, bool marker = false) {
    for (int i = 0; i < packets; i++) {
      talkers[who].send(at(numbers[who]),
                        rtp_packet(sequence[who], timestamp[who], 100 + static_cast<std::uint32_t>(who), 160,
                                   marker && i == 0));
      sequence[who]++;
      timestamp[who] += 160;
    }
    until([&] { return flow_counters[who].packets_in == static_cast<std::uint64_t>(heard[who] + packets); });
    heard[who] += packets;
  }
  std::vector<Got> hear() {
    std::vector<Got> all;
    // On loopback what was sent is there.
    for (Got& got : terminal.take()) all.push_back(std::move(got));
    return all;
  }

  std::array<Peer, 2> talkers;
  std::array<Handle, 2> ports{};
  std::array<std::uint16_t, 2> numbers{};
  std::array<Handle, 2> flow_handles{};
  std::array<std::uint16_t, 2> sequence{65500, 20};
  std::array<std::uint32_t, 2> timestamp{0xffffff00, 777};
  std::array<int, 2> heard{};
  Handle out = 0;
  Peer terminal;
};

/** One stream without a hole: SSRC stays, sequence goes on by one, timestamps grow. */
void check_continuous(const std::vector<Got>& got, std::uint32_t ssrc) {
  for (std::size_t i = 0; i < got.size(); i++) {
    CHECK(got[i].rtp().ssrc == ssrc);
    if (i == 0) continue;
    CHECK(got[i].rtp().sequence == static_cast<std::uint16_t>(got[i - 1].rtp().sequence + 1));
    CHECK(static_cast<std::int32_t>(got[i].rtp().timestamp - got[i - 1].rtp().timestamp) > 0);
  }
}

}  // namespace

TEST_CASE("gate: closed lets nothing through; opened again, numbers go on as if nothing had been missed") {
  Bed bed;
  const Handle r = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address());
  bed.talk(0, 5);
  bed.gate(r, false);
  bed.talk(0, 7);
  bed.gate(r, false);
  bed.gate(r, true);
  bed.talk(0, 40);
  const auto got = bed.hear();
  REQUIRE(got.size() == 45);
  check_continuous(got, 100);
  CHECK(got[5].rtp().marker);
  CHECK_FALSE(got[6].rtp().marker);
  // The payload tells which it is: those of the closed time are missing.
  CHECK(got[5].bytes[codec::kRtpHeaderSize] == static_cast<std::uint8_t>(65500 + 12));
  CHECK(bed.flow_counters[0].switches == 1);
  CHECK(bed.flow_counters[0].receivers_open == 1);
}

TEST_CASE("gate: a receiver changes from one source to another and back, and hears one stream") {
  for (const bool own : {false, true}) {
    Bed bed;
    FlowReceiverOptions o;
    if (own) o.ssrc = 0xabc;
    if (own) o.payload_type = 0;
    const Handle r = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address(), o);
    for (int round = 0; round < 6; round++) {
      // Both talk all the time; of each the receiver gets its turn only.
      bed.talk(0, 3);
      bed.talk(1, 3);
      bed.gate(r, true, bed.flow_handles[round % 2 == 0 ? 1 : 0]);
    }
    const auto got = bed.hear();
    REQUIRE(got.size() == 18);
    check_continuous(got, own ? 0xabc : 100);
    for (std::size_t i = 0; i < got.size(); i++) {
      CHECK(got[i].rtp().payload_type == (own ? 0 : 8));
      CHECK(got[i].rtp().marker == (i > 0 && i % 3 == 0));
    }
    CHECK(bed.flows.receivers(bed.flow_handles[0], 0, 10).size() == 1);
    CHECK(bed.flows.receivers(bed.flow_handles[0], 0, 10)[0].switches == 6);
  }
}

TEST_CASE("gate: of several changes none is made when one cannot be") {
  Bed bed;
  const Handle a = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address());
  const Handle b = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address());
  const std::array<GateChange, 2> wrong{GateChange{a, false, 0, 0}, GateChange{b, true, 4711, 0}};
  const auto error = bed.flows.set_gates(wrong);
  REQUIRE(error);
  CHECK(std::string(error->code) == "HANDLE_UNKNOWN");
  CHECK(bed.flow_counters[0].receivers_open == 2);
  const std::array<GateChange, 2> right{GateChange{a, false, 0, 0},
                                        GateChange{b, true, bed.flow_handles[1], 0}};
  CHECK_FALSE(bed.flows.set_gates(right));
  bed.talk(0, 2);
  bed.talk(1, 3);
  CHECK(bed.hear().size() == 3);
}

TEST_CASE("gate: opened with a past, a receiver begins with what is stored, then goes on with what comes") {
  Bed bed(1 << 20);
  FlowReceiverOptions closed;
  closed.open = false;
  const Handle r = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address(), closed);
  bed.talk(0, 200);
  CHECK(bed.hear().empty());
  bed.gate(r, true, 0, 10 * kernel::kSecond);
  CHECK(bed.hear().size() == 200);
  bed.gate(r, true, bed.flow_handles[1]);
  bed.talk(1, 10);
  bed.gate(r, true, bed.flow_handles[0], 0);
  bed.talk(0, 10);
  const auto got = bed.hear();
  REQUIRE(got.size() == 20);
  check_continuous(got, 100);
  // An hour ago is as far as the store reaches; a moment ago is nothing.
  bed.gate(r, false);
  bed.gate(r, true, 0, 3600 * kernel::kSecond);
  CHECK(bed.hear().size() == 210);
}

TEST_CASE("gate: a store that has wrapped many times gives its newest packets, each once") {
  Bed bed(64 << 10);
  FlowReceiverOptions closed;
  closed.open = false;
  const Handle r = bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address(), closed);
  for (int i = 0; i < 100; i++) bed.talk(0, 150);
  bed.gate(r, true, 0, 3600 * kernel::kSecond);
  bed.talk(0, 1);
  const auto got = bed.hear();
  // The least store is of 1 MiB: 6096 packets of 172 bytes.
  CHECK(got.size() == (1U << 20) / 172 + 1);
  check_continuous(got, 100);
}

TEST_CASE(
    "gate: a source that begins anew is one stream for receivers with a header of their own, and as it is "
    "for others") {
  Bed bed;
  const Peer plain;
  FlowReceiverOptions o;
  o.ssrc = 7;
  bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address(), o);
  bed.receiver(bed.flow_handles[0], bed.out, plain.address());
  bed.talk(0, 5);
  bed.sequence[0] = 30000;
  bed.talk(0, 5);
  // In the middle of one batch, too.
  const std::uint16_t before = bed.sequence[0];
  std::vector<std::uint8_t> together;
  for (const std::uint16_t s :
       {before, static_cast<std::uint16_t>(before + 1), std::uint16_t{40000}, std::uint16_t{40001}}) {
    const auto one = rtp_packet(s, bed.timestamp[0] += 160, s < 40000 ? 100 : 200);
    together.insert(together.end(), one.begin(), one.end());
  }
  bed.talkers[0].send_segmented(bed.at(bed.numbers[0]), together, 172);
  bed.until([&] { return bed.flow_counters[0].packets_in == 14; });
  const auto got = bed.hear();
  REQUIRE(got.size() == 14);
  check_continuous(got, 7);
  const auto raw = plain.take();
  REQUIRE(raw.size() == 14);
  CHECK(raw[13].rtp().sequence == 40001);
  CHECK(raw[13].rtp().ssrc == 200);
}

TEST_CASE(
    "gate: what comes late from before a receiver's beginning is not sent to it: its number is another's") {
  Bed bed;
  FlowReceiverOptions o;
  o.ssrc = 7;
  const Handle r = bed.receiver(bed.flow_handles[1], bed.out, bed.terminal.address(), o);
  const auto send = [&](std::uint16_t s) {
    bed.talkers[1].send(bed.at(bed.numbers[1]), rtp_packet(s, s * 160U, 101));
    bed.heard[1]++;
    bed.until([&] { return bed.flow_counters[1].packets_in == static_cast<std::uint64_t>(bed.heard[1]); });
  };
  send(10);
  bed.gate(r, false);
  send(12);
  bed.gate(r, true);
  send(14);
  send(13);
  send(16);
  send(15);
  const auto got = bed.hear();
  REQUIRE(got.size() == 4);
  const auto first = got[0].rtp().sequence;
  CHECK(got[1].rtp().sequence == static_cast<std::uint16_t>(first + 1));
  CHECK(got[2].rtp().sequence == static_cast<std::uint16_t>(first + 3));
  CHECK(got[3].rtp().sequence == static_cast<std::uint16_t>(first + 2));
}

TEST_CASE(
    "gate: packets take nothing from the heap, straight or by the store, and no call but those of batches") {
  for (const std::size_t history : {std::size_t{0}, std::size_t{1} << 20}) {
    Bed bed(history);
    FlowReceiverOptions o;
    o.ssrc = 7;
    for (int i = 0; i < 10; i++)
      bed.receiver(bed.flow_handles[0], bed.out, bed.terminal.address(),
                   i % 2 == 0 ? o : FlowReceiverOptions{});
    bed.talk(0, 64);
    const std::uint64_t calls = bed.port_counters[2].send_calls + bed.port_counters[0].receive_calls;
    std::uint64_t taken = 0;
    const auto packet = rtp_packet(bed.sequence[0], 0, 100);
    for (int i = 0; i < 100; i++) {
      bed.talkers[0].send(bed.at(bed.numbers[0]), packet);
      const std::uint64_t before = test::allocations();
      bed.reactor.wake();
      bed.reactor.turn();
      bed.reactor.wake();
      bed.reactor.turn();
      taken += test::allocations() - before;
    }
    CHECK(taken == 0);
    CHECK(bed.flow_counters[0].packets_in == 164);
    CHECK(bed.flow_counters[0].packets_out == 1640);
    // One that receives, one that sends to all ten, for each wake-up.
    CHECK(bed.port_counters[2].send_calls + bed.port_counters[0].receive_calls - calls <= 202);
    bed.hear();
  }
}

TEST_CASE("gate: a source whose new beginning was shed is one stream all the same") {
  kernel::Reactor reactor;
  plane::MemoryBudget budget(1 << 20);
  plane::FlowBench bench(reactor, budget);
  plane::PortCounters port_counters{};
  plane::FlowCounters counters{};
  plane::PortOptions o;
  o.socket.socket.address = "127.0.0.1";
  auto port = plane::Port::open(reactor, bench.ports, o, port_counters);
  REQUIRE(port.ok());
  FlowOptions options;
  options.clock_rate = 8000;
  auto flow = plane::Flow::create(bench, options, counters);
  REQUIRE(flow.ok());
  const Peer sink;
  FlowReceiverOptions to;
  to.destination = sink.address();
  to.ssrc = 7;
  port.value()->hold();
  flow.value()->put(plane::FlowReceiver(1, *port.value(), to));
  const kernel::Nanos now = kernel::monotonic_now();
  const auto give = [&](std::uint16_t sequence, std::uint32_t ssrc, kernel::Nanos waited) {
    const auto bytes = rtp_packet(sequence, sequence * 160U, ssrc);
    const sockaddr_storage nobody{};
    flow.value()->on_datagram({bytes, now - waited, &nobody}, now);
    flow.value()->on_batch_end(now);
    bench.ports.sender.flush();
  };
  give(100, 1, 0);
  give(40000, 2, kernel::kSecond);
  give(40001, 2, 0);
  give(40002, 2, 0);
  const auto got = sink.take();
  REQUIRE(got.size() == 3);
  check_continuous(got, 7);
  CHECK(counters.shed_late == 1);
}
