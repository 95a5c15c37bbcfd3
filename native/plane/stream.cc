#include "plane/stream.h"

#include <algorithm>
#include <ctime>

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;
using kernel::kMillisecond;
using kernel::kSecond;

namespace {

/** Packets due within so short a time leave as one batch. */
constexpr Nanos kLeastPause = kMillisecond;
/** Byte readers are told when so much is there, or after so long. */
constexpr std::uint64_t kEdgeStep = 48 * 1024;
constexpr Nanos kEdgePause = 100 * kMillisecond;
/** A source may run ahead of departure by so much media. */
constexpr std::int64_t kMostAhead = 60 * codec::kSystemClock;
constexpr std::size_t kPointsKept = 256;
constexpr Nanos kMarkDistance = 50 * kMillisecond;

std::int64_t ticks(Nanos n) noexcept { return n * 27 / 1000; }

/** RFC 3550 5.1 asks for an unpredictable first number; the low half of the SSRC, itself random, serves. */
std::int64_t first_sequence(std::uint32_t ssrc) noexcept { return ssrc & 0x7fff; }

}  // namespace

kernel::Result<std::unique_ptr<Stream>> Stream::create(kernel::Reactor& reactor, const StreamOptions& options,
                                                       StreamCounters& counters, LoopCounters& loop,
                                                       StreamObserver& observer) {
  auto ring = Ring::create(options.ring_bytes, options.ssrc, first_sequence(options.ssrc));
  if (!ring.ok()) return ring.error();
  return std::unique_ptr<Stream>(new Stream(reactor, options, std::move(ring.value()), counters, loop, observer));
}

Stream::Stream(kernel::Reactor& reactor, const StreamOptions& options, Ring ring, StreamCounters& counters,
               LoopCounters& loop, StreamObserver& observer)
    : reactor_(reactor),
      options_(options),
      counters_(counters),
      loop_(loop),
      observer_(observer),
      ring_(std::move(ring)),
      packetiser_(ring_, counters_, *this, options.program, ticks(options.spread)),
      segmenter_(ticks(options.segment), options.window, static_cast<std::uint64_t>(std::time(nullptr)), counters_),
      resolved_sequence_(ring_.next_sequence()) {
  gauge(counters_.ring_size_bytes, ring_.size());
  gauge(counters_.rtp_sequence, static_cast<std::uint64_t>(ring_.next_sequence()));
}

Stream::~Stream() {
  telling_readers_ = true;
  for (ByteReader* reader : byte_readers_)
    if (reader != nullptr) reader->on_stream_gone();
  for (ByteReader* reader : held_readers_) reader->on_stream_gone();
}

void Stream::write(codec::Bytes ts, Nanos arrival) noexcept {
  gauge(counters_.last_input_ms, static_cast<std::uint64_t>(arrival / kMillisecond));
  packetiser_.write(ts);
}

void Stream::splice() noexcept { packetiser_.splice(); }

bool Stream::wants_more() const noexcept {
  const bool room = ring_.write_position() - ring_.released_position() <= ring_.size() / 2;
  const bool soon = starved_ || packetiser_.media_end() - clock_.media_at(reactor_.now()) < kMostAhead;
  refused_ = !room || !soon;
  return !refused_;
}

void Stream::attach(ByteReader& reader) {
  byte_readers_.push_back(&reader);
  bump(counters_.viewers_continuous);
}

void Stream::detach(ByteReader& reader) noexcept {
  const auto at = std::find(byte_readers_.begin(), byte_readers_.end(), &reader);
  if (at == byte_readers_.end()) return;
  gauge(counters_.viewers_continuous, counters_.viewers_continuous - 1);
  if (telling_readers_) {
    *at = nullptr;
    gone_readers_++;
    return;
  }
  *at = byte_readers_.back();
  byte_readers_.pop_back();
}

const AccessPoint* Stream::newest_access_point() const noexcept {
  for (auto at = points_.rbegin(); at != points_.rend(); ++at)
    if (at->position < edge_ && at->position >= ring_.oldest_position()) return &*at;
  return nullptr;
}

std::uint64_t Stream::edge_before(Nanos lag) const noexcept {
  const Nanos then = reactor_.now() - lag;
  std::uint64_t oldest = 0;
  for (std::size_t i = 0; i < marks_.size(); i++) {
    const Mark& mark = marks_[(newest_mark_ - i) & (marks_.size() - 1)];
    if (mark.time == 0) return 0;
    oldest = mark.edge;
    if (mark.time <= then) return mark.edge;
  }
  return oldest;
}

void Stream::on_access_point(const AccessPoint& point) noexcept { unresolved_.push_back(point); }

void Stream::resolve_points() noexcept {
  while (!unresolved_.empty() && resolved_sequence_ < ring_.next_sequence()) {
    const Descriptor& d = ring_.descriptor(resolved_sequence_);
    const AccessPoint& point = unresolved_.front();
    if (point.position >= d.position + d.size) {
      resolved_sequence_++;
      continue;
    }
    points_.push_back(point);
    if (points_.size() > kPointsKept) points_.pop_front();
    segmenter_.add(point, d.media_time);
    unresolved_.pop_front();
  }
  if (unresolved_.empty()) resolved_sequence_ = ring_.next_sequence();
  segmenter_.expire(ring_.oldest_position());
}

std::int64_t Stream::timeline_origin() noexcept {
  const Nanos soonest = reactor_.now() + options_.delay;
  const std::int64_t end = packetiser_.media_end();
  if (!clock_.running()) {
    // RFC 3550 5.1: the first timestamp is unpredictable too.
    const std::int64_t origin = std::int64_t{options_.ssrc} * 300;
    clock_.start(origin, soonest);
    return origin;
  }
  return std::max(end, clock_.media_at(soonest));
}

void Stream::on_published() noexcept {
  resolve_points();
  const Nanos now = reactor_.now();
  const Nanos first = clock_.departure(ring_.descriptor(ring_.released_sequence()).media_time);
  const bool was_starved = std::exchange(starved_, false);
  if (was_starved && first < now) {
    clock_.postpone(now + options_.delay - first);
    bump(counters_.underruns);
  }
  const Nanos level = clock_.departure(packetiser_.media_end()) - now;
  clock_.observe(level, now);
  gauge(counters_.buffer_level_us, static_cast<std::uint64_t>(std::max<Nanos>(level, 0) / 1000));
  gauge(counters_.clock_ppb, static_cast<std::uint64_t>(clock_.correction_ppb()));
  if (was_starved || !armed()) schedule(now);
}

void Stream::on_fault(const char* code, std::string detail) { observer_.on_source_fault(code, std::move(detail)); }

void Stream::on_timer(Nanos now) noexcept {
  release(now);
  if (ring_.released_position() - edge_ >= kEdgeStep ||
      (ring_.released_position() > edge_ && now - edge_time_ >= kEdgePause))
    flush_edge(now);
  schedule(now);
  if (refused_ && wants_more() && room_) room_();
}

void Stream::release(Nanos now) noexcept {
  const std::int64_t first = ring_.released_sequence();
  std::int64_t end = first;
  std::uint64_t position = ring_.released_position();
  while (end < ring_.next_sequence()) {
    const Descriptor& d = ring_.descriptor(end);
    if (clock_.departure(d.media_time) > now) break;
    position = d.position + d.size;
    end++;
  }
  if (end == first) return;
  const Nanos late = now - clock_.departure(ring_.descriptor(first).media_time);
  if (late > static_cast<Nanos>(loop_.timer_late_ns_max)) gauge(loop_.timer_late_ns_max, static_cast<std::uint64_t>(late));
  ring_.release(end, position);
  for (PacketReader* reader : packet_readers_) reader->on_departure(ring_, first, end);
  bump(counters_.packets_released, static_cast<std::uint64_t>(end - first));
}

void Stream::flush_edge(Nanos now) noexcept {
  edge_ = ring_.released_position();
  edge_time_ = now;
  if (now - marks_[newest_mark_].time >= kMarkDistance) {
    newest_mark_ = (newest_mark_ + 1) & (marks_.size() - 1);
    marks_[newest_mark_] = {now, edge_};
  }
  telling_readers_ = true;
  for (std::size_t i = 0; i < byte_readers_.size(); i++)
    if (byte_readers_[i] != nullptr) byte_readers_[i]->on_bytes();
  telling_readers_ = false;
  if (gone_readers_ > 0) {
    std::erase(byte_readers_, nullptr);
    gone_readers_ = 0;
  }
  if (!ready_told_ && newest_access_point() != nullptr) {
    ready_told_ = true;
    observer_.on_stream_ready();
  }
}

void Stream::schedule(Nanos now) noexcept {
  if (ring_.released_sequence() < ring_.next_sequence()) {
    const Nanos due = clock_.departure(ring_.descriptor(ring_.released_sequence()).media_time);
    reactor_.arm(*this, std::max(due, now + kLeastPause));
    return;
  }
  starved_ = true;
  if (ring_.released_position() > edge_) reactor_.arm(*this, edge_time_ + kEdgePause);
}

void Stream::housekeeping(Nanos now) noexcept {
  gauge(counters_.ring_used_bytes, ring_.write_position() - ring_.oldest_position());
  // Over some seconds, because segmented sources come in steps and pictures differ in size.
  const Nanos span = now - rate_time_;
  if (span < 4 * kSecond) return;
  const double bits = static_cast<double>(ring_.released_position() - rate_bytes_) * 8;
  if (rate_time_ > 0)
    gauge(counters_.bitrate, static_cast<std::uint64_t>(bits * static_cast<double>(kSecond) / static_cast<double>(span)));
  rate_time_ = now;
  rate_bytes_ = ring_.released_position();
}

}  // namespace sluice::plane
