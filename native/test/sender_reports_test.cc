// The RTCP of a stream's sender, as receivers on loopback see it and answer it.
#include "plane/sender_reports.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "codec/ntp.h"
#include "codec/rtcp_writer.h"
#include "kernel/file.h"
#include "plane/sender.h"
#include "test/rtcp_bytes.h"
#include "test/stream_bed.h"

using namespace sluice;
using test::fast;
using test::TsSource;
using Bed = test::StreamBed;

namespace {

/** A UDP socket on loopback. */
class Socket {
 public:
  explicit Socket(std::uint16_t port) : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    const auto to = *kernel::Address::parse("127.0.0.1", port);
    ok_ = bind(fd_.get(), to.get(), to.size()) == 0;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] kernel::Address address() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    return *kernel::Address::from(storage);
  }
  /** Empty when there is nothing. */
  test::Datagram take() {
    test::Datagram bytes(2048);
    socklen_t size = sizeof from_;
    const ssize_t n = recvfrom(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&from_), &size);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
  /** To who sent what was taken last. */
  void answer(codec::Bytes bytes) {
    sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&from_), sizeof from_);
  }

 private:
  kernel::Fd fd_;
  bool ok_ = false;
  sockaddr_storage from_{};
};

/** Sockets on a port and the one above it. */
struct Pair {
  std::unique_ptr<Socket> media;
  std::unique_ptr<Socket> control;

  Pair() {
    for (int attempt = 0; attempt < 100; attempt++) {
      media = std::make_unique<Socket>(0);
      const std::uint16_t port = media->address().port();
      if (port == 65535) continue;
      control = std::make_unique<Socket>(static_cast<std::uint16_t>(port + 1));
      if (control->ok()) return;
    }
    FAIL("no two ports beside each other");
  }
};

/** A stream that is sent, with its reports. */
struct Scene {
  Bed bed;
  Pair receiver;
  plane::SenderCounters counters{};
  std::unique_ptr<plane::Sender> sender;
  std::unique_ptr<plane::SenderReports> reports;
  TsSource source{fast()};

  Scene() {
    kernel::UdpTxOptions options;
    options.destination = receiver.media->address();
    auto socket = kernel::UdpTx::open(options);
    REQUIRE(socket.ok());
    sender = std::make_unique<plane::Sender>(*bed.stream, std::move(socket.value()), plane::Batching::plain,
                                             counters);
    auto opened = plane::SenderReports::open(bed.reactor, *bed.stream, options, "news/main@here", counters);
    REQUIRE(opened.ok());
    reports = std::move(opened.value());
  }

  /** Turns the loop until `done`; false when that takes ten seconds. */
  template <class F>
  bool run(bool feed, F&& done) {
    const plane::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) {
      if (feed && bed.stream->wants_more() && bed.stream->counters().buffer_level_us < 50'000)
        bed.stream->write(source.make(500), kernel::monotonic_now());
      bed.reactor.turn();
      while (!receiver.media->take().empty()) {
      }
    }
    return done();
  }
  test::Datagram report(bool feed) {
    test::Datagram bytes;
    run(feed, [&] {
      if (bytes.empty()) bytes = receiver.control->take();
      return !bytes.empty();
    });
    return bytes;
  }
};

}  // namespace

TEST_CASE("sender reports: wall clock and RTP timestamp are of one moment of the stream's clock") {
  Scene scene;
  const test::Datagram bytes = scene.report(true);
  const auto compound = codec::RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  const auto first = *compound->begin();
  const auto info = codec::sender_info(first);
  REQUIRE(info.has_value());
  CHECK(first.ssrc() == scene.bed.stream->ssrc());
  CHECK(info->packets <= scene.counters.packets);
  CHECK(info->packets > 0);
  // Without headers; short packets end a timeline.
  CHECK(info->octets % codec::kTsPacketSize == 0);
  CHECK(info->octets <= info->packets * 1316);
  CHECK(info->octets > info->packets * 1200);
  CHECK(scene.counters.rtcp_out == 1);
  codec::SdesChunks chunks(*++compound->begin());
  const auto chunk = chunks.next();
  REQUIRE(chunk.has_value());
  CHECK(chunk->ssrc() == scene.bed.stream->ssrc());
  CHECK(test::text_of(chunk->item(codec::sdes_item::kCname)->text) == "news/main@here");

  // What the clock says of that moment: half a millisecond is 45 units of 90 kHz.
  const plane::Nanos at = kernel::monotonic_now();
  const std::uint64_t now = codec::ntp_from_unix(kernel::wall_now());
  const auto since = static_cast<plane::Nanos>(
      (static_cast<unsigned __int128>(now - info->ntp) * static_cast<std::uint64_t>(kernel::kSecond)) >> 32);
  const auto expected = scene.bed.stream->timestamp_at(at - since);
  REQUIRE(expected.has_value());
  const auto difference = static_cast<std::int32_t>(*expected - info->timestamp);
  CHECK(difference >= -45);
  CHECK(difference <= 45);
}

TEST_CASE("sender reports: what receivers answer is counted, with the round trip") {
  Scene scene;
  const test::Datagram bytes = scene.report(true);
  const auto compound = codec::RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  const auto info = codec::sender_info(*compound->begin());
  REQUIRE(info.has_value());
  const std::array<codec::ReportBlock, 2> blocks{
      codec::ReportBlock{scene.bed.stream->ssrc(), 64, 3, 9, 900, codec::ntp_middle(info->ntp), 0},
      codec::ReportBlock{~scene.bed.stream->ssrc(), 255, 3, 9, 9, 0, 0}};
  std::array<std::uint8_t, 128> out{};
  codec::RtcpWriter writer(out);
  CHECK(writer.receiver_report(7, blocks));
  scene.receiver.control->answer(writer.written());
  scene.receiver.control->answer(writer.written().first(20));
  CHECK(scene.run(false, [&] { return scene.counters.rtcp_malformed > 0; }));
  CHECK(scene.counters.rtcp_in == 1);
  CHECK(scene.counters.rtcp_malformed == 1);
  CHECK(scene.counters.reports == 1);
  CHECK(scene.counters.reported_lost_ppm == 250'000);
  CHECK(scene.counters.reported_jitter_us == 10'000);
  CHECK(scene.counters.round_trip_us < 10'000'000);
}

TEST_CASE("sender reports: who sends nothing is a receiver that says so") {
  Scene scene;
  const test::Datagram bytes = scene.report(false);
  const auto compound = codec::RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  const auto first = *compound->begin();
  CHECK(first.type == codec::rtcp_type::kReceiverReport);
  CHECK(first.ssrc() == scene.bed.stream->ssrc());
  CHECK(codec::report_block_count(first) == 0);
}
