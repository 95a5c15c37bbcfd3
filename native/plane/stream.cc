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
/** Where only bytes are read, batches leave on a common beat: a wake-up costs as much as a send. */
constexpr Nanos kBeat = 10 * kMillisecond;
/** A stream with less delay than this is wanted soon, and has no beat. */
constexpr Nanos kPatientDelay = 10 * kBeat;
/** Byte readers are told of less than a piece after so long; the more there are, the later, because a small
 * send costs as much as a large one. */
constexpr Nanos kEdgePause = 100 * kMillisecond;
constexpr Nanos kEdgePausePerReader = kMillisecond;
constexpr Nanos kLongestEdgePause = 500 * kMillisecond;
/** So many byte readers are told of two pieces at a time: a call less for each. */
constexpr std::size_t kCrowd = 40;
/** The longest time between two PCRs (13818-1 2.7.2): a source that gave nothing for so long is quiet. */
constexpr Nanos kQuiet = 100 * kMillisecond;
/** A source may run ahead of departure by so much media. */
constexpr std::int64_t kMostAhead = 60 * codec::kSystemClock;
/** Access points closer than this to the one before are passed over: every audio frame is one. */
constexpr std::int64_t kPointDistance = codec::kSystemClock / 20;
/** What a source that claims access points everywhere can make us remember. */
constexpr std::size_t kMostPoints = 2048;

std::int64_t ticks(Nanos n) noexcept {
  return n * 27 / 1000;
}

/** RFC 3550 5.1 asks for an unpredictable first number; the low half of the SSRC, itself random, serves. */
std::int64_t first_sequence(std::uint32_t ssrc) noexcept {
  return ssrc & 0x7fff;
}

}  // namespace

kernel::Result<std::unique_ptr<Stream>> Stream::create(kernel::Reactor& reactor, const StreamOptions& options,
                                                       StreamCounters& counters, LoopCounters& loop,
                                                       StreamObserver& observer) {
  auto ring = Ring::create(options.ring_bytes, options.ssrc, first_sequence(options.ssrc));
  if (!ring.ok()) return ring.error();
  return std::unique_ptr<Stream>(
      new Stream(reactor, options, std::move(ring.value()), counters, loop, observer));
}

Stream::Stream(kernel::Reactor& reactor, const StreamOptions& options, Ring ring, StreamCounters& counters,
               LoopCounters& loop, StreamObserver& observer)
    : reactor_(reactor),
      options_(options),
      name_(std::make_shared<const std::string>(options.name)),
      counters_(counters),
      loop_(loop),
      observer_(observer),
      ring_(std::move(ring)),
      packetiser_(ring_, counters_, *this, options.program, ticks(options.spread)),
      segmenter_(ticks(options.segment), options.window, static_cast<std::uint64_t>(std::time(nullptr)),
                 counters_),
      departures_(ring_, clock_, options.smoothing),
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
  last_input_ = arrival;
  packetiser_.write(ts);
}

void Stream::splice() noexcept {
  packetiser_.splice();
}

bool Stream::wants_more() const noexcept {
  // With nothing on its way only more input can bring a departure, and with it the call of on_room().
  const bool room = ring_.write_position() - ring_.released_position() <= ring_.size() / 2;
  const bool soon = packetiser_.media_end() - clock_.media_at(reactor_.now()) < kMostAhead;
  refused_ = !starved_ && !(room && soon);
  return !refused_;
}

Nanos Stream::patience() const noexcept {
  return packet_readers_.empty() && options_.delay >= kPatientDelay ? kBeat : 0;
}

void Stream::attach(PacketReader& reader) {
  packet_readers_.push_back(&reader);
  if (packet_readers_.size() == 1) on_patience_changed();
}

void Stream::detach(PacketReader& reader) noexcept {
  std::erase(packet_readers_, &reader);
  if (packet_readers_.empty()) on_patience_changed();
}

/** Input comes sooner or later than before by up to a beat, which says nothing about the sender's clock. */
void Stream::on_patience_changed() noexcept {
  if (!clock_.running()) return;
  clock_.relearn(reactor_.now());
  if (armed()) schedule(reactor_.now());
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

const AccessPoint* Stream::access_point_before(Nanos lag) const noexcept {
  const std::int64_t last = ring_.released_sequence() - 1;
  if (last < ring_.oldest_sequence()) return nullptr;
  const std::int64_t then = ring_.descriptor(last).media_time - ticks(lag);
  for (auto at = points_.rbegin(); at != points_.rend(); ++at) {
    if (at->position >= ring_.released_position()) continue;
    if (at->tables_position < ring_.oldest_position()) return nullptr;
    if (ring_.descriptor(ring_.find(at->position)).media_time <= then) return &*at;
  }
  return nullptr;
}

void Stream::on_room(const void* owner, std::function<void()> listener) {
  std::erase_if(room_, [owner](const Room& r) { return r.owner == owner; });
  if (listener) room_.push_back({owner, std::move(listener)});
}

std::optional<std::uint32_t> Stream::timestamp_at(Nanos at) const noexcept {
  if (!clock_.running()) return std::nullopt;
  return static_cast<std::uint32_t>(clock_.media_at(at) / kTicksPerRtp);
}

std::uint64_t Stream::edge_before(Nanos lag) const noexcept {
  // The edge moves in steps; between them every viewer asks the same.
  if (lag == lag_asked_ && edge_ == lag_edge_) return lag_position_;
  lag_asked_ = lag;
  lag_edge_ = edge_;
  lag_position_ = find_before(lag);
  return lag_position_;
}

/** The first packet that departed within the last `lag` of media; one that has departed. */
std::int64_t Stream::sequence_before(Nanos lag) const noexcept {
  std::int64_t low = ring_.oldest_sequence();
  std::int64_t high = ring_.released_sequence();
  const std::int64_t then = ring_.descriptor(high - 1).media_time - ticks(lag);
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (ring_.descriptor(middle).media_time < then)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

std::uint64_t Stream::find_before(Nanos lag) const noexcept {
  const std::int64_t oldest = ring_.oldest_sequence();
  if (oldest >= ring_.released_sequence()) return 0;
  const std::int64_t first = sequence_before(lag);
  return first == oldest ? 0 : ring_.descriptor(first).position;
}

std::uint64_t Stream::recent_rate(Nanos window) const noexcept {
  const std::int64_t end = ring_.released_sequence();
  if (ring_.oldest_sequence() >= end) return 0;
  const Descriptor& first = ring_.descriptor(sequence_before(window));
  const std::int64_t span = ring_.descriptor(end - 1).media_time - first.media_time;
  if (span < codec::kSystemClock / 10) return 0;
  const auto bytes = static_cast<double>(ring_.descriptor(end - 1).position - first.position);
  return static_cast<std::uint64_t>(bytes * static_cast<double>(codec::kSystemClock) /
                                    static_cast<double>(span));
}

void Stream::on_access_point(const AccessPoint& point) noexcept {
  if (unresolved_.size() < kMostPoints || point.discontinuity) unresolved_.push_back(point);
}

void Stream::resolve_points() noexcept {
  while (!unresolved_.empty() && resolved_sequence_ < ring_.next_sequence()) {
    const Descriptor& d = ring_.descriptor(resolved_sequence_);
    if (unresolved_.front().position >= d.position + d.size) {
      resolved_sequence_++;
      continue;
    }
    take_point(unresolved_.front(), d);
    unresolved_.pop_front();
  }
  if (unresolved_.empty()) resolved_sequence_ = ring_.next_sequence();
  segmenter_.expire(ring_.oldest_position());
}

void Stream::take_point(const AccessPoint& point, const Descriptor& packet) noexcept {
  const bool close = last_point_time_ >= 0 && packet.media_time - last_point_time_ < kPointDistance;
  if (!point.discontinuity && (close || points_.size() >= kMostPoints)) return;
  last_point_time_ = packet.media_time;
  points_.push_back(point);
  // The segment before a discontinuity ends where its media ends: an outage is no part of it.
  const Descriptor& before = ring_.descriptor(packet.sequence - 1);
  const bool known = before.sequence == packet.sequence - 1;
  segmenter_.add(point, packet.media_time, known ? before.media_time : packet.media_time);
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
  clock_.relearn(reactor_.now());
  departures_.restart();
  return std::max(end, clock_.media_at(soonest));
}

void Stream::on_published(bool tail) noexcept {
  resolve_points();
  const Nanos now = reactor_.now();
  const bool was_starved = std::exchange(starved_, false);
  // The tail of a timeline that ended is no reason to wait longer for what comes after it.
  if (was_starved && !tail && departures_.postpone_late(now, now + options_.delay)) {
    clock_.relearn(now);
    bump(counters_.underruns);
  }
  const Nanos level = clock_.departure(packetiser_.media_end()) - now;
  clock_.observe(level, now);
  gauge(counters_.buffer_level_us, static_cast<std::uint64_t>(std::max<Nanos>(level, 0) / 1000));
  gauge(counters_.clock_ppb, static_cast<std::uint64_t>(clock_.correction_ppb()));
  if (was_starved || !armed()) schedule(now);
}

void Stream::on_fault(const char* code, std::string detail) {
  ready_told_ = false;
  ready_after_ = ring_.write_position();
  observer_.on_source_fault(code, std::move(detail));
}

void Stream::on_timer(Nanos now) noexcept {
  release(now);
  if (departures_.exhausted(now)) {
    starved_ = true;
    // What follows the last PCR of a source that has gone quiet is due now.
    if (now - last_input_ >= kQuiet) packetiser_.flush();
  }
  move_edge(now);
  schedule(now);
  if (!refused_ || !wants_more()) return;
  for (const Room& room : room_) room.listener();
}

void Stream::release(Nanos now) noexcept {
  const std::int64_t first = ring_.released_sequence();
  departures_.plan(now);
  std::int64_t end = first;
  std::uint64_t position = ring_.released_position();
  while (end < ring_.next_sequence()) {
    const Descriptor& d = ring_.descriptor(end);
    if (departures_.due(end) > now) break;
    departures_.leave(end);
    position = d.position + d.size;
    end++;
  }
  if (end == first) return;
  const Nanos late = now - due_;
  if (late > static_cast<Nanos>(loop_.timer_late_ns_max))
    gauge(loop_.timer_late_ns_max, static_cast<std::uint64_t>(late));
  ring_.release(end, position);
  for (PacketReader* reader : packet_readers_) reader->on_departure(ring_, first, end);
  bump(counters_.packets_released, static_cast<std::uint64_t>(end - first));
}

Nanos Stream::edge_pause() const noexcept {
  return std::clamp(static_cast<Nanos>(byte_readers_.size()) * kEdgePausePerReader, kEdgePause,
                    kLongestEdgePause);
}

/** To the end of the last whole piece, or after a pause to all that has departed. */
void Stream::move_edge(Nanos now) noexcept {
  const std::uint64_t waiting = ring_.released_position() - edge_;
  if (waiting == 0) return;
  const bool paused = now - edge_time_ >= edge_pause();
  if (waiting < (byte_readers_.size() < kCrowd ? 1 : 2) * kBytePiece && !paused) return;
  edge_ += paused ? waiting : waiting / kBytePiece * kBytePiece;
  edge_time_ = now;
  tell_readers();
}

void Stream::tell_readers() noexcept {
  // Nobody enters before the two newest points that have departed.
  while (points_.size() > 2 && points_[2].position < edge_) points_.pop_front();
  telling_readers_ = true;
  for (std::size_t i = 0; i < byte_readers_.size(); i++)
    if (byte_readers_[i] != nullptr) byte_readers_[i]->on_bytes();
  telling_readers_ = false;
  if (gone_readers_ > 0) {
    std::erase(byte_readers_, nullptr);
    gone_readers_ = 0;
  }
  if (ready_told_) return;
  const AccessPoint* const point = newest_access_point();
  if (point == nullptr || point->position < ready_after_) return;
  ready_told_ = true;
  observer_.on_stream_ready();
}

void Stream::schedule(Nanos now) noexcept {
  if (ring_.released_sequence() < ring_.next_sequence()) {
    return wake_at(std::max(departures_.due(ring_.released_sequence()), now + kLeastPause));
  }
  if (ring_.released_position() > edge_) wake_at(edge_time_ + edge_pause());
}

void Stream::wake_at(Nanos at) noexcept {
  const Nanos beat = patience();
  due_ = beat > 0 ? kernel::next_beat(at, beat) : at;
  reactor_.arm(*this, due_);
}

void Stream::housekeeping(Nanos now) noexcept {
  gauge(counters_.ring_used_bytes, ring_.write_position() - ring_.oldest_position());
  tell_rates(now);
  // Over some seconds, because segmented sources come in steps and pictures differ in size.
  const Nanos span = now - rate_time_;
  if (span < 4 * kSecond) return;
  const double bits = static_cast<double>(ring_.released_position() - rate_bytes_) * 8;
  if (rate_time_ > 0)
    gauge(counters_.bitrate,
          static_cast<std::uint64_t>(bits * static_cast<double>(kSecond) / static_cast<double>(span)));
  rate_time_ = now;
  rate_bytes_ = ring_.released_position();
}

void Stream::tell_rates(Nanos now) noexcept {
  const SmootherState state = departures_.state(now);
  gauge(counters_.mean_rate, state.mean);
  gauge(counters_.rate_variation, static_cast<std::uint64_t>(state.variation * 100));
  gauge(counters_.peak_rate, state.peak_in);
  gauge(counters_.output_peak_rate, state.peak_out);
  gauge(counters_.smoothing, state.active ? 1 : 0);
  const auto delay = static_cast<std::uint64_t>(state.delay_max / 1000);
  gauge(counters_.smoothing_delay_us, delay);
  gauge(counters_.smoothing_delay_max_us, std::max(counters_.smoothing_delay_max_us, delay));
}

}  // namespace sluice::plane
