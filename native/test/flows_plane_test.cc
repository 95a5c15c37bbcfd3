// Flows by the plane's verbs: on several loops, while packets come, and gates across them.
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>

#include "plane/plane.h"
#include "test/flow_bed.h"

using namespace sluice;
using plane::Handle;
using test::Peer;
using test::rtp_packet;

namespace {

struct Bed {
  explicit Bed(std::uint32_t loops) : plane(options(loops), [](plane::Event) {}) {
    REQUIRE_FALSE(plane.start());
  }
  ~Bed() { plane.close(); }
  static plane::PlaneOptions options(std::uint32_t loops) {
    plane::PlaneOptions o;
    o.memory = 64 << 20;
    o.objects.budget = 1 << 20;
    o.objects.largest = 1 << 16;
    o.loops = loops;
    return o;
  }
  Handle port(std::uint32_t loop) {
    plane::PortOptions o;
    o.socket.socket.address = "127.0.0.1";
    auto added = plane.add_port(o, loop, number);
    REQUIRE(added.ok());
    CHECK(added.value().loop == loop);
    return added.value().handle;
  }
  Handle flow(Handle port) {
    plane::AddFlow o;
    o.flow.name = "test";
    auto added = plane.add_flow(port, o);
    REQUIRE(added.ok());
    slots.push_back(added.value().slot);
    return added.value().handle;
  }
  Handle receiver(Handle flow, Handle port, const kernel::Address& to) {
    plane::FlowReceiverOptions o;
    o.port = port;
    o.destination = to;
    auto first = plane.add_flow_receivers(flow, {&o, 1});
    REQUIRE(first.ok());
    return first.value();
  }
  /** What the loop of the n-th flow came too late for: on a busy machine that happens, and is said. */
  std::uint64_t shed(std::size_t n) const {
    constexpr std::size_t kWord = offsetof(plane::FlowCounters, shed_late) / sizeof(std::uint64_t);
    return std::atomic_ref<std::uint64_t>(plane.counters().words()[slots[n] * plane::kSlotWords + kWord])
        .load(std::memory_order_relaxed);
  }
  plane::Plane plane;
  std::uint16_t number = 0;
  std::vector<std::uint32_t> slots;
};

}  // namespace

TEST_CASE(
    "flows of a plane: joins, leaves and gates while packets come, on two loops; who stays misses nothing") {
  Bed bed(2);
  std::array<Handle, 2> ports{};
  std::array<Handle, 2> flows{};
  std::array<kernel::Address, 2> inputs;
  std::array<Peer, 2> staying;
  std::array<Peer, 2> passing;
  std::vector<std::array<Handle, 2>> guests;
  for (std::uint32_t i = 0; i < 2; i++) {
    ports[i] = bed.port(i);
    inputs[i] = *kernel::Address::parse("127.0.0.1", bed.number);
    flows[i] = bed.flow(ports[i]);
    bed.receiver(flows[i], ports[i], staying[i].address());
  }
  for (int i = 0; i < 100; i++)
    guests.push_back({bed.receiver(flows[0], ports[0], passing[0].address()),
                      bed.receiver(flows[1], ports[1], passing[1].address())});
  constexpr std::uint16_t kPackets = 300;
  std::atomic<bool> done{false};
  std::array<std::vector<std::uint16_t>, 2> sequences;
  std::thread traffic([&] {
    const Peer source;
    std::uint16_t sent = 0;
    const auto settled = [&](std::size_t i) { return sequences[i].size() + bed.shed(i); };
    while (settled(0) < kPackets || settled(1) < kPackets) {
      for (std::size_t i = 0; i < 2; i++) {
        for (const auto& got : staying[i].take()) sequences[i].push_back(got.rtp().sequence);
        passing[i].take();
      }
      // A window, so that no socket runs over.
      if (sent == kPackets || sent - settled(0) >= 50 || sent - settled(1) >= 50) continue;
      for (const auto& input : inputs) source.send(input, rtp_packet(sent, sent * 160U, 1));
      sent++;
    }
    done = true;
  });
  for (std::size_t at = 0; !done; at++) {
    auto& guest = guests[at % guests.size()];
    for (std::size_t i = 0; i < 2; i++) {
      const std::array<plane::GateChange, 1> change{plane::GateChange{guest[i], at % 2 == 0, 0, 0}};
      CHECK_FALSE(bed.plane.set_gates(change));
      bed.plane.remove_flow_receivers({&guest[i], 1});
      guest[i] = bed.receiver(flows[i], ports[i], passing[i].address());
    }
    CHECK(bed.plane.flow_receivers(flows[0], 0, 1000).size() == 101);
  }
  traffic.join();
  for (std::size_t i = 0; i < 2; i++) {
    CHECK(sequences[i].size() + bed.shed(i) == kPackets);
    CHECK(std::adjacent_find(sequences[i].begin(), sequences[i].end(), std::greater_equal<>()) ==
          sequences[i].end());
  }
}

TEST_CASE("flows of a plane: what belongs together is on one loop, and whoever asks otherwise is told") {
  Bed bed(2);
  const Peer sink;
  const Handle here = bed.port(0);
  const Handle there = bed.port(1);
  const Handle flow = bed.flow(here);
  const Handle other = bed.flow(there);
  plane::FlowReceiverOptions o;
  o.port = there;
  o.destination = sink.address();
  CHECK(std::string(bed.plane.add_flow_receivers(flow, {&o, 1}).error().code) == "LOOP_DIFFERS");
  const Handle receiver = bed.receiver(flow, here, sink.address());
  const std::array<plane::GateChange, 1> change{plane::GateChange{receiver, true, other, 0}};
  CHECK(std::string(bed.plane.set_gates(change)->code) == "LOOP_DIFFERS");
  std::uint16_t number = 0;
  CHECK(std::string(bed.plane.add_port({}, 2, number).error().code) == "LOOP_UNKNOWN");
  CHECK(std::string(bed.plane.remove_port(here)->code) == "FLOWS_ATTACHED");
  CHECK(bed.plane.remove(flow));
  CHECK_FALSE(bed.plane.remove(flow));
  CHECK(bed.plane.flow_receivers(flow, 0, 10).empty());
  const std::array<plane::GateChange, 1> gone{plane::GateChange{receiver, true, 0, 0}};
  CHECK(std::string(bed.plane.set_gates(gone)->code) == "HANDLE_UNKNOWN");
  CHECK_FALSE(bed.plane.remove_port(here));
}

TEST_CASE("flows of a plane: one that listens to a stream goes with it") {
  Bed bed(2);
  const Peer sink;
  plane::StreamOptions s;
  s.name = "news/high";
  s.ring_bytes = 1 << 20;
  s.loop = 1;
  const Handle stream = bed.plane.add_stream(s).value().handle;
  const Handle port = bed.port(1);
  const Handle flow = bed.flow(stream);
  bed.receiver(flow, port, sink.address());
  CHECK(std::string(bed.plane.remove_port(port)->code) == "FLOWS_ATTACHED");
  CHECK(bed.plane.remove(stream));
  CHECK(bed.plane.flow_receivers(flow, 0, 10).empty());
  CHECK_FALSE(bed.plane.remove_port(port));
}
