#include "plane/stream.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "plane/sender.h"
#include "test/allocations.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::kMillisecond;
using plane::Nanos;
using test::Damage;
using test::damage_of;
using test::fast;
using test::Reader;
using test::Recorder;
using test::SourceOptions;
using test::TsSource;
using Bed = test::StreamBed;

namespace {

/** A UDP socket on loopback and a sender towards it. */
struct LoopbackSocket {
  LoopbackSocket() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const auto any = kernel::Address::parse("127.0.0.1", 0);
    REQUIRE(bind(fd.get(), any->get(), any->size()) == 0);
    const int bytes = 4 << 20;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  [[nodiscard]] kernel::UdpTx sender() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    kernel::UdpTxOptions options;
    options.destination = *kernel::Address::from(storage);
    auto opened = kernel::UdpTx::open(options);
    REQUIRE(opened.ok());
    return std::move(opened.value());
  }
  kernel::Fd fd;
};

}  // namespace

TEST_CASE("stream: what comes in a burst departs in order, complete, and never early") {
  Bed bed;
  Recorder recorder;
  bed.stream->attach(recorder);
  const auto ts = TsSource(fast()).make(10'000);
  // The stream takes the begin of the wake-up for the present.
  const Nanos begin = bed.reactor.now();
  bed.stream->write(ts, begin);
  const std::uint64_t published = bed.counters.packets_in;
  REQUIRE(published > 1000);
  REQUIRE(bed.run_until_released(published));
  REQUIRE(recorder.departures.size() == published);
  const auto& first = recorder.departures.front();
  CHECK(first.at - begin >= 20 * kMillisecond);
  for (std::size_t i = 1; i < recorder.departures.size(); i++) {
    const auto& d = recorder.departures[i];
    CHECK(d.sequence == recorder.departures[i - 1].sequence + 1);
    CHECK(d.media_time >= recorder.departures[i - 1].media_time);
    const Nanos due = begin + 20 * kMillisecond + (d.media_time - first.media_time) * 1000 / 27;
    CHECK(d.at >= due - kMillisecond / 10);
  }
  CHECK(std::equal(recorder.bytes.begin(), recorder.bytes.end(), ts.begin()));
  CHECK(bed.observer.ready == 1);
  bed.stream->detach(recorder);
}

TEST_CASE("stream: where only bytes are read, departures share a beat; a packet reader ends that") {
  auto options = test::stream_options();
  options.delay = 100 * kMillisecond;
  Bed bed(options);
  const Nanos beat = bed.stream->patience();
  REQUIRE(beat > 0);
  TsSource source(fast());
  bed.stream->write(source.make(10'000), bed.reactor.now());
  const std::uint64_t before = bed.reactor.wakeups();
  const Nanos begin = bed.reactor.now();
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  // 100 ms until the first and 200 ms of media, and one for each end.
  CHECK(bed.reactor.wakeups() - before <= static_cast<std::uint64_t>(300 * kMillisecond / beat + 2));
  CHECK(bed.reactor.now() - begin >= 290 * kMillisecond);
  Recorder recorder;
  bed.stream->write(source.make(5'000), bed.reactor.now());
  bed.stream->attach(recorder);
  CHECK(bed.stream->patience() == 0);
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK_FALSE(recorder.departures.empty());
  bed.stream->detach(recorder);
  CHECK(bed.stream->patience() == beat);
}

TEST_CASE("stream: readers of bytes are told of whole pieces, or after a pause of what there is") {
  struct Told final : plane::ByteReader {
    explicit Told(Bed& bed) : bed(bed) { bed.stream->attach(*this); }
    ~Told() { bed.stream->detach(*this); }
    void on_bytes() noexcept override {
      const std::uint64_t step = bed.stream->edge() - edge;
      if (bed.reactor.now() - at < 100 * kMillisecond) broken += step % plane::kBytePiece == 0 ? 0 : 1;
      whole += step > 0 && step % plane::kBytePiece == 0 ? 1 : 0;
      edge = bed.stream->edge();
      at = bed.reactor.now();
    }
    void on_stream_gone() noexcept override {}
    Bed& bed;
    std::uint64_t edge = 0;
    Nanos at = 0;
    int whole = 0;
    int broken = 0;
  };
  Bed bed;
  Told told(bed);
  TsSource source(fast());
  bed.stream->write(source.make(10'000), bed.reactor.now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  const Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
  const auto released = [&] { return bed.stream->ring().released_position(); };
  while (told.edge < released() && kernel::monotonic_now() < end) bed.reactor.turn();
  CHECK(told.edge == released());
  CHECK(told.whole > 0);
  CHECK(told.broken == 0);
}

TEST_CASE("stream: a sender's datagrams arrive as they stand in the ring, batched or not") {
  for (const auto batching : {plane::Batching::automatic, plane::Batching::plain}) {
    Bed bed;
    const LoopbackSocket socket;
    plane::SenderCounters counters{};
    Recorder recorder;
    bed.stream->attach(recorder);
    const plane::Sender sender(*bed.stream, socket.sender(), batching, counters);
    TsSource source(fast());
    std::vector<std::uint8_t> got;
    std::int64_t last = -1;
    for (int step = 0; step < 20; step++) {
      bed.stream->write(source.make(250), kernel::monotonic_now());
      REQUIRE(bed.run_until_released(bed.counters.packets_in));
      std::array<std::uint8_t, 2048> datagram{};
      for (ssize_t n = 0; (n = recv(socket.fd.get(), datagram.data(), datagram.size(), 0)) > 0;) {
        const auto packet = codec::parse_rtp({datagram.data(), static_cast<std::size_t>(n)});
        REQUIRE(packet.has_value());
        CHECK(packet->header.ssrc == 0x12345678);
        if (last >= 0) CHECK(packet->header.sequence == ((last + 1) & 0xffff));
        last = packet->header.sequence;
        got.insert(got.end(), packet->payload.begin(), packet->payload.end());
      }
    }
    CHECK(got == recorder.bytes);
    CHECK(counters.packets == bed.counters.packets_released);
    CHECK(counters.drops == 0);
    if (batching == plane::Batching::plain) CHECK(counters.calls == counters.packets);
    if (counters.segmentation == 1) CHECK(counters.calls < counters.packets);
    bed.stream->detach(recorder);
  }
}

TEST_CASE("stream: a viewer begins at an access point, tables first, and gets everything from there") {
  Bed bed;
  TsSource source(fast());
  bed.stream->write(source.make(12'500), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  REQUIRE(bed.stream->newest_access_point() != nullptr);
  plane::FollowerBody body(*bed.stream, 1, kernel::kSecond);
  CHECK(bed.counters.viewers_continuous == 1);
  Reader reader;
  for (int step = 0; step < 20; step++) {
    bed.stream->write(source.make(500), kernel::monotonic_now());
    REQUIRE(bed.run_until_released(bed.counters.packets_in));
    while (reader.read(body, 1000) > 0) {
    }
  }
  REQUIRE(reader.bytes.size() > 1'000'000);
  const auto first = codec::TsPacket::parse(codec::Bytes(reader.bytes).first(kTsPacketSize));
  REQUIRE(first.has_value());
  CHECK(first->pid() == codec::kPidPat);
  const Damage damage = damage_of(reader.bytes);
  CHECK(damage.broken == 0);
  CHECK(damage.gaps == 0);
}

TEST_CASE(
    "stream: a viewer that is too slow jumps at a packet border to an access point; others lose nothing") {
  Bed bed;
  TsSource source(fast());
  bed.stream->write(source.make(6'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  plane::FollowerBody slow(*bed.stream, 1, 150 * kMillisecond);
  plane::FollowerBody quick(*bed.stream, 2, 150 * kMillisecond);
  Reader slow_reader;
  Reader quick_reader;
  slow_reader.read(slow, 1000);  // stops in the middle of a packet
  for (int step = 0; step < 60; step++) {
    bed.stream->write(source.make(500), kernel::monotonic_now());
    REQUIRE(bed.run_until_released(bed.counters.packets_in));
    while (quick_reader.read(quick, 64 * 1024) > 0) {
    }
    // A tenth of what comes.
    slow_reader.read(slow, 9'999);
  }
  CHECK(slow.follower()->drops > 0);
  CHECK(quick.follower()->drops == 0);
  CHECK(bed.counters.viewer_drops == slow.follower()->drops);
  CHECK(bed.counters.viewer_drop_bytes > 0);
  const Damage quick_damage = damage_of(quick_reader.bytes);
  CHECK(quick_damage.broken == 0);
  CHECK(quick_damage.gaps == 0);
  const Damage slow_damage = damage_of(slow_reader.bytes);
  CHECK(slow_damage.broken == 0);
  CHECK(slow_damage.gaps > 0);
}

TEST_CASE("stream: a viewer outlives its stream") {
  Bed bed;
  TsSource source(fast());
  bed.stream->write(source.make(6'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  plane::FollowerBody body(*bed.stream, 1, kernel::kSecond);
  bed.stream.reset();
  CHECK(body.peek().next == http::Body::Next::broken);
  CHECK_FALSE(body.follower().has_value());
}

TEST_CASE("stream: sequence numbers go on after an outage and a splice") {
  Bed bed;
  Recorder recorder;
  bed.stream->attach(recorder);
  bed.stream->write(TsSource(fast()).make(6'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  bed.stream->splice();
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  const Nanos quiet = kernel::monotonic_now() + 150 * kMillisecond;
  while (kernel::monotonic_now() < quiet) bed.reactor.turn();
  SourceOptions other = fast();
  other.clock = codec::kPcrModulus / 3;
  bed.stream->write(TsSource(other).make(6'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK(bed.counters.packets_released > 1500);
  for (std::size_t i = 1; i < recorder.departures.size(); i++) {
    CHECK(recorder.departures[i].sequence == recorder.departures[i - 1].sequence + 1);
    CHECK(recorder.departures[i].media_time >= recorder.departures[i - 1].media_time);
  }
  const Damage damage = damage_of(recorder.bytes);
  CHECK(damage.broken == 0);
  CHECK(damage.gaps == 0);
  bed.stream->detach(recorder);
}

TEST_CASE("stream: the playlist lists segments that begin with tables and an access point") {
  Bed bed;
  bed.stream->write(TsSource(fast()).make(40'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  auto& segmenter = bed.stream->segmenter();
  const auto playlist = segmenter.playlist("main/");
  REQUIRE(playlist != nullptr);
  CHECK(playlist->rfind("#EXTM3U\n", 0) == 0);
  const auto at = playlist->find("#EXT-X-MEDIA-SEQUENCE:");
  REQUIRE(at != std::string::npos);
  const std::uint64_t number = std::stoull(playlist->substr(at + 22));
  CHECK(playlist->find("main/" + std::to_string(number) + ".ts\n") != std::string::npos);
  const plane::Segment* segment = segmenter.find(number);
  REQUIRE(segment != nullptr);
  CHECK(segment->duration == codec::kSystemClock / 5);
  const auto head = codec::TsPacket::parse({bed.stream->ring().at(segment->begin), kTsPacketSize});
  REQUIRE(head.has_value());
  CHECK(head->pid() == codec::kPidPat);
  CHECK(segmenter.find(number - 100) == nullptr);
  CHECK(segmenter.find(number + 100) == nullptr);
}

TEST_CASE("stream: the hot path allocates nothing: input, departure, sender, viewer") {
  Bed bed;
  SourceOptions options = fast();
  options.group = 1 << 20;  // one access point, at the begin
  TsSource source(options);
  const LoopbackSocket socket;
  plane::SenderCounters counters{};
  const plane::Sender sender(*bed.stream, socket.sender(), plane::Batching::automatic, counters);
  bed.stream->write(source.make(6'000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  plane::FollowerBody body(*bed.stream, 1, kernel::kSecond);
  std::vector<std::uint8_t> input = source.make(10'000);
  std::uint64_t read = 0;
  const auto before = test::allocations();
  for (std::size_t at = 0; at < input.size(); at += 50 * kTsPacketSize) {
    bed.stream->write(codec::Bytes(input).subspan(at, 50 * kTsPacketSize), kernel::monotonic_now());
    bed.reactor.turn();
    for (auto piece = body.peek(); piece.next == http::Body::Next::bytes; piece = body.peek()) {
      read += piece.bytes.size();
      body.consume(piece.bytes.size());
    }
  }
  CHECK(test::allocations() == before);
  CHECK(read > 0);
  CHECK(counters.packets > 500);
}
