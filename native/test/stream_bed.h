// A stream on a reactor of its own, and readers of it, for tests.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "plane/stream.h"
#include "plane/viewer.h"
#include "test/ts_source.h"

namespace sluice::test {

using kernel::kMillisecond;
using plane::Nanos;

struct Observer final : plane::StreamObserver {
  void on_stream_ready() noexcept override { ready++; }
  void on_source_fault(const char* fault, std::string) override { code = fault; }
  int ready = 0;
  std::string code;
};

/** Keeps what departs. */
struct Recorder final : plane::PacketReader {
  struct Departure {
    std::int64_t sequence;
    std::int64_t media_time;
    Nanos at;
  };
  void on_departure(plane::Ring& ring, std::int64_t first, std::int64_t end) noexcept override {
    for (std::int64_t s = first; s < end; s++) {
      const auto& d = ring.descriptor(s);
      departures.push_back({s, d.media_time, kernel::monotonic_now()});
      bytes.insert(bytes.end(), ring.at(d.position), ring.at(d.position) + d.size);
    }
  }
  std::vector<Departure> departures;
  std::vector<std::uint8_t> bytes;
};

/** A fast stream, so that a test lasts tenths of a second: 50,000 packets a second, an access point every 100
 * ms. */
inline SourceOptions fast() {
  SourceOptions options;
  options.packets_per_second = 50'000;
  options.pictures_per_second = 500;
  options.group = 50;
  return options;
}

inline plane::StreamOptions stream_options() {
  plane::StreamOptions options;
  options.name = "test/main";
  options.ring_bytes = 8 << 20;
  options.delay = 20 * kMillisecond;
  options.segment = 200 * kMillisecond;
  options.smoothing = plane::SmootherOptions{};
  options.ssrc = 0x12345678;
  return options;
}

struct StreamBed {
  explicit StreamBed(const plane::StreamOptions& options = stream_options())
      : stream(std::move(plane::Stream::create(reactor, options, counters, loop, observer).value())) {}

  /** Turns the loop until so many packets have departed; false when they do not within five seconds. */
  bool run_until_released(std::uint64_t packets) {
    const Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (counters.packets_released < packets && kernel::monotonic_now() < end) reactor.turn();
    return counters.packets_released >= packets;
  }

  kernel::Reactor reactor;
  plane::StreamCounters counters{};
  plane::LoopCounters loop{};
  Observer observer;
  std::unique_ptr<plane::Stream> stream;
};

/** Reads a body as a connection would, `most` bytes a call; collects them. */
struct Reader {
  std::size_t read(http::Body& body, std::size_t most) {
    const auto piece = body.peek();
    if (piece.next != http::Body::Next::bytes) return 0;
    const std::size_t n = std::min(most, piece.bytes.size());
    bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    body.consume(n);
    return n;
  }
  std::vector<std::uint8_t> bytes;
};

/** Jumps of continuity counters that nothing announces, and packets without sync byte. */
struct Damage {
  int gaps = 0;
  int broken = 0;
};

inline Damage damage_of(const std::vector<std::uint8_t>& ts) {
  Damage damage;
  std::vector<codec::ContinuityCheck> checks(8192);
  for (std::size_t at = 0; at + codec::kTsPacketSize <= ts.size(); at += codec::kTsPacketSize) {
    const auto packet = codec::TsPacket::parse(codec::Bytes(ts).subspan(at, codec::kTsPacketSize));
    if (!packet) {
      damage.broken++;
    } else if (!checks[packet->pid()].accept(*packet)) {
      damage.gaps++;
    }
  }
  return damage;
}

}  // namespace sluice::test
