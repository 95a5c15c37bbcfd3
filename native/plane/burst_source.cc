#include "plane/burst_source.h"

#include <algorithm>

namespace sluice::plane {

using codec::rams::Information;
using codec::rams::Response;
using kernel::kMillisecond;

namespace {

/** Over which the stream's rate is taken. */
constexpr Nanos kRateWindow = 2 * kernel::kSecond;
/** Between two looks at what may leave. */
constexpr Nanos kPause = 2 * kMillisecond;
/** What leaves at once: of a pause that took longer, and at least so much. */
constexpr Nanos kLatePause = 3 * kPause;
constexpr std::uint64_t kLeastBatch = 8 * 1500;
/** A burst that needs longer to catch up is none. */
constexpr Nanos kLongestCatchUp = 10 * kernel::kSecond;
/** A burst that is hardly faster than its stream never catches up: percent. */
constexpr std::uint64_t kLeastRate = 105;
constexpr unsigned kTells = 3;
constexpr Nanos kTellPause = 20 * kMillisecond;
constexpr std::int64_t kTicksPerMillisecond = codec::kSystemClock / 1000;

/** By value: addresses of both families as the wire has them. */
bool same(const kernel::Address& a, const kernel::Address& b) noexcept {
  return a.port() == b.port() && a.bytes() == b.bytes();
}

std::uint32_t milliseconds(Nanos time) noexcept {
  return static_cast<std::uint32_t>(time / kMillisecond);
}

}  // namespace

BurstSource::BurstSource(Stream& stream, const AcquisitionOptions& options, BurstOutput& output)
    : stream_(stream), options_(options), output_(output), bursts_(options.most) {}

std::vector<Burst>::iterator BurstSource::find(const kernel::Address& to) noexcept {
  return std::find_if(bursts_.begin(), bursts_.end(),
                      [&to](const Burst& burst) { return burst.running && same(burst.to, to); });
}

bool BurstSource::runs_to(const kernel::Address& to) const noexcept {
  return std::any_of(bursts_.begin(), bursts_.end(),
                     [&to](const Burst& burst) { return burst.running && same(burst.to, to); });
}

Response BurstSource::request(const kernel::Address& from, std::size_t receiver,
                              const codec::rams::Request& request, Nanos now) noexcept {
  if (const auto burst = find(from); burst != bursts_.end()) {
    output_.inform(*burst, burst->information);
    return Response::updated;
  }
  Burst burst;
  burst.pace_of_stream = stream_.recent_rate(kRateWindow);
  burst.rate = burst.pace_of_stream * options_.rate / 100;
  if (request.max_rate) burst.rate = std::min(burst.rate, *request.max_rate / 8);
  Response response = decide(request, burst);
  const auto free = std::find_if(bursts_.begin(), bursts_.end(), [](const Burst& b) { return !b.running; });
  if (response == Response::accepted && free == bursts_.end()) response = Response::no_processor;
  if (response != Response::accepted) return response;
  burst.to = from;
  burst.target = kernel::UdpTarget(from, options_.dscp, std::nullopt);
  burst.receiver = receiver;
  *free = burst;
  begin(*free, now);
  return response;
}

Response BurstSource::decide(const codec::rams::Request& request, Burst& burst) const noexcept {
  if (burst.pace_of_stream == 0) return Response::no_start;
  if (burst.rate < burst.pace_of_stream * kLeastRate / 100) return Response::insufficient_bitrate;
  if (reserved_ + burst.rate > options_.most_rate) return Response::no_bandwidth;
  const AccessPoint* const point =
      stream_.access_point_before(Nanos{request.min_fill.value_or(0)} * kMillisecond);
  if (point == nullptr) return Response::no_start;
  const Ring& ring = stream_.ring();
  burst.next = ring.find(point->tables_position);
  const std::int64_t held = ring.descriptor(ring.released_sequence() - 1).media_time;
  const std::int64_t fill = (held - ring.descriptor(burst.next).media_time) / kTicksPerMillisecond;
  if (request.max_fill && fill > *request.max_fill) return Response::no_start;
  return catch_up(burst) > kLongestCatchUp ? Response::no_start : Response::accepted;
}

Nanos BurstSource::catch_up(const Burst& burst) const noexcept {
  const Ring& ring = stream_.ring();
  const std::uint64_t backlog = ring.released_position() - ring.descriptor(burst.next).position;
  return static_cast<Nanos>(static_cast<double>(backlog) /
                            static_cast<double>(burst.rate - burst.pace_of_stream) * 1e9);
}

void BurstSource::begin(Burst& burst, Nanos now) noexcept {
  const std::uint64_t late = burst.rate * static_cast<std::uint64_t>(kLatePause / kMillisecond) / 1000;
  const Nanos behind = catch_up(burst);
  burst.running = true;
  burst.pace = repair::Budget(burst.rate, std::max(kLeastBatch, late));
  burst.until = now + behind + options_.overlap;
  Information& told = burst.information;
  told.response = static_cast<std::uint16_t>(Response::accepted);
  told.source = stream_.ssrc();
  told.first_sequence = static_cast<std::uint16_t>(burst.next);
  told.earliest_join = milliseconds(behind);
  told.duration = milliseconds(behind + options_.overlap);
  told.max_rate = burst.rate * 8;
  running_++;
  reserved_ += burst.rate;
  go_on(burst, now);
}

void BurstSource::terminate(const kernel::Address& from, const codec::rams::Termination& termination,
                            Nanos now) noexcept {
  const auto burst = find(from);
  if (burst == bursts_.end()) return;
  // The cycles are the receiver's own count: only the low bits are common.
  burst->end =
      termination.first_multicast
          ? codec::extend_sequence(burst->next, static_cast<std::uint16_t>(*termination.first_multicast))
          : burst->next;
  go_on(*burst, now);
}

void BurstSource::advance(Nanos now) noexcept {
  advanced_ = now;
  for (Burst& burst : bursts_)
    if (burst.running) go_on(burst, now);
}

std::optional<Nanos> BurstSource::deadline() const noexcept {
  return running_ > 0 ? std::optional(advanced_ + kPause) : std::nullopt;
}

void BurstSource::go_on(Burst& burst, Nanos now) noexcept {
  if (burst.tells < kTells && now >= burst.tell_at) {
    burst.tells++;
    burst.tell_at = now + kTellPause;
    output_.inform(burst, burst.information);
  }
  send(burst, now);
  if (burst.next >= burst.end || now >= burst.until) finish(burst);
}

void BurstSource::send(Burst& burst, Nanos now) noexcept {
  const Ring& ring = stream_.ring();
  const std::int64_t end = std::min(burst.end, ring.released_sequence());
  while (burst.next < end) {
    const Descriptor& d = ring.descriptor(burst.next);
    // The ring has gone on over it: there is nothing to be continued.
    if (d.sequence != burst.next || d.position < ring.oldest_position()) {
      burst.until = now;
      return;
    }
    if (!burst.pace.take(codec::kRtpHeaderSize + d.size, now)) return;
    output_.send_burst(burst, burst.next++);
  }
}

void BurstSource::finish(Burst& burst) noexcept {
  burst.running = false;
  running_--;
  reserved_ -= burst.rate;
  Information told;
  told.number = static_cast<std::uint8_t>(burst.information.number + 1);
  told.response = static_cast<std::uint16_t>(Response::completed);
  told.source = stream_.ssrc();
  output_.inform(burst, told);
}

}  // namespace sluice::plane
