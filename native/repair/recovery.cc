#include "repair/recovery.h"

#include <utility>

namespace sluice::repair {

using codec::Bytes;

namespace {

constexpr Nanos kNone = -1;
constexpr std::size_t kTsPacket = 188;
/** The playout delay grows and shrinks by so much of the time that passes: one part of fifty is not seen. */
constexpr Nanos kSlew = 50;
/** Room above what repairs took. */
constexpr Nanos kMargin = 4;
/** Round trips that are left for questions when parity has not come. */
constexpr Nanos kRounds = 4;
/** A fetch that failed is tried once more. */
constexpr unsigned kMostFetches = 2;
/** So many requests may be without an answer before a packet is fetched. */
constexpr unsigned kUnanswered = 2;
/** At least so much for what a burst has not brought: its server may be behind the group, however near it is.
 */
constexpr Nanos kLeastTime = 100 * kMillisecond;
/** So long a slow repair is remembered. */
constexpr Nanos kForgets = 60'000 * kMillisecond;

/** The first that is not before it. */
template <class T>
auto lower_bound(T& missing, std::int64_t sequence) noexcept {
  return std::lower_bound(missing.begin(), missing.end(), sequence,
                          [](const auto& one, std::int64_t number) { return one.sequence < number; });
}

}  // namespace

Recovery::Recovery(const RecoveryOptions& options, RecoveryOutput& output, std::uint32_t seed)
    : options_(options),
      output_(output),
      window_(options.window, options.most),
      parity_(window_, *this),
      round_trip_(options.round_trip),
      pace_(options.fetch_time),
      due_(options.window, kNone),
      span_(options.parity_span),
      playout_(options.playout),
      random_(seed | 1) {
  RepairOutput& self = *this;
  if (options.block) block_.emplace(window_, self, *options.block);
  missing_.reserve(options.window);
  asking_.reserve(options.window);
  fetching_.reserve(kMostFetched);
}

/** xorshift32: chance that repeats with its seed. */
std::uint32_t Recovery::chance() noexcept {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_;
}

bool Recovery::whole(Bytes datagram) const noexcept {
  if (!options_.mpegts) return true;
  const auto packet = codec::parse_rtp(datagram);
  if (!packet || packet->payload.empty() || packet->payload.size() % kTsPacket != 0) return false;
  for (std::size_t i = 0; i < packet->payload.size(); i += kTsPacket)
    if (packet->payload[i] != 0x47 || (packet->payload[i + 1] & 0x80) != 0) return false;
  return true;
}

/** Another source, or a jump, is believed when the next packet continues it (RFC 3550 A.1). */
bool Recovery::accept(const codec::RtpHeader& header) noexcept {
  const std::int64_t step = codec::extend_sequence(highest_, header.sequence) - highest_;
  const auto reach = static_cast<std::int64_t>(options_.window / 2);
  if (begun_ && header.ssrc == ssrc_ && step > -reach && step < reach) {
    candidate_.present = false;
    return true;
  }
  if (begun_ &&
      !(candidate_.present && candidate_.ssrc == header.ssrc && candidate_.next == header.sequence)) {
    candidate_ = {header.ssrc, static_cast<std::uint16_t>(header.sequence + 1), true};
    return false;
  }
  if (begun_) {
    flush();
    counters_.restarts++;
    output_.on_restart();
  }
  begin(header);
  return true;
}

void Recovery::begin(const codec::RtpHeader& header) noexcept {
  begun_ = true;
  candidate_.present = false;
  ssrc_ = header.ssrc;
  window_.clear();
  parity_.clear();
  parity_.set_source(ssrc_);
  if (block_) {
    block_->clear();
    block_->set_source(ssrc_);
  }
  missing_.clear();
  next_ = first_ = anchor_ = kFirstCycle + header.sequence;
  highest_ = next_ - 1;
  burst_next_ = 0;
}

std::int64_t Recovery::oldest() const noexcept {
  return std::max(first_, highest_ + 1 - static_cast<std::int64_t>(options_.window));
}

/** All up to and without `sequence` was on its way before. */
void Recovery::reach(std::int64_t sequence, Nanos now) noexcept {
  const auto most = static_cast<std::int64_t>(options_.window / 2);
  while (sequence - next_ >= most && next_ <= highest_) deliver(due(next_), false);
  const Nanos end = now + playout_;
  const Nanos begin = due_slot(highest_) == kNone ? end : due_slot(highest_);
  for (std::int64_t i = highest_ + 1; i < sequence; i++) {
    due_slot(i) = kNone;
    missing_.push_back({i, now, begin + (end - begin) * (i - highest_) / (sequence - highest_)});
    counters_.missing++;
  }
  highest_ = std::max(highest_, sequence - 1);
}

void Recovery::on_packet(Bytes datagram, Nanos now) noexcept {
  now_ = now;
  const auto header = codec::parse_rtp_header(datagram);
  if (!header || datagram.size() > window_.most()) {
    counters_.damaged++;
    return;
  }
  if (!accept(*header)) return;
  const std::int64_t sequence = codec::extend_sequence(highest_, header->sequence);
  counters_.received++;
  if (window_.has(sequence)) {
    // What was made before it came was not missing.
    if (sequence < next_ || !window_.came(sequence)) counters_.duplicates++;
  } else if (sequence < next_) {
    counters_.late++;
  } else if (whole(datagram)) {
    insert(sequence, datagram, Origin::received, now);
  } else {
    counters_.damaged++;
    if (sequence <= highest_) return;
    reach(sequence + 1, now);
    due_slot(sequence) = now + playout_;
  }
}

void Recovery::insert(std::int64_t sequence, Bytes datagram, Origin origin, Nanos now) noexcept {
  if (sequence > highest_) {
    reach(sequence, now);
    highest_ = sequence;
    due_slot(sequence) = now + playout_;
  }
  window_.store(sequence, datagram, origin);
  if (parity_.waits()) parity_.on_stored(oldest());
  if (block_ && block_->waits()) block_->on_stored(oldest());
}

void Recovery::count_repair(Origin origin) noexcept {
  if (origin == Origin::parity) counters_.by_parity++;
  if (origin == Origin::block) counters_.by_block++;
  if (origin == Origin::retransmitted) counters_.by_retransmission++;
  if (origin == Origin::fetched) counters_.by_fetch++;
}

void Recovery::on_repaired(std::int64_t sequence) noexcept {
  if (!whole(window_.datagram(sequence))) {
    counters_.damaged++;
    window_.forget(sequence);
    return;
  }
  // Parity that overtook what it protects.
  if (sequence > highest_) {
    reach(sequence, now_);
    highest_ = sequence;
    due_slot(sequence) = now_ + playout_;
  }
}

void Recovery::on_parity(Bytes datagram, Nanos now) noexcept {
  now_ = now;
  const auto packet = codec::parse_parity(datagram);
  if (!packet) {
    counters_.damaged++;
    return;
  }
  if (!begun_) return;
  learn_span(packet->scope.base);
  parity_.on_parity(*packet, highest_, oldest());
  if (block_ && block_->waits()) block_->on_stored(oldest());
}

void Recovery::on_block_parity(Bytes datagram, Nanos now) noexcept {
  now_ = now;
  const auto packet = codec::parse_block_parity(datagram);
  if (!packet || !block_) {
    counters_.damaged++;
    return;
  }
  if (!begun_) return;
  learn_span(packet->base);
  block_->on_repair(*packet, highest_, oldest());
  if (parity_.waits()) parity_.on_stored(oldest());
}

void Recovery::on_retransmission(Bytes datagram, Nanos now) noexcept {
  take_copy(datagram, Origin::retransmitted, now);
}

void Recovery::on_fetched(Bytes datagram, Nanos now) noexcept {
  take_copy(datagram, Origin::fetched, now);
}

void Recovery::take_copy(Bytes datagram, Origin origin, Nanos now) noexcept {
  now_ = now;
  const auto header = codec::parse_rtp_header(datagram);
  if (!header || !begun_ || header->ssrc != ssrc_ || datagram.size() > window_.most() || !whole(datagram)) {
    counters_.damaged++;
    return;
  }
  const std::int64_t sequence = codec::extend_sequence(highest_, header->sequence);
  if (sequence < next_) {
    counters_.late++;
    return;
  }
  if (window_.has(sequence)) {
    counters_.duplicates++;
    return;
  }
  // What was never missed is not taken: it may be anybody's.
  const Missing* const at = find_missing(sequence);
  if (at == nullptr) return;
  if (origin == Origin::retransmitted && at->asks == 1) round_trip_.measure(now - at->asked);
  slowest_ = std::max(slowest_, now - at->found);
  insert(sequence, datagram, origin, now);
}

Recovery::Missing* Recovery::find_missing(std::int64_t sequence) noexcept {
  const auto at = lower_bound(missing_, sequence);
  return at != missing_.end() && at->sequence == sequence ? &*at : nullptr;
}

void Recovery::expect(std::uint32_t ssrc, std::uint16_t first) noexcept {
  if (!begun_) begin({false, 0, first, 0, ssrc});
}

void Recovery::on_burst(Bytes datagram, Nanos now) noexcept {
  const auto header = codec::parse_rtp_header(datagram);
  if (!header) {
    counters_.damaged++;
    return;
  }
  if (!begun_) {
    on_packet(datagram, now);
    burst_next_ = highest_ + 1;
    return;
  }
  const std::int64_t sequence = codec::extend_sequence(highest_, header->sequence);
  // It may begin after the multicast has: what is over is no other source, nor is a stranger.
  if (header->ssrc != ssrc_ || std::abs(sequence - highest_) >= static_cast<std::int64_t>(window_.size() / 2))
    return;
  for (std::int64_t i = std::max(burst_next_, next_); i < std::min(sequence, highest_); i++)
    if (Missing* const passed = find_missing(i)) give_time(*passed, now);
  burst_next_ = std::max(burst_next_, sequence + 1);
  const Missing* const at = sequence >= next_ ? find_missing(sequence) : nullptr;
  if (at == nullptr || at->asks > 0 || window_.has(sequence) || !whole(datagram)) {
    if (at != nullptr) return on_retransmission(datagram, now);
    return on_packet(datagram, now);
  }
  // It was not lost: it only came by the other way, later.
  counters_.missing--;
  insert(sequence, datagram, Origin::received, now);
}

void Recovery::expect_burst(bool expected, Nanos now) noexcept {
  if (burst_expected_ && !expected)
    for (Missing& one : missing_) give_time(one, now);
  burst_expected_ = expected;
}

/** Only now it is missing: to be asked for, and answered, even if it should have been delivered before. */
void Recovery::give_time(Missing& one, Nanos now) noexcept {
  one.patience = now + std::max(kLeastTime, kRounds * round_trip_.smoothed());
  one.due = std::max(one.due, one.patience);
  if (one.next == kNever) one.next = now;
}

/** How long the next to be delivered is waited for if it is missing. */
Nanos Recovery::waits_until() const noexcept {
  if (missing_.empty() || window_.has(next_)) return 0;
  const auto at = lower_bound(missing_, next_);
  if (at == missing_.end() || at->sequence != next_) return 0;
  return held(*at) ? kNever : at->patience;
}

/** For a packet before the anchor: between the one delivered last and the anchor. */
Nanos Recovery::due(std::int64_t sequence) const noexcept {
  const Nanos end = due_slot(anchor_);
  if (sequence >= anchor_) return end;
  const Nanos span = std::max<Nanos>(0, end - delivered_due_);
  return end - span * (anchor_ - sequence) / (anchor_ - next_ + 1);
}

void Recovery::find_anchor() noexcept {
  anchor_ = std::max(anchor_, next_);
  while (anchor_ < highest_ && due_slot(anchor_) == kNone) anchor_++;
}

/** `patient`: not what is waited for beyond its time. */
void Recovery::deliver(Nanos now, bool patient) noexcept {
  std::int64_t lost = 0;
  while (next_ <= highest_) {
    find_anchor();
    const Nanos at = due(next_);
    if (at > now || (patient && waits_until() > now)) break;
    if (window_.has(next_)) {
      give_up(lost);
      delivered_due_ = std::max(delivered_due_, at);
      count_repair(window_.origin(next_));
      output_.on_packet(next_, window_.datagram(next_), window_.origin(next_));
    } else {
      lost++;
      delivered_due_ = std::max(delivered_due_, at);
    }
    next_++;
  }
  give_up(lost);
}

/** So many before the next are lost. */
void Recovery::give_up(std::int64_t& lost) noexcept {
  if (lost == 0) return;
  counters_.lost += static_cast<std::uint64_t>(lost);
  output_.on_lost(next_ - lost, lost);
  lost = 0;
}

void Recovery::learn_span(std::uint16_t base) noexcept {
  const std::int64_t span = highest_ + 1 - codec::extend_sequence(highest_, base);
  parity_heard_ = highest_;
  if (options_.parity_span == 0 && span <= static_cast<std::int64_t>(options_.window / 2))
    span_ = std::max(span_, span);
}

/** Parity of what follows this packet by less than the span; none that was heard once is waited for for ever.
 */
bool Recovery::parity_is_due(const Missing& one) const noexcept {
  constexpr std::int64_t kSilence = 4;
  const bool heard = options_.parity_span > 0 || highest_ <= parity_heard_ + kSilence * span_;
  return span_ > 0 && heard && highest_ < one.sequence + span_;
}

bool Recovery::parity_may_come(const Missing& one, Nanos now) const noexcept {
  return parity_is_due(one) && now < patience_end(one);
}

/** The stream may pause: then it is not known by packets that no parity comes any more. */
Nanos Recovery::patience_end(const Missing& one) const noexcept {
  return std::max(one.found, one.due - kRounds * round_trip_.smoothed());
}

/** An answer would come after its time, and so would every later one. Asked once all the same before any
 * round trip was measured: else none ever is where less time is left than one was thought to take. */
bool Recovery::hopeless(const Missing& one, Nanos now) const noexcept {
  const bool known = round_trip_.measured() || one.asks > 0;
  return now + (known ? round_trip_.smoothed() : 0) > one.due;
}

/** Until it is asked for again: what has only one question left is asked for several times meanwhile. */
Nanos Recovery::pause_after(const Missing& one, Nanos now) const noexcept {
  const Nanos patience = round_trip_.patience();
  const Nanos left = one.due - round_trip_.smoothed() - now;
  return left < patience ? std::max(kMillisecond, patience / kRounds) : patience;
}

void Recovery::ask(Nanos now) noexcept {
  std::erase_if(missing_,
                [this](const Missing& one) { return one.sequence < next_ || window_.has(one.sequence); });
  if (!options_.asks) return;
  asking_.clear();
  for (Missing& one : missing_) {
    if (one.next == kNever || held(one) || highest_ - one.sequence < options_.disorder ||
        parity_may_come(one, now))
      continue;
    if (one.next == 0) one.next = now + (options_.dither > 0 ? chance() % options_.dither : 0);
    if (now < one.next) continue;
    if (hopeless(one, now)) {
      one.next = kNever;
      continue;
    }
    one.asked = now;
    one.asks++;
    one.next = now + pause_after(one, now);
    asking_.push_back(one.sequence);
  }
  if (asking_.empty()) return;
  counters_.requests++;
  counters_.requested += asking_.size();
  output_.on_request(asking_);
}

/** When it is fetched, if nothing brings it before. */
Nanos Recovery::fetch_at(const Missing& one) const noexcept {
  if (!options_.fetches || one.fetching || one.fetches >= kMostFetches || held(one) ||
      highest_ - one.sequence < options_.disorder)
    return kNever;
  const Nanos last = std::max(one.found, one.due - pace_.reserve(playout_));
  if (parity_is_due(one)) return last;
  if (!options_.asks || one.next == kNever) return one.found;
  if (one.asks <= kUnanswered) return last;
  return std::min(last, one.found + kUnanswered * round_trip_.patience());
}

void Recovery::fetch(Nanos now) noexcept {
  if (!options_.fetches || now < pace_.ready()) return;
  fetching_.clear();
  for (Missing& one : missing_) {
    if (fetching_.size() == kMostFetched) break;
    if (now < fetch_at(one)) continue;
    one.fetching = pace_.in_time(one.due, now);
    one.fetches = one.fetching ? one.fetches + 1 : kMostFetches;
    if (one.fetching) fetching_.push_back(one.sequence);
  }
  if (fetching_.empty()) return;
  pace_.begin(now);
  output_.on_fetch(fetching_, pace_.bound(playout_));
}

void Recovery::on_fetch_end(bool answered, Nanos now) noexcept {
  now_ = now;
  pace_.end(answered, now);
  for (Missing& one : missing_)
    if (std::exchange(one.fetching, false) && answered) one.fetches = kMostFetches;
}

/** Slowly towards what the slowest repair of late has taken. */
void Recovery::adapt(Nanos now) noexcept {
  if (options_.least_playout == 0) return;
  const Nanos passed = std::min(now - adapted_, options_.playout);
  adapted_ = now;
  if (passed <= 0) return;
  const Nanos wanted = std::clamp(slowest_ + slowest_ / kMargin, options_.least_playout, options_.playout);
  playout_ += std::clamp(wanted - playout_, -passed / kSlew, passed / kSlew);
  slowest_ -= slowest_ * passed / (kForgets + passed);
}

void Recovery::advance(Nanos now) noexcept {
  now_ = now;
  adapt(now);
  deliver(now, true);
  ask(now);
  fetch(now);
}

/** When it is asked for next. */
Nanos Recovery::ask_at(const Missing& one) const noexcept {
  if (!options_.asks || one.next == kNever || held(one)) return kNever;
  return parity_is_due(one) ? std::max(one.next, patience_end(one)) : one.next;
}

std::optional<Nanos> Recovery::deadline() const noexcept {
  if (!begun_ || next_ > highest_) return std::nullopt;
  Nanos first = std::max(due(next_), waits_until());
  if (options_.asks || options_.fetches)
    for (const Missing& one : missing_)
      if (!window_.has(one.sequence))
        first = std::min({first, ask_at(one), std::max(fetch_at(one), pace_.ready())});
  if (first == kNever) return std::nullopt;
  return first;
}

void Recovery::flush() noexcept {
  deliver(kNever, false);
  missing_.clear();
}

}  // namespace sluice::repair
