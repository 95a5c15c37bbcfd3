// Fuzz target: bytes as the MPEG-TS of a hostile source, written in pieces with splices and departures
// between them; the ring is checked as its readers use it.
#include <unistd.h>

#include "codec/mpegts.h"
#include "fuzz/check.h"
#include "plane/packetiser.h"

using namespace sluice;
using codec::kTsPacketSize;

namespace {

constexpr std::int64_t kFirstSequence = 65'530;

class Bed final : private plane::PacketiserEvents {
 public:
  Bed(plane::Ring ring, std::optional<std::uint16_t> program, std::int64_t spread)
      : ring_(std::move(ring)), packetiser_(ring_, counters_, *this, program, spread) {}

  void write(codec::Bytes bytes) { packetiser_.write(bytes); }
  void splice() { packetiser_.splice(); }
  void flush() { packetiser_.flush(); }
  /** All that is published departs. */
  void depart() {
    if (ring_.next_sequence() == ring_.released_sequence()) return;
    const auto& last = ring_.descriptor(ring_.next_sequence() - 1);
    ring_.release(ring_.next_sequence(), last.position + last.size);
  }

 private:
  void on_access_point(const plane::AccessPoint& point) noexcept override {
    SLUICE_HOLDS(point.position % kTsPacketSize == 0 && point.position <= ring_.write_position());
    SLUICE_HOLDS(point.position >= last_point_);
    SLUICE_HOLDS(point.tables_in_place || point.psi.size >= 2 * kTsPacketSize);
    SLUICE_HOLDS(point.pts >= -1 && point.pts < std::int64_t{1} << 33);
    last_point_ = point.position;
  }
  void on_published(bool) noexcept override {
    for (; next_ < ring_.next_sequence(); next_++) check(ring_.descriptor(next_));
    SLUICE_HOLDS(packetiser_.media_end() >= media_time_);
  }
  void check(const plane::Descriptor& packet) {
    SLUICE_HOLDS(packet.sequence == next_ && packet.position == position_);
    SLUICE_HOLDS(packet.size > 0 && packet.size % kTsPacketSize == 0 && packet.size <= plane::kFullPayload);
    SLUICE_HOLDS(packet.media_time >= media_time_);
    for (std::size_t at = 0; at < packet.size; at += kTsPacketSize)
      SLUICE_HOLDS(codec::TsPacket::parse({ring_.at(packet.position + at), kTsPacketSize}));
    const auto header = codec::parse_rtp({ring_.header(next_), codec::kRtpHeaderSize});
    SLUICE_HOLDS(header && header->header.sequence == static_cast<std::uint16_t>(next_));
    SLUICE_HOLDS(header->header.timestamp == static_cast<std::uint32_t>(packet.media_time / 300));
    position_ += packet.size;
    media_time_ = packet.media_time;
    SLUICE_HOLDS(position_ <= ring_.write_position());
  }
  std::int64_t timeline_origin() noexcept override { return packetiser_.media_end(); }
  void on_fault(const char* code, std::string detail) override {
    SLUICE_HOLDS(code != nullptr && !detail.empty());
  }

  plane::Ring ring_;
  plane::StreamCounters counters_{};
  plane::Packetiser packetiser_;
  std::uint64_t last_point_ = 0;
  std::int64_t next_ = kFirstSequence;
  std::uint64_t position_ = 0;
  std::int64_t media_time_ = 0;
};

/** The body with a sync byte where one belongs, but for every 17th packet. */
fuzz::Block with_syncs(const fuzz::Block& body) {
  fuzz::Block ts = body;
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize)
    if (at / kTsPacketSize % 17 != 16) ts[at] = codec::kTsSync;
  return ts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t pages = std::size_t{4} << input.choose(4);
  auto ring = plane::Ring::create(pages * 4096, 0x1234, kFirstSequence);
  SLUICE_HOLDS(ring.ok());
  const auto program = input.choose(2) == 0 ? std::nullopt : std::optional<std::uint16_t>(1);
  const std::int64_t spread = input.choose(2) == 0 ? 0 : codec::kSystemClock / 5;
  Bed bed(std::move(ring.value()), program, spread);
  // A small body is played several times: limits of the ring and of what is waited for are reached.
  const fuzz::Block ts = with_syncs(input.body());
  const std::size_t loops = 1 + input.choose(8);
  const std::size_t piece = 1 + input.choose(4 * kTsPacketSize);
  const std::size_t rhythm = 1 + input.choose(16);
  std::size_t turn = 0;
  for (std::size_t loop = 0; loop < loops; loop++) {
    for (std::size_t at = 0; at < ts.size(); at += piece) {
      bed.write(codec::Bytes(ts).subspan(at, std::min(piece, ts.size() - at)));
      if (++turn % rhythm == 0) bed.depart();
    }
    if (loop % 2 == 1) bed.splice();
  }
  bed.flush();
  return 0;
}
