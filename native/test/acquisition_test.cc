// Rapid acquisition (RFC 6285): the receiver's decisions on a clock of the test's own, and both sides over
// loopback, with a group that is joined late.
#include <algorithm>
#include <random>

#include "plane/acquisition_client.h"
#include "test/allocations.h"
#include "test/own_network.h"
#include "test/repair_scene.h"

using namespace sluice;
using codec::rams::Information;
using codec::rams::Response;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::AcquisitionClient;
using State = AcquisitionClient::State;

namespace {

Information accepted(std::uint32_t earliest_join) {
  Information told;
  told.response = static_cast<std::uint16_t>(Response::accepted);
  told.earliest_join = earliest_join;
  return told;
}

Information answer(std::uint16_t response) {
  Information told;
  told.response = response;
  return told;
}

}  // namespace

TEST_CASE("acquisition: a burst is asked for, then joined when it has caught up, and ended") {
  AcquisitionClient client(0);
  CHECK(client.asks(0));
  client.asked(0);
  CHECK_FALSE(client.asks(50 * kMillisecond));
  CHECK(client.due(0, true) == AcquisitionClient::kPause);
  client.on_information(accepted(70));
  CHECK_FALSE(client.asks(kSecond));
  client.on_burst(1000, 20 * kMillisecond);
  CHECK(client.state(20 * kMillisecond) == State::bursting);
  CHECK(client.fills(20 * kMillisecond));
  client.on_burst(1040, 80 * kMillisecond);
  CHECK_FALSE(client.joins(89 * kMillisecond));
  CHECK(client.due(80 * kMillisecond, true) == 90 * kMillisecond);
  CHECK(client.joins(90 * kMillisecond));
  client.joined();
  CHECK_FALSE(client.terminates(90 * kMillisecond));
  client.on_multicast(1050);
  client.on_multicast(1051);
  CHECK(client.first_multicast() == 1050);
  CHECK(client.fills(100 * kMillisecond));
  CHECK(client.terminates(100 * kMillisecond));
  client.terminated(100 * kMillisecond);
  CHECK_FALSE(client.terminates(200 * kMillisecond));
  client.on_burst(1049, 110 * kMillisecond);
  CHECK_FALSE(client.fills(110 * kMillisecond));
  CHECK(client.state(110 * kMillisecond) == State::done);
  CHECK_FALSE(client.due(110 * kMillisecond, true));
  // The message was lost: the burst goes on, and is ended again, some times only.
  int said = 0;
  for (int ms = 120; ms < 1000; ms++) {
    client.on_burst(1000 + ms, ms * kMillisecond);
    if (!client.terminates(ms * kMillisecond)) continue;
    client.terminated(ms * kMillisecond);
    said++;
  }
  CHECK(said == 4);
}

TEST_CASE("acquisition: without an answer, without a burst, refused or not understood, the group is joined") {
  AcquisitionClient silent(0);
  CHECK_FALSE(silent.joins(299 * kMillisecond));
  CHECK(silent.joins(300 * kMillisecond));

  AcquisitionClient refused(0);
  refused.on_information(answer(static_cast<std::uint16_t>(Response::no_bandwidth)));
  CHECK(refused.joins(0));
  CHECK_FALSE(refused.terminates(0));
  CHECK_FALSE(refused.open());
  CHECK(refused.response() == 501);

  AcquisitionClient strange(0);
  strange.on_information(answer(0));
  CHECK(strange.joins(0));
  CHECK(strange.terminates(0));
  strange.terminated(0);
  CHECK_FALSE(strange.terminates(kSecond));

  AcquisitionClient empty(0);
  empty.on_information(accepted(10));
  CHECK_FALSE(empty.joins(100 * kMillisecond));
  CHECK(empty.joins(300 * kMillisecond));
  empty.joined();
  // Nothing comes with a burst that never was.
  CHECK_FALSE(empty.fills(301 * kMillisecond));

  AcquisitionClient broken(0);
  broken.on_information(accepted(900));
  broken.on_burst(5, 10 * kMillisecond);
  CHECK_FALSE(broken.joins(109 * kMillisecond));
  CHECK(broken.joins(110 * kMillisecond));

  AcquisitionClient untold(0);
  for (int ms = 0; ms < 500; ms += 10) {
    untold.on_burst(ms, ms * kMillisecond);
    CHECK_FALSE(untold.joins(ms * kMillisecond));
  }
  CHECK(untold.joins(500 * kMillisecond));
}

TEST_CASE("acquisition: whatever comes in whatever order, the group is joined within a second") {
  std::mt19937 random(7);
  for (int round = 0; round < 5000; round++) {
    AcquisitionClient client(0);
    bool joined = false;
    unsigned ended = 0;
    for (int ms = 0; ms < 1100; ms++) {
      const plane::Nanos now = ms * kMillisecond;
      switch (random() % 40) {
        case 0:
          client.on_information(accepted(random() % 600));
          break;
        case 1:
          client.on_information(answer(static_cast<std::uint16_t>(random() % 700)));
          break;
        case 2:
        case 3:
        case 4:
          client.on_burst(random() % 2000, now);
          break;
        case 5:
          client.on_multicast(random() % 2000);
          break;
        default:
          break;
      }
      if (client.asks(now)) client.asked(now);
      if (client.joins(now)) {
        client.joined();
        joined = true;
      }
      if (client.terminates(now)) {
        client.terminated(now);
        ended++;
      }
      const auto due = client.due(now, true);
      if (due) CHECK(*due > now);
    }
    CHECK(joined);
    CHECK(ended <= 6);
  }
}

namespace {

/** Where a channel is. */
struct Place {
  const char* group;
  const char* host;
};
constexpr Place kVersion4{"239.255.3.1", "127.0.0.1"};
constexpr Place kVersion6{"ff15::3:1", "::1"};

/** A stream on a group of a network of its own, with a server that bursts, and inputs that come later. */
struct Channel {
  struct Viewer {
    plane::InputCounters counters{};
    test::Sink sink;
    std::unique_ptr<plane::RepairedInput> input;
    [[nodiscard]] State state() const { return static_cast<State>(counters.acquisition); }
  };

  explicit Channel(plane::AcquisitionOptions acquisition, bool plain = false, bool tokens = false,
                   const Place& at = kVersion4)
      : place(at), source(slow_groups()) {
    REQUIRE(network.ok());
    REQUIRE(test::OwnNetwork::route_groups());
    kernel::UdpTxOptions media;
    media.destination = *kernel::Address::parse(place.group, kPort);
    media.interface_name = "lo";
    auto socket = kernel::UdpTx::open(media);
    REQUIRE(socket.ok());
    sender =
        std::make_unique<plane::Sender>(*bed.stream, std::move(socket.value()), plane::Batching::plain, sent);
    plane::RetransmissionOptions options;
    options.port.socket.address = place.host;
    options.port.socket.port = kTarget;
    options.plain = plain;
    options.acquisition = acquisition;
    if (tokens) options.token_lifetime = 60 * kSecond;
    if (!tokens) options.allowed.push_back(*kernel::AddressPrefix::parse(place.host));
    auto opened = plane::RetransmissionServer::open(bed.reactor, *bed.stream, options, sent);
    REQUIRE(opened.ok());
    sender->keep(std::move(opened.value()));
    bed.stream->attach(all);
  }
  ~Channel() { bed.stream->detach(all); }

  /** An access point every 0.4 s. */
  static test::SourceOptions slow_groups() {
    test::SourceOptions options = test::fast();
    options.group = 200;
    return options;
  }

  std::unique_ptr<Viewer> zap(bool tokens = false, std::uint16_t target = kTarget) {
    auto viewer = std::make_unique<Viewer>();
    plane::UdpInputOptions options;
    options.socket.address = place.group;
    options.socket.port = kPort;
    options.socket.interface_name = "lo";
    plane::RepairOptions repair;
    repair.feedback = kernel::Address::parse(place.host, target);
    repair.acquisition = true;
    repair.tokens = tokens;
    repair.recovery.asks = true;
    repair.recovery.playout = 100 * kMillisecond;
    repair.recovery.window = 1U << 14;
    options.repair = repair;
    auto opened = plane::RepairedInput::open(bed.reactor, options, viewer->sink, viewer->counters, nullptr);
    REQUIRE(opened.ok());
    viewer->input = std::move(opened.value());
    return viewer;
  }

  template <class F>
  bool play_until(F&& done, plane::Nanos longest = 10 * kSecond) {
    const plane::Nanos end = kernel::monotonic_now() + longest;
    while (!done() && kernel::monotonic_now() < end) {
      if (bed.stream->wants_more() && fed < sent.packets + test::kAhead) {
        bed.stream->write(source.make(350), kernel::monotonic_now());
        fed += 50;
      }
      bed.reactor.turn();
    }
    return done();
  }
  bool play(std::uint64_t packets) {
    const std::uint64_t end = sent.packets + packets;
    return play_until([&] { return sent.packets >= end; });
  }
  /** Until it has had so many packets by multicast, and the burst is over. */
  bool settle(Viewer& viewer, std::uint64_t packets = 3000) {
    return play_until([&] { return viewer.counters.packets >= packets && viewer.state() == State::done; });
  }

  /** Whether what came out is what went out, from somewhere on, without a gap or a packet twice. */
  [[nodiscard]] bool unbroken(const test::Sink& sink) const {
    if (sink.bytes.size() < 100 * codec::kTsPacketSize) return false;
    const auto head = sink.bytes.begin() + 100 * codec::kTsPacketSize;
    const auto at = std::search(all.bytes.begin(), all.bytes.end(), sink.bytes.begin(), head);
    return all.bytes.end() - at >= static_cast<std::ptrdiff_t>(sink.bytes.size()) &&
           std::equal(sink.bytes.begin(), sink.bytes.end(), at);
  }
  /** How many TS packets are before the first PAT. */
  static std::size_t before_tables(const test::Sink& sink) {
    std::size_t n = 0;
    for (; (n + 1) * codec::kTsPacketSize <= sink.bytes.size(); n++) {
      const auto packet = codec::TsPacket::parse(
          codec::Bytes(sink.bytes).subspan(n * codec::kTsPacketSize, codec::kTsPacketSize));
      if (packet && packet->pid() == codec::kPidPat) return n;
    }
    return n;
  }

  const Place place;
  static constexpr std::uint16_t kPort = 5000;
  static constexpr std::uint16_t kTarget = 5008;
  test::OwnNetwork network{1500};
  test::StreamBed bed;
  test::TsSource source;
  test::Recorder all;
  plane::SenderCounters sent{};
  /** RTP packets made. */
  std::uint64_t fed = 0;
  std::unique_ptr<plane::Sender> sender;
};

/** Bytes a second for all bursts. */
constexpr std::uint64_t kTotal = 200'000'000;
constexpr plane::AcquisitionOptions kTriple{300, 4, kTotal, 0, 300 * kMillisecond};

}  // namespace

TEST_CASE("acquisition over sockets: from the last access point into the group, without gap or repetition") {
  for (const bool plain : {false, true}) {
    Channel channel(kTriple, plain);
    REQUIRE(channel.play(4000));
    std::uint64_t bursts = 0;
    std::uint64_t acquired = 0;
    // At several places between two access points.
    for (int n = 0; n < 4; n++) {
      REQUIRE(channel.play(700));
      const auto viewer = channel.zap();
      REQUIRE(channel.settle(*viewer));
      CHECK(channel.sent.acquisitions == ++bursts);
      CHECK(viewer->counters.acquisition_response >= 200);
      CHECK(viewer->counters.acquired > 0);
      acquired += viewer->counters.acquired;
      CHECK(viewer->counters.rtp_lost == 0);
      CHECK(viewer->counters.nacked == 0);
      CHECK(channel.unbroken(viewer->sink));
      CHECK(Channel::before_tables(viewer->sink) < 7);
      // Nothing more is sent to who has joined.
      const std::uint64_t after = channel.sent.burst_packets;
      REQUIRE(channel.play(1000));
      CHECK(channel.sent.burst_packets == after);
      // Another one is allowed after two seconds only.
      REQUIRE(channel.play(1000));
    }
    CHECK(acquired > 200);
    CHECK(channel.sent.feedback_malformed == 0);
    CHECK(channel.sent.burst_bytes < channel.sent.burst_packets * 1400);
  }
}

TEST_CASE("acquisition over sockets: with a token, which is got first") {
  Channel channel(kTriple, false, true);
  REQUIRE(channel.play(4000));
  const auto viewer = channel.zap(true);
  REQUIRE(channel.settle(*viewer));
  CHECK(viewer->counters.tokens_granted == 1);
  CHECK(channel.sent.acquisitions == 1);
  CHECK(channel.unbroken(viewer->sink));
  // Who has none gets nothing, and joins all the same.
  const std::uint64_t before = channel.sent.burst_packets;
  const auto other = channel.zap(false);
  REQUIRE(channel.play_until([&] { return other->counters.packets > 1000; }));
  CHECK(other->counters.acquired == 0);
  CHECK(channel.sent.burst_packets == before);
  CHECK(channel.sent.feedback_refused > 0);
  CHECK(channel.unbroken(other->sink));
}

TEST_CASE("acquisition over sockets: by IPv6") {
  Channel channel(kTriple, false, true, kVersion6);
  REQUIRE(channel.play(4000));
  const auto viewer = channel.zap(true);
  // What is sent to a group by IPv6 does not come in on a loopback interface: the burst is what can be seen.
  REQUIRE(channel.play_until([&] { return viewer->counters.acquisition_response == 201; }));
  CHECK(viewer->counters.tokens_granted == 1);
  CHECK(viewer->counters.acquired > 50);
  CHECK(viewer->counters.join_errors == 0);
  CHECK(channel.unbroken(viewer->sink));
}

TEST_CASE("acquisition over sockets: refused where there is no room, joined at once") {
  Channel channel({300, 1, kTotal, 0, 300 * kMillisecond});
  REQUIRE(channel.play(4000));
  const auto first = channel.zap();
  const auto second = channel.zap();
  REQUIRE(channel.settle(*first));
  REQUIRE(channel.settle(*second));
  CHECK(channel.sent.acquisitions == 1);
  CHECK(channel.sent.acquisitions_refused == 1);
  CHECK(first->counters.acquisition_response == 201);
  CHECK(second->counters.acquisition_response == 503);
  CHECK(second->counters.acquired == 0);
  CHECK(channel.unbroken(first->sink));
  CHECK(channel.unbroken(second->sink));
}

TEST_CASE("acquisition over sockets: nobody answers, the group is joined") {
  Channel channel(kTriple);
  REQUIRE(channel.play(1000));
  const auto viewer = channel.zap(false, 5010);
  REQUIRE(channel.settle(*viewer, 1000));
  CHECK(viewer->counters.acquired == 0);
  CHECK(channel.unbroken(viewer->sink));
}

TEST_CASE("acquisition over sockets: who goes during its burst gets no more of it") {
  Channel channel({110, 4, kTotal, 0, kSecond});
  REQUIRE(channel.play(4000));
  auto viewer = channel.zap();
  REQUIRE(channel.play_until([&] { return viewer->counters.acquired > 20; }));
  viewer.reset();
  REQUIRE(channel.play_until([&] { return channel.sent.feedback_in >= 2; }));
  const std::uint64_t after = channel.sent.burst_packets;
  REQUIRE(channel.play(2000));
  CHECK(channel.sent.burst_packets == after);
}

TEST_CASE(
    "acquisition: one address cannot begin bursts without end, and what runs takes nothing from the heap") {
  Channel channel({200, 8, kTotal, 0, 100 * kMillisecond});
  REQUIRE(channel.play(4000));
  std::array<std::uint8_t, codec::rams::kMostControl> control{};
  std::array<std::uint8_t, 128> bytes{};
  codec::RtcpWriter writer(bytes);
  REQUIRE(writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rams::kFormat, 7, 7,
                          codec::rams::Writer(control).request({}, std::nullopt)));
  std::vector<std::unique_ptr<test::Socket>> sockets;
  sockets.reserve(10);
  for (int i = 0; i < 10; i++) sockets.push_back(std::make_unique<test::Socket>(0));
  for (const auto& socket : sockets) socket->send(writer.written(), Channel::kTarget);
  REQUIRE(channel.play_until([&] { return channel.sent.feedback_in == 10; }));
  CHECK(channel.sent.acquisitions == 4);
  CHECK(channel.sent.acquisitions_refused == 6);
  // Again and again from where one runs: told again, not begun again.
  for (int i = 0; i < 10; i++) sockets[0]->send(writer.written(), Channel::kTarget);
  REQUIRE(channel.play_until([&] { return channel.sent.feedback_in == 20; }));
  CHECK(channel.sent.acquisitions == 4);
  // Nobody ends them: they end by themselves.
  std::uint64_t before = 0;
  REQUIRE(channel.play_until([&] { return channel.sent.burst_packets > 1000; }));
  REQUIRE(channel.play(8000));
  before = channel.sent.burst_packets;
  REQUIRE(channel.play(2000));
  CHECK(channel.sent.burst_packets == before);
}
