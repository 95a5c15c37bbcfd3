// Packets that many ask for, at the sockets: the server sends them once to the group, and an input takes them
// from there.
#include "codec/nack.h"
#include "codec/retransmission.h"
#include "codec/rtcp_writer.h"
#include "test/allocations.h"
#include "test/repair_scene.h"

using namespace sluice;
using test::Scene;
using test::Socket;

namespace {

constexpr std::uint64_t kRate = 100'000'000;

bool none(std::uint16_t, int) {
  return false;
}

/** Receivers with addresses of their own, which ask for the packets that departed last. */
class Askers {
 public:
  Askers(Scene& scene, int count) : scene_(scene) {
    for (int i = 0; i < count; i++)
      sockets_.push_back(std::make_unique<Socket>(0, ("127.0.1." + std::to_string(i + 1)).c_str()));
  }

  /** One of them asks for the packet `back` before the newest, and is heard. */
  void ask(std::size_t who, int back = 1) {
    const auto number = static_cast<std::uint16_t>(scene_.bed.stream->ring().released_sequence() - back);
    std::array<std::uint8_t, 64> bytes{};
    std::array<std::uint8_t, 4> pair{};
    codec::NackWriter numbers(pair);
    numbers.add(number);
    codec::RtcpWriter writer(bytes);
    REQUIRE(writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack, 7,
                            scene_.bed.stream->ssrc(), numbers.written()));
    const std::uint64_t before = scene_.sent.feedback_in;
    sockets_[who]->send(writer.written(), scene_.server_port());
    const plane::Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (scene_.sent.feedback_in == before && kernel::monotonic_now() < end) scene_.bed.reactor.turn();
    REQUIRE(scene_.sent.feedback_in == before + 1);
  }
  /** Datagrams that came to one since the last time. */
  int answers(std::size_t who) { return drain(*sockets_[who]); }
  int to_all() { return drain(scene_.group); }

 private:
  static int drain(Socket& socket) {
    int n = 0;
    while (!socket.take().empty()) n++;
    return n;
  }

  Scene& scene_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

}  // namespace

TEST_CASE("resent to all: three receivers that ask for one packet have it sent once to the group") {
  Scene scene({}, true, none, kRate, {}, 3);
  REQUIRE(scene.play(500));
  scene.input.reset();
  Askers askers(scene, 5);
  askers.ask(0);
  askers.ask(1);
  CHECK(askers.to_all() == 0);
  for (std::size_t i = 2; i < 5; i++) askers.ask(i);
  CHECK(askers.answers(0) == 1);
  CHECK(askers.answers(1) == 1);
  for (std::size_t i = 2; i < 5; i++) CHECK(askers.answers(i) == 0);
  CHECK(askers.to_all() == 1);
  CHECK(scene.sent.resent == 3);
  CHECK(scene.sent.resent_to_all == 1);
  CHECK(scene.sent.suppressed == 2);
  CHECK(scene.sent.asked_packets == 1);
  CHECK(scene.sent.nacked == scene.sent.resent + scene.sent.suppressed);
}

TEST_CASE("resent to all: two that ask again and again are answered singly") {
  Scene scene({}, true, none, kRate, {}, 3);
  REQUIRE(scene.play(500));
  scene.input.reset();
  Askers askers(scene, 2);
  for (int i = 0; i < 20; i++) {
    askers.ask(0);
    askers.ask(1);
  }
  CHECK(askers.answers(0) == 20);
  CHECK(askers.answers(1) == 20);
  CHECK(askers.to_all() == 0);
  CHECK(scene.sent.suppressed == 0);
}

TEST_CASE("resent to all: who has not proved its address does not count") {
  Scene scene({}, true, none, kRate, test::Tokens{60 * kernel::kSecond, false}, 1);
  REQUIRE(scene.play(500));
  scene.input.reset();
  Askers askers(scene, 3);
  for (std::size_t i = 0; i < 3; i++) askers.ask(i);
  CHECK(askers.to_all() == 0);
  CHECK(scene.sent.feedback_refused == 3);
  CHECK(scene.sent.asked_packets == 0);
}

TEST_CASE("resent to all: it is the packet, in a sequence of its own, and takes nothing from the heap") {
  Scene scene({}, true, none, kRate, {}, 1);
  REQUIRE(scene.play(500));
  scene.input.reset();
  Askers askers(scene, 1);
  askers.ask(0, 1);
  const codec::Bytes first = scene.group.take();
  const auto number = codec::load16(first.data() + 2);
  const std::uint64_t taken = test::allocations();
  askers.ask(0, 2);
  CHECK(test::allocations() == taken);
  std::array<std::uint8_t, 2048> original;
  const codec::Bytes second = scene.group.take();
  const auto packet = codec::parse_rtp(second);
  REQUIRE(packet);
  CHECK(packet->header.ssrc == scene.bed.stream->ssrc());
  CHECK(packet->header.payload_type == 97);
  CHECK(packet->header.sequence == static_cast<std::uint16_t>(number + 1));
  const auto size = codec::restore_original(second, scene.bed.stream->ssrc(), 33, original);
  REQUIRE(size);
  plane::Ring& ring = scene.bed.stream->ring();
  const std::int64_t sequence = ring.released_sequence() - 2;
  const plane::Descriptor& d = ring.descriptor(sequence);
  REQUIRE(*size == codec::kRtpHeaderSize + d.size);
  CHECK(std::equal(original.begin(), original.begin() + codec::kRtpHeaderSize, ring.header(sequence)));
  CHECK(std::equal(original.begin() + codec::kRtpHeaderSize,
                   original.begin() + static_cast<std::ptrdiff_t>(*size), ring.at(d.position)));
}

TEST_CASE("resent to all: out of the budget of all; what is beyond it is sent when there is some again") {
  // A second's worth is 16 kB, and 96 kB at once.
  Scene scene({}, true, none, 16'000, {}, 1);
  REQUIRE(scene.play(500));
  scene.input.reset();
  Askers askers(scene, 1);
  for (int back = 1; back <= 200; back++) askers.ask(0, back);
  const std::uint64_t sent = scene.sent.resent_to_all;
  CHECK(sent > 60);
  CHECK(sent < 150);
  CHECK(scene.sent.resend_shed == 200 - sent);
  CHECK(askers.to_all() == static_cast<int>(sent));
  const plane::Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
  while (scene.sent.resent_to_all == sent && kernel::monotonic_now() < end) askers.ask(0, 200);
  CHECK(scene.sent.resent_to_all == sent + 1);
}

namespace {

/** Sends RTP of one TS packet each into a group on loopback. */
class GroupSource {
 public:
  explicit GroupSource(std::uint16_t port)
      : media_(open(port)), resent_(open(port + plane::kResentPortStep)) {}

  void send(std::uint16_t number) { send(media_, packet(number, 33, number)); }
  void resend(std::uint16_t number) {
    auto bytes = packet(again_++, 97, number);
    const std::array<std::uint8_t, 2> original{static_cast<std::uint8_t>(number >> 8),
                                               static_cast<std::uint8_t>(number)};
    bytes.insert(bytes.begin() + codec::kRtpHeaderSize, original.begin(), original.end());
    send(resent_, std::move(bytes));
  }
  static constexpr const char* kGroup = "239.255.71.9";

 private:
  static kernel::UdpTx open(int port) {
    kernel::UdpTxOptions options;
    options.destination = *kernel::Address::parse(kGroup, static_cast<std::uint16_t>(port));
    options.interface_name = "lo";
    auto opened = kernel::UdpTx::open(options);
    REQUIRE(opened.ok());
    return std::move(opened.value());
  }
  static std::vector<std::uint8_t> packet(std::uint16_t sequence, std::uint8_t type, std::uint16_t content) {
    std::vector<std::uint8_t> bytes(codec::kRtpHeaderSize + 188, static_cast<std::uint8_t>(content));
    codec::write_rtp_header({false, type, sequence, 90U * content, 0xcafe}, bytes.data());
    bytes[codec::kRtpHeaderSize] = 0x47;
    bytes[codec::kRtpHeaderSize + 1] = 0;
    return bytes;
  }
  static void send(kernel::UdpTx& socket, std::vector<std::uint8_t> bytes) {
    std::array<iovec, 1> piece{iovec{bytes.data(), bytes.size()}};
    REQUIRE(socket.send(piece).sent);
  }

  kernel::UdpTx media_;
  kernel::UdpTx resent_;
  std::uint16_t again_ = 0;
};

}  // namespace

TEST_CASE(
    "resent to all: an input of a group takes it while it waits to ask, and measures no round trip by it") {
  const std::uint16_t port = test::free_ports();
  Socket server(0);
  kernel::Reactor reactor;
  plane::UdpInputOptions options;
  options.socket.address = GroupSource::kGroup;
  options.socket.port = port;
  options.socket.interface_name = "lo";
  options.repair.emplace();
  options.repair->feedback = kernel::Address::parse("127.0.0.1", server.port());
  options.repair->recovery.asks = true;
  options.repair->recovery.playout = 2 * kernel::kSecond;
  SUBCASE("before it asks") {
    options.repair->recovery.dither = 3600 * kernel::kSecond;
  }
  SUBCASE("after it has asked") {}
  test::Sink sink;
  plane::InputCounters counters{};
  auto opened = plane::RepairedInput::open(reactor, options, sink, counters, nullptr);
  REQUIRE(opened.ok());
  GroupSource source(port);
  const auto until = [&](auto&& done) {
    const plane::Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) reactor.turn();
    REQUIRE(done());
  };
  for (std::uint16_t n = 0; n < 20; n++)
    if (n != 7) source.send(n);
  const bool asks = options.repair->recovery.dither == 0;
  until([&] { return counters.packets == 19 && counters.nacked == (asks ? 1U : 0U); });
  // One that never was missing is nothing new.
  source.resend(7);
  source.resend(8);
  until([&] { return sink.bytes.size() == std::size_t{20} * 188; });
  CHECK(counters.missing == 1);
  CHECK(counters.by_retransmission == 1);
  CHECK(counters.rtp_duplicates == 0);
  CHECK(counters.rtp_lost == 0);
  CHECK(counters.resent == 2);
  CHECK(counters.repair_round_trip_us == 50'000);
  for (std::size_t n = 0; n < 20; n++) CHECK(sink.bytes[n * 188 + 100] == n);
}
