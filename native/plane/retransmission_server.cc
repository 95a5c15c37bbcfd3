#include "plane/retransmission_server.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "codec/nack.h"
#include "codec/retransmission.h"
#include "codec/rtcp.h"
#include "kernel/counter.h"
#include "kernel/file.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

constexpr std::size_t kMessages = 32;
/** Batches taken per wake-up, so that one port does not starve the others. */
constexpr int kBatchesPerTurn = 4;
/** Receivers known at a time, in sets of which an address belongs to one. */
constexpr std::size_t kReceivers = 4096;
constexpr std::size_t kSet = 8;
/** A receiver that has asked for nothing so long gives its place to another. */
constexpr Nanos kForgotten = 10 * kernel::kSecond;
/** Bytes a second that a receiver of a slow stream gets all the same. */
constexpr std::uint64_t kLeastRate = 16'000;
/** Packets that may be asked for at once, however slow the stream is. */
constexpr std::uint64_t kLeastBurst = 64 * 1500;
/** What needs a token (RFC 6284 section 4.2). */
constexpr std::array<std::uint8_t, 1> kGuarded{codec::rtcp_type::kTransportFeedback};
/** Bytes a second, and at once, that tell senders that their tokens are no good: a thousand of them. */
constexpr std::uint64_t kRefusalRate = 1000 * codec::kTokenFailureSize;
/** What a message is, for on_refused(). */
constexpr std::uint32_t kRetransmission = 0;
constexpr std::uint32_t kControl = 1;
constexpr std::uint32_t kBurst = 2;
constexpr std::int64_t kMediaClock = 27'000'000;
/** A receiver may begin four bursts at once, for the sets of a household, and one more every two seconds. */
constexpr std::size_t kBurstCost = 1000;
constexpr std::uint64_t kBurstsPerSecond = kBurstCost / 2;
constexpr std::uint64_t kMostBursts = 4 * kBurstCost;

std::size_t spread(const std::array<std::uint8_t, 16>& address) noexcept {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, address.data(), sizeof high);
  std::memcpy(&low, address.data() + sizeof high, sizeof low);
  return static_cast<std::size_t>(((high ^ (low * 0x9e3779b97f4a7c15U)) * 0xbf58476d1ce4e5b9U) >> 32);
}

}  // namespace

kernel::Result<std::unique_ptr<RetransmissionServer>> RetransmissionServer::open(
    kernel::Reactor& reactor, Stream& stream, const RetransmissionOptions& options,
    SenderCounters& counters) {
  std::unique_ptr<RetransmissionServer> server(new RetransmissionServer(reactor, stream, options, counters));
  auto port = kernel::UdpPort::open(options.port, server->inbox_);
  if (!port.ok()) return port.error();
  server->port_ = std::move(port.value());
  if (options.group && options.common.receivers > 0) {
    auto group = kernel::UdpTx::open(*options.group);
    if (!group.ok()) return group.error();
    server->group_ = std::move(group.value());
  }
  if (!reactor.watch(server->port_->fd(), EPOLLIN, *server))
    return kernel::system_error("watching the retransmission server's socket");
  return server;
}

RetransmissionServer::RetransmissionServer(kernel::Reactor& reactor, Stream& stream,
                                           const RetransmissionOptions& options, SenderCounters& counters)
    : reactor_(reactor),
      stream_(stream),
      counters_(counters),
      options_(options),
      inbox_(kMessages),
      budget_(options.rate, std::max(options.rate / 4, kLeastBurst)),
      refusals_(kRefusalRate, kRefusalRate),
      receivers_(kReceivers),
      common_(options.group ? options.common : repair::CommonLossOptions{0}),
      reports_(counters) {
  if (options.token_lifetime) tokens_.emplace(*options.token_lifetime);
  if (options.acquisition) bursts_.emplace(stream, *options.acquisition, static_cast<BurstOutput&>(*this));
}

RetransmissionServer::~RetransmissionServer() {
  if (port_) reactor_.unwatch(port_->fd(), *this);
}

void RetransmissionServer::on_ready(std::uint32_t) noexcept {
  int batches = kBatchesPerTurn;
  do {
    for (const kernel::Datagram& datagram : port_->rx().receive()) take(datagram, port_->rx().received_at());
  } while (port_->rx().more() && --batches > 0);
  schedule();
}

void RetransmissionServer::on_timer(Nanos now) noexcept {
  bursts_->advance(now);
  flush();
  schedule();
}

void RetransmissionServer::schedule() noexcept {
  if (!bursts_ || armed()) return;
  if (const auto deadline = bursts_->deadline()) reactor_.arm(*this, *deadline);
}

void RetransmissionServer::take(const kernel::Datagram& datagram, Nanos now) noexcept {
  bump(counters_.feedback_in);
  const auto sender = kernel::Address::from(*datagram.sender);
  const auto compound = codec::RtcpCompound::parse(datagram.data, codec::RtcpForm::reduced_too);
  if (!sender || !compound) return bump(counters_.feedback_malformed);
  Asking asking{*sender, datagram.data.size(), now, authorised(*sender)};
  if (!asking.authorised && !tokens_) return bump(counters_.feedback_refused);
  for (const codec::RtcpPacket& packet : *compound) {
    if (packet.type == codec::rtcp_type::kToken) {
      take_token(packet, asking);
    } else if (packet.type == codec::rtcp_type::kTransportFeedback &&
               packet.count == codec::rtcp_feedback::kNack) {
      take_nack(packet, asking);
    } else if (packet.type == codec::rtcp_type::kTransportFeedback && packet.count == codec::rams::kFormat) {
      take_acquisition(packet, asking);
    } else if (packet.type == codec::rtcp_type::kBye) {
      leave(asking);
    }
  }
  // Proof of the address may stand behind the reports.
  if (asking.authorised) reports_.take(*compound, *sender, stream_.ssrc(), now);
}

void RetransmissionServer::take_token(const codec::RtcpPacket& packet, Asking& asking) noexcept {
  if (!tokens_ || std::exchange(asking.token_seen, true)) return;
  if (const auto request = codec::port_mapping_request(packet)) return grant(*request, asking);
  const auto proof = codec::token_proof(packet);
  if (!proof || asking.authorised) return;
  asking.authorised = tokens_->proves(asking.sender, *proof, kernel::wall_now());
  if (!asking.authorised) refuse(*proof, asking);
}

void RetransmissionServer::take_nack(const codec::RtcpPacket& packet, const Asking& asking) noexcept {
  if (!asking.authorised) return bump(counters_.feedback_refused);
  const auto feedback = codec::feedback_packet(packet);
  // Of numbers in a field before the payload there is no SSRC to be named.
  if (!feedback || (feedback->media != stream_.ssrc() && feedback->media != 0)) return;
  Receiver* const receiving = receiver(asking.sender, asking.now);
  if (receiving == nullptr) return bump(counters_.feedback_refused);
  answer(feedback->control, asking.sender, *receiving, asking.now);
}

void RetransmissionServer::take_acquisition(const codec::RtcpPacket& packet, const Asking& asking) noexcept {
  if (!asking.authorised) return bump(counters_.feedback_refused);
  const auto feedback = codec::feedback_packet(packet);
  if (!feedback) return;
  const auto message = codec::rams::message_of(feedback->control);
  if (message == codec::rams::Message::request) return acquire(feedback->control, asking);
  if (message != codec::rams::Message::termination || !bursts_ || feedback->media != stream_.ssrc()) return;
  const auto termination = codec::rams::parse_termination(feedback->control);
  if (!termination) {
    bump(counters_.feedback_malformed);
    return respond(asking.sender, codec::rams::Response::malformed_termination);
  }
  bursts_->terminate(asking.sender, *termination, asking.now);
  flush();
}

/** The SSRC that is asked for means nothing: there is but one here (RFC 6285 section 6.2, step 3). */
void RetransmissionServer::acquire(codec::Bytes control, const Asking& asking) noexcept {
  using codec::rams::Response;
  if (!bursts_) return refuse(asking.sender, Response::not_enabled);
  const auto request = codec::rams::parse_request(control);
  if (!request) return refuse(asking.sender, Response::malformed_request);
  Receiver* const receiving = receiver(asking.sender, asking.now);
  if (receiving == nullptr) return refuse(asking.sender, Response::no_processor);
  const bool begins = !bursts_->runs_to(asking.sender);
  if (begins && !receiving->bursts.take(kBurstCost, asking.now))
    return refuse(asking.sender, Response::denied);
  const auto index = static_cast<std::size_t>(receiving - receivers_.data());
  const Response response = bursts_->request(asking.sender, index, *request, asking.now);
  flush();
  if (!begins) return;
  if (response == Response::accepted) return bump(counters_.acquisitions);
  receiving->bursts.give_back(kBurstCost);
  refuse(asking.sender, response);
}

void RetransmissionServer::refuse(const kernel::Address& to, codec::rams::Response why) noexcept {
  bump(counters_.acquisitions_refused);
  respond(to, why);
}

void RetransmissionServer::respond(const kernel::Address& to, codec::rams::Response why) noexcept {
  Burst none;
  none.to = to;
  none.information.response = static_cast<std::uint16_t>(why);
  none.information.source = stream_.ssrc();
  none.information.earliest_join = 0;
  inform(none, none.information);
}

/** A receiver that is no longer there gets no more. */
void RetransmissionServer::leave(const Asking& asking) noexcept {
  if (asking.authorised && bursts_) bursts_->terminate(asking.sender, {}, asking.now);
}

void RetransmissionServer::send_burst(const Burst& burst, std::int64_t sequence) noexcept {
  Receiver& receiving = receivers_[burst.receiver];
  // As long as a burst runs, the place is not given to another.
  receiving.seen = reactor_.now();
  put(sequence, burst.target, receiving, kBurst);
}

void RetransmissionServer::inform(const Burst& burst, const codec::rams::Information& information) noexcept {
  std::array<std::uint8_t, codec::rams::kMostControl> control;
  codec::rams::Writer fields(control);
  std::array<std::uint8_t, codec::rams::kMostControl + 12> bytes;
  codec::RtcpWriter writer(bytes);
  writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rams::kFormat, stream_.ssrc(), stream_.ssrc(),
                  fields.information(information));
  say(std::span(bytes).first(writer.size()), burst.to);
}

void RetransmissionServer::grant(const codec::PortMappingRequest& request, const Asking& asking) noexcept {
  // Who has not proved its address gets no more than it sent: a client fills its request up.
  if (asking.size < codec::response_size(PortTokens::kSize, kGuarded.size()))
    return bump(counters_.feedback_refused);
  const auto granted = tokens_->grant(asking.sender, request.nonce, kernel::wall_now());
  if (!granted) return bump(counters_.feedback_refused);
  std::array<std::uint8_t, codec::response_size(PortTokens::kSize, kGuarded.size())> bytes;
  codec::RtcpWriter writer(bytes);
  codec::write(writer,
               codec::PortMappingResponse{stream_.ssrc(), request.sender, request.nonce, granted->token,
                                          granted->expiry, granted->lifetime, kGuarded});
  bump(counters_.tokens_granted);
  say(std::span(bytes).first(writer.size()), asking.sender);
}

void RetransmissionServer::refuse(const codec::TokenProof& proof, const Asking& asking) noexcept {
  bump(counters_.tokens_refused);
  if (!refusals_.take(codec::kTokenFailureSize, asking.now)) return;
  std::array<std::uint8_t, codec::kTokenFailureSize> bytes;
  codec::RtcpWriter writer(bytes);
  codec::write(writer,
               codec::TokenFailure{stream_.ssrc(), proof.sender, proof.nonce,
                                   codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack});
  say(std::span(bytes).first(writer.size()), asking.sender);
}

void RetransmissionServer::say(codec::MutableBytes control, const kernel::Address& to) noexcept {
  if (!outbox_.has_room(1)) flush();
  const std::span<iovec> piece = outbox_.pieces(1);
  piece[0] = {control.data(), control.size()};
  const kernel::UdpTarget target(to, options_.dscp, std::nullopt);
  outbox_.add(target, piece, 0, kControl);
  flush();
}

bool RetransmissionServer::authorised(const kernel::Address& sender) const noexcept {
  return std::any_of(options_.allowed.begin(), options_.allowed.end(),
                     [&sender](const kernel::AddressPrefix& prefix) { return prefix.contains(sender); });
}

/** None while its set is full of others that are served. */
RetransmissionServer::Receiver* RetransmissionServer::receiver(const kernel::Address& sender,
                                                               Nanos now) noexcept {
  const auto address = sender.bytes();
  const std::span<Receiver> set(receivers_.data() + spread(address) % (kReceivers / kSet) * kSet, kSet);
  Receiver* free = nullptr;
  for (Receiver& one : set) {
    if (one.used && one.address == address) {
      one.seen = now;
      one.budget.set_rate(share_rate());
      return &one;
    }
    if (free == nullptr && (!one.used || now - one.seen > kForgotten)) free = &one;
  }
  if (free == nullptr) return nullptr;
  const std::uint64_t rate = share_rate();
  *free = {address,
           now,
           repair::Budget(rate, std::max(rate, kLeastBurst)),
           repair::Budget(kBurstsPerSecond, kMostBursts),
           true,
           static_cast<std::uint16_t>(now)};
  return free;
}

std::uint64_t RetransmissionServer::share_rate() const noexcept {
  // Not measured yet: what holds for all holds for one.
  if (stream_.counters().bitrate == 0) return options_.rate;
  return std::max(kLeastRate, stream_.counters().bitrate / 8 * options_.share / 100);
}

void RetransmissionServer::answer(codec::Bytes control, const kernel::Address& sender, Receiver& receiver,
                                  Nanos now) noexcept {
  bump(counters_.nacks);
  const kernel::UdpTarget target(sender, options_.dscp, std::nullopt);
  codec::each_nacked(control, [&](std::uint16_t number) { resend(number, target, receiver, now); });
  flush();
}

/** The packet of the store whose number has these low bits. */
std::optional<std::int64_t> RetransmissionServer::find(std::uint16_t number) noexcept {
  const Ring& ring = stream_.ring();
  const auto sequence = ring.find_number(number);
  if (!sequence) return std::nullopt;
  const std::int64_t age =
      ring.descriptor(ring.released_sequence() - 1).media_time - ring.descriptor(*sequence).media_time;
  if (age > options_.depth / 1000 * (kMediaClock / 1'000'000)) return std::nullopt;
  return sequence;
}

void RetransmissionServer::resend(std::uint16_t number, const kernel::UdpTarget& target, Receiver& receiver,
                                  Nanos now) noexcept {
  bump(counters_.nacked);
  const auto sequence = find(number);
  if (!sequence) return bump(counters_.resend_gone);
  using Answer = repair::CommonLosses::Answer;
  const auto asker = static_cast<std::uint16_t>(&receiver - receivers_.data());
  const Answer answer = common_.ask(*sequence, asker, now);
  gauge(counters_.asked_packets, common_.asked());
  if (answer == Answer::on_its_way) return bump(counters_.suppressed);
  if (answer == Answer::to_all) return resend_to_all(*sequence, now);
  resend_to_one(*sequence, target, receiver, now);
}

void RetransmissionServer::resend_to_one(std::int64_t sequence, const kernel::UdpTarget& target,
                                         Receiver& receiver, Nanos now) noexcept {
  const std::size_t size = size_of(sequence);
  if (!receiver.budget.take(size, now)) return bump(counters_.resend_shed);
  if (!budget_.take(size, now)) {
    receiver.budget.give_back(size);
    return bump(counters_.resend_shed);
  }
  put(sequence, target, receiver, kRetransmission);
  queued_++;
  queued_bytes_ += size;
}

std::size_t RetransmissionServer::size_of(std::int64_t sequence) noexcept {
  return codec::kRtpHeaderSize + (options_.plain ? 0 : codec::kOriginalNumberSize) +
         stream_.ring().descriptor(sequence).size;
}

void RetransmissionServer::put(std::int64_t sequence, const kernel::UdpTarget& target, Receiver& receiver,
                               std::uint32_t tag) noexcept {
  Ring& ring = stream_.ring();
  const Descriptor& d = ring.descriptor(sequence);
  constexpr std::size_t kMostPieces = 3;
  if (!outbox_.has_room(kMostPieces)) flush();
  const std::span<iovec> pieces = outbox_.pieces(options_.plain ? 2 : kMostPieces);
  if (options_.plain) {
    pieces[0] = {ring.header(sequence), codec::kRtpHeaderSize};
  } else {
    std::uint8_t* const header = outbox_.header(pieces[0]);
    codec::write_retransmission_header(ring.header(sequence), stream_.ssrc(), options_.payload_type,
                                       receiver.sequence++, header);
    pieces[0] = {header, codec::kRtpHeaderSize};
    std::uint8_t* const original = outbox_.header(pieces[1]);
    codec::store16(original, static_cast<std::uint16_t>(sequence));
    pieces[1] = {original, codec::kOriginalNumberSize};
  }
  pieces.back() = {ring.at(d.position), d.size};
  outbox_.add(target, pieces, 0, tag);
  if (tag != kBurst) return;
  bump(counters_.burst_packets);
  bump(counters_.burst_bytes, size_of(sequence));
}

void RetransmissionServer::resend_to_all(std::int64_t sequence, Nanos now) noexcept {
  const std::size_t size = size_of(sequence);
  if (!budget_.take(size, now)) {
    common_.take_back(sequence);
    return bump(counters_.resend_shed);
  }
  Ring& ring = stream_.ring();
  const Descriptor& d = ring.descriptor(sequence);
  std::array<std::uint8_t, codec::kRtpHeaderSize + codec::kOriginalNumberSize> head;
  if (options_.plain) {
    std::memcpy(head.data(), ring.header(sequence), codec::kRtpHeaderSize);
  } else {
    codec::write_retransmission_header(ring.header(sequence), stream_.ssrc(), options_.payload_type,
                                       group_sequence_++, head.data());
    codec::store16(head.data() + codec::kRtpHeaderSize, static_cast<std::uint16_t>(sequence));
  }
  std::array<iovec, 2> pieces{iovec{head.data(), size - d.size}, iovec{ring.at(d.position), d.size}};
  if (!group_->send(pieces).sent) {
    common_.take_back(sequence);
    return bump(counters_.resend_errors);
  }
  bump(counters_.resent);
  bump(counters_.resent_bytes, size);
  bump(counters_.resent_to_all);
}

void RetransmissionServer::flush() noexcept {
  outbox_.flush(port_->send_fd(), kernel::Handover::many, *this);
  bump(counters_.resent, queued_);
  bump(counters_.resent_bytes, queued_bytes_);
  queued_ = 0;
  queued_bytes_ = 0;
}

void RetransmissionServer::on_refused(std::uint32_t tag, int error) noexcept {
  if (error == 0) return;
  bump(counters_.resend_errors);
  if (tag == kRetransmission) queued_--;
}

}  // namespace sluice::plane
