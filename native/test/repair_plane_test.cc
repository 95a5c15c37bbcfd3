// Parity and retransmission end to end, and the budget of who asks.
#include "codec/nack.h"
#include "codec/rtcp_writer.h"
#include "test/allocations.h"
#include "test/repair_scene.h"

using namespace sluice;
using test::Scene;
using test::Socket;

TEST_CASE("repair over sockets: parity of rows and columns") {
  plane::ParitySenderOptions parity;
  parity.parity = repair::ParityOptions{5, 5, true};
  Scene scene(parity, false, [](std::uint16_t step, int n) { return step == 0 && n % 17 == 3; });
  CHECK(scene.play(2000));
  CHECK(scene.received.missing > 100);
  // Parity may be there before a packet that it protects: that is repaired, and was never missing.
  CHECK(scene.received.by_parity >= scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
  const test::Damage damage = test::damage_of(scene.sink.bytes);
  CHECK(damage.gaps == 0);
  CHECK(damage.broken == 0);
}

TEST_CASE("repair over sockets: blocks, some of whose repair packets are lost, too") {
  plane::ParitySenderOptions parity;
  parity.block.emplace();
  parity.block->source = 20;
  parity.block->repair = 5;
  Scene scene(parity, false, [](std::uint16_t step, int n) {
    return step == 0 ? n % 40 >= 20 && n % 40 < 24 : n % 10 == 0;
  });
  CHECK(scene.play(2000));
  CHECK(scene.received.missing > 100);
  CHECK(scene.received.by_block == scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
  CHECK(test::damage_of(scene.sink.bytes).gaps == 0);
}

TEST_CASE("repair over sockets: what is missing is asked for, and answered from the ring") {
  Scene scene({}, true, [](std::uint16_t, int n) { return n % 10 == 3 || (n > 500 && n < 560); });
  CHECK(scene.play(2000));
  CHECK(scene.received.missing > 200);
  CHECK(scene.received.by_retransmission == scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
  CHECK(scene.sent.resend_gone == 0);
  CHECK(scene.sent.feedback_malformed == 0);
  CHECK(test::damage_of(scene.sink.bytes).gaps == 0);
}

TEST_CASE("retransmission: each receiver has a budget, and takes nothing from the heap") {
  Scene scene(
      {}, true, [](std::uint16_t, int) { return false; }, 100'000);
  REQUIRE(scene.play(500));
  Socket asking(0);
  std::array<std::uint8_t, 128> bytes{};
  std::array<std::uint8_t, 64> pairs{};
  const auto newest = static_cast<std::uint16_t>(scene.bed.stream->ring().released_sequence() - 1);
  codec::NackWriter numbers(pairs);
  for (int i = 100; i > 0; i--) numbers.add(static_cast<std::uint16_t>(newest - i));
  codec::RtcpWriter writer(bytes);
  REQUIRE(writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack, 7,
                          scene.bed.stream->ssrc(), numbers.written()));
  const auto target = static_cast<std::uint16_t>(scene.path_port + 8);
  const std::uint64_t before = scene.sent.nacks;
  const auto ask = [&](std::uint64_t times) {
    asking.send(writer.written(), target);
    const plane::Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (scene.sent.nacks < before + times && kernel::monotonic_now() < end) scene.bed.reactor.turn();
  };
  ask(1);
  CHECK(scene.sent.resent > 0);
  const std::uint64_t taken = test::allocations();
  for (std::uint64_t i = 2; i < 400; i++) ask(i);
  CHECK(test::allocations() == taken);
  CHECK(scene.sent.nacks == before + 399);
  CHECK(scene.sent.resend_shed > 0);
  CHECK(scene.sent.nacked == scene.sent.resent + scene.sent.resend_gone + scene.sent.resend_shed);
}
