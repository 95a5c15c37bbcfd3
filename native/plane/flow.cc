#include "plane/flow.h"

#include <algorithm>

#include "codec/rtcp.h"
#include "codec/rtp.h"
#include "kernel/counter.h"
#include "kernel/prefetch.h"

namespace sluice::plane {

using kernel::bump;
using kernel::Error;
using kernel::gauge;

namespace {

/** Those that every packet moves are the first. */
constexpr std::size_t kHotCounters = 64;
/** Of a flow that was not asked to keep any past. */
constexpr std::size_t kLeastRing = 1 << 20;
/** Gathered packets that are sent before their wait is over: more make a batch hardly cheaper. */
constexpr std::int64_t kFullBatch = 32;
/** Packets sent to receivers in one turn, so that a large flow does not hold up the others of its loop. */
constexpr std::size_t kPacketsPerTurn = 512;
/** Departures of a paced flow are at least so far apart: what is due by then leaves as one batch. */
constexpr Nanos kLeastPause = kernel::kMillisecond;
/** RFC 3550 A.1: numbers further apart than this are those of a source that has begun anew. */
constexpr std::int64_t kMaxDropout = 3000;
constexpr std::int64_t kMaxMisorder = 100;

}  // namespace

FlowBench::FlowBench(kernel::Reactor& r, MemoryBudget& b)
    : reactor(r), budget(b), links(PortBench::kMessages * kernel::UdpInbox::kMaxSegments) {
  ports.rtcp = this;
}

bool FlowBench::on_rtcp(const kernel::Datagram& datagram, Nanos now) noexcept {
  const auto sender = kernel::Address::from(*datagram.sender);
  const auto compound = codec::RtcpCompound::parse(datagram.data, codec::RtcpForm::reduced_too);
  if (!sender || !compound) return false;
  return directory.each_from(*sender, [&](Handle handle, ReceiverRtcp& state) {
    const Place& place = receivers.at(handle);
    if (FlowRtcp* const rtcp = place.flow->rtcp())
      rtcp->on_receiver(place.flow->receivers()[place.index], state, *compound, now);
  });
}

kernel::Result<std::unique_ptr<Flow>> Flow::create(FlowBench& bench, const FlowOptions& options,
                                                   FlowCounters& counters) {
  std::unique_ptr<Flow> flow(new Flow(bench, options, counters));
  if (options.history > 0 || options.wait > 0 || options.smoothing)
    if (auto error = flow->make_ring(std::max(options.history, kLeastRing))) return std::move(*error);
  return flow;
}

Flow::Flow(FlowBench& bench, const FlowOptions& options, FlowCounters& counters) noexcept
    : counters_(counters),
      bench_(bench),
      rtp_(options.rtp),
      priority_(static_cast<std::uint8_t>(options.priority)),
      clock_rate_(options.clock_rate),
      statistics_(0, options.clock_rate),
      options_(options) {
  if (options_.smoothing) smoother_ = std::make_unique<Smoother>(*options_.smoothing);
  bench_.ports.overload.enter(priority_);
}

Flow::~Flow() {
  bench_.ports.overload.leave(priority_);
  for (const FlowReceiver& receiver : receivers_) {
    receiver.port().let_go();
    bench_.receivers.erase(receiver.handle());
    bench_.directory.remove(receiver.handle());
  }
  if (ring_) bench_.budget.give_back(ring_->size());
}

std::optional<Error> Flow::make_ring(std::size_t bytes) {
  if (auto error = bench_.budget.take("the store of the flow `" + options_.name + "`", bytes)) return error;
  auto ring = PacketRing::create(bytes);
  if (!ring.ok()) {
    bench_.budget.give_back(bytes);
    return ring.error();
  }
  ring_ = std::make_unique<PacketRing>(std::move(ring.value()));
  return std::nullopt;
}

std::optional<Error> Flow::prepare(std::size_t more) {
  if (!ring_ && receivers_.size() + more > kDirect) return make_ring(kLeastRing);
  return std::nullopt;
}

void Flow::place(std::size_t index) noexcept {
  bench_.receivers.insert_or_assign(receivers_[index].handle(), FlowBench::Place{this, index});
}

void Flow::count_receivers(std::int64_t open) noexcept {
  gauge(counters_.receivers, receivers_.size());
  gauge(counters_.receivers_open,
        static_cast<std::uint64_t>(static_cast<std::int64_t>(counters_.receivers_open) + open));
}

void Flow::put(FlowReceiver receiver) {
  receivers_.push_back(receiver);
  place(receivers_.size() - 1);
  if (rtcp_) bench_.directory.add(receiver);
  count_receivers(receiver.open() ? 1 : 0);
}

FlowReceiver Flow::take_out(std::size_t index) noexcept {
  const FlowReceiver taken = receivers_[index];
  bench_.receivers.erase(taken.handle());
  // Those before round_next_ have had this round, those from there on have not: each stays on its side.
  if (round_ && index < round_next_) {
    round_next_--;
    if (index != round_next_) {
      receivers_[index] = receivers_[round_next_];
      place(index);
    }
    index = round_next_;
  }
  if (index != receivers_.size() - 1) {
    receivers_[index] = receivers_.back();
    place(index);
  }
  receivers_.pop_back();
  count_receivers(taken.open() ? -1 : 0);
  return taken;
}

void Flow::close(std::size_t index) noexcept {
  if (!receivers_[index].open()) return;
  receivers_[index].turn(false);
  count_receivers(-1);
}

void Flow::open(FlowReceiver receiver, Nanos since) {
  receiver.turn(true);
  bump(counters_.switches);
  // As the last it gets the round that is under way, if there is one, and all after it.
  put(receiver);
  send_past(receivers_.back(), since);
}

std::span<const FlowPacket> Flow::read(std::int64_t first, std::int64_t end) noexcept {
  std::size_t n = 0;
  for (std::int64_t i = first; i < end && n < bench_.batch.size(); i++) {
    bench_.batch[n] = ring_->read(i, rtp_);
    // Numbers do not go on over a restart: it is the first of its batch.
    if (n > 0 && bench_.batch[n].restart) break;
    n++;
  }
  return {bench_.batch.data(), n};
}

void Flow::send_past(FlowReceiver& receiver, Nanos since) noexcept {
  if (!ring_) return;
  const Nanos now = bench_.reactor.now();
  FlowSender& sender = bench_.ports.sender;
  for (std::int64_t at = ring_->find(since); at < sent_;) {
    const auto packets = read(at, sent_);
    sender.begin(packets, clock_rate_, counters_, now);
    sender.send(receiver);
    at += static_cast<std::int64_t>(packets.size());
  }
  sender.flush();
}

/** Reads what a datagram says of itself; false when it is not RTP. */
bool Flow::number(codec::Bytes datagram, FlowPacket& packet) noexcept {
  const auto header = codec::parse_rtp_header(datagram);
  if (!header) return false;
  packet.header = datagram.data();
  packet.body = datagram.subspan(codec::kRtpHeaderSize);
  packet.sequence = codec::extend_sequence(highest_, header->sequence);
  const std::int64_t step = packet.sequence - highest_;
  packet.restart = !begun_ || header->ssrc != ssrc_ || step > kMaxDropout || step < -kMaxMisorder;
  if (packet.restart) {
    begun_ = true;
    ssrc_ = header->ssrc;
    packet.sequence = header->sequence;
    gauge(counters_.ssrc, ssrc_);
    if (statistics_.ssrc() != ssrc_) statistics_ = RtpStatistics(ssrc_, clock_rate_);
  } else if (step <= 0) {
    bump(step < 0 ? counters_.rtp_reordered : counters_.rtp_duplicates);
  }
  statistics_.update(header->sequence, header->timestamp, packet.arrival);
  if (packet.restart || step > 0) highest_ = packet.sequence;
  return true;
}

void Flow::on_datagram(const kernel::Datagram& datagram, Nanos now) noexcept {
  kernel::prefetch(&counters_, kHotCounters);
  kernel::prefetch(receivers_.data(), FlowReceiver::kHotBytes);
  if (rtp_ && codec::is_rtcp(datagram.data)) {
    if (!rtcp_) return bump(counters_.rtcp_in);
    return rtcp_->on_datagram(datagram, now);
  }
  if (rtcp_ && rtcp_->asks_for_source()) rtcp_->set_source(*datagram.sender);
  FlowPacket packet{nullptr, datagram.data, highest_ + 1, datagram.arrival, false};
  if (!rtp_) {
    highest_++;
  } else if (!number(datagram.data, packet)) {
    return bump(counters_.malformed);
  }
  // Where the first of a new beginning is shed, the next stands for it.
  restart_ = packet.restart = packet.restart || restart_;
  bump(counters_.packets_in);
  bump(counters_.bytes_in, datagram.data.size());
  measure(datagram.data.size(), datagram.arrival);
  if (Overload::stale(datagram.arrival, now)) return bump(counters_.shed_late);
  if (bench_.ports.overload.sheds(priority_)) return bump(counters_.shed_priority);
  if (ring_) return take(packet);
  restart_ = false;
  // Linked to the others of the batch: sent when all that came with it is known.
  const auto at = static_cast<std::uint32_t>(bench_.links_used++);
  bench_.links[at] = {packet, kNone};
  if (chain_first_ == kNone) {
    chain_first_ = at;
    bench_.chains++;
  } else {
    bench_.links[chain_last_].next = at;
  }
  chain_last_ = at;
}

void Flow::measure(std::size_t bytes, Nanos arrival) noexcept {
  // The kernel's time stamps of datagrams that came by several CPUs may go back.
  measured_at_ = std::max(measured_at_, arrival);
  while (rates_.step(measured_at_)) {
  }
  rates_.add(bytes);
}

void Flow::take(const FlowPacket& packet) noexcept {
  // Rather the new is lost than what others have been sent already.
  if (!ring_->fits(packet.size(), sent_)) return bump(counters_.shed_late);
  restart_ = false;
  ring_->append(packet);
  if (smoother_) smoother_->push(packet.size(), packet.arrival);
}

void Flow::on_batch_end(Nanos now) noexcept {
  gauge(counters_.sequence, static_cast<std::uint64_t>(highest_));
  if (ring_) return pump(now);
  if (chain_first_ != kNone) send_chain(now);
}

void Flow::send_chain(Nanos now) noexcept {
  std::size_t n = 0;
  for (std::uint32_t at = chain_first_; at != kNone; at = bench_.links[at].next) {
    const FlowPacket& packet = bench_.links[at].packet;
    if (n == bench_.batch.size() || (n > 0 && packet.restart)) {
      send_batch({bench_.batch.data(), n}, now);
      n = 0;
    }
    bench_.batch[n++] = packet;
  }
  send_batch({bench_.batch.data(), n}, now);
  chain_first_ = chain_last_ = kNone;
  if (--bench_.chains == 0) bench_.links_used = 0;
}

void Flow::send_batch(std::span<const FlowPacket> packets, Nanos now) noexcept {
  FlowSender& sender = bench_.ports.sender;
  sender.begin(packets, clock_rate_, counters_, now);
  for (FlowReceiver& receiver : receivers_)
    if (receiver.open()) sender.send(receiver);
}

void Flow::on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept {
  const Nanos now = bench_.reactor.now();
  const bool shed = bench_.ports.overload.sheds(priority_);
  std::size_t n = 0;
  for (std::int64_t i = first; i < end; i++) {
    const Descriptor& d = ring.descriptor(i);
    const FlowPacket packet{ring.header(i), {ring.at(d.position), d.size}, i, now, false};
    bump(counters_.packets_in);
    bump(counters_.bytes_in, packet.size());
    measure(packet.size(), now);
    if (shed) {
      bump(counters_.shed_priority);
      continue;
    }
    if (ring_) {
      take(packet);
      continue;
    }
    bench_.batch[n++] = packet;
    if (n < bench_.batch.size() && i + 1 < end) continue;
    send_batch({bench_.batch.data(), n}, now);
    n = 0;
  }
  highest_ = end - 1;
  gauge(counters_.sequence, static_cast<std::uint64_t>(highest_));
  if (ring_)
    pump(now);
  else
    bench_.ports.sender.flush();
}

void Flow::on_timer(Nanos now) noexcept {
  pump(now);
}

/** Lets go what is due, where packets are paced; else all. */
void Flow::release(Nanos now) noexcept {
  if (!smoother_) {
    released_ = ring_->next();
    return;
  }
  for (; released_ < ring_->next(); released_++) {
    const StoredPacket& packet = ring_->packet(released_);
    if (smoother_->due(packet.arrival) > now) return;
    smoother_->take(packet.size, packet.arrival);
  }
}

/** When there is something to be done next; there is something in the store. */
Nanos Flow::due() const noexcept {
  if (smoother_ && sent_ == released_) {
    // Many a millisecond leave together.
    return std::max(smoother_->due(ring_->packet(released_).arrival), bench_.reactor.now() + kLeastPause);
  }
  return ring_->packet(sent_).arrival + options_.wait;
}

bool Flow::stale(std::int64_t index, Nanos now) const noexcept {
  const Nanos kept = options_.smoothing ? options_.smoothing->max_delay : 0;
  return Overload::stale(ring_->packet(index).arrival + kept, now);
}

void Flow::pump(Nanos now) noexcept {
  release(now);
  if (!round_ && !begin_round(now)) return;
  const bool done = go_round(now);
  // What is left waits for the next turn, so that others have theirs.
  if (!done || released_ - sent_ >= kFullBatch) return bench_.reactor.arm(*this, bench_.reactor.now());
  if (sent_ < ring_->next()) bench_.reactor.arm(*this, due());
}

/** False when there is nothing to be sent yet. */
bool Flow::begin_round(Nanos now) noexcept {
  for (; sent_ < released_ && stale(sent_, now); sent_++) bump(counters_.shed_late);
  const std::int64_t pending = released_ - sent_;
  if (sent_ == ring_->next()) return false;
  if (pending == 0 || (pending < kFullBatch && now < due())) {
    bench_.reactor.arm(*this, due());
    return false;
  }
  round_ = true;
  round_next_ = 0;
  round_end_ = sent_ + static_cast<std::int64_t>(read(sent_, released_).size());
  return true;
}

/** Sends the round to some more receivers; true when all have had it. */
bool Flow::go_round(Nanos now) noexcept {
  FlowSender& sender = bench_.ports.sender;
  const auto packets = read(sent_, round_end_);
  sender.begin(packets, clock_rate_, counters_, now);
  for (std::size_t budget = std::max<std::size_t>(kPacketsPerTurn / packets.size(), 1);
       budget > 0 && round_next_ < receivers_.size(); round_next_++) {
    if (!receivers_[round_next_].open()) continue;
    sender.send(receivers_[round_next_]);
    budget--;
  }
  sender.flush();
  if (round_next_ < receivers_.size()) return false;
  sent_ = round_end_;
  round_ = false;
  return true;
}

void Flow::housekeeping(Nanos now) noexcept {
  while (rates_.step(now)) {
  }
  gauge(counters_.bitrate, RateWindows::bits_a_second(rates_.mean()));
  gauge(counters_.peak_rate, RateWindows::bits_a_second(static_cast<double>(rates_.peak())));
  if (smoother_) {
    const SmootherState state = smoother_->state(now);
    gauge(counters_.output_peak_rate, state.peak_out);
    gauge(counters_.smoothing_delay_us, static_cast<std::uint64_t>(state.delay_max / 1000));
  } else {
    gauge(counters_.output_peak_rate, counters_.peak_rate);
  }
  gauge(counters_.rtp_lost, static_cast<std::uint64_t>(std::max(statistics_.lost(), 0)));
  gauge(counters_.jitter_us, std::uint64_t{statistics_.jitter()} * 1'000'000 / clock_rate_);
  if (rtcp_) rtcp_->housekeeping();
  if (!ring_ || ring_->oldest() == ring_->next()) return;
  gauge(counters_.history_ms,
        static_cast<std::uint64_t>((now - ring_->packet(ring_->oldest()).arrival) / kernel::kMillisecond));
}

}  // namespace sluice::plane
