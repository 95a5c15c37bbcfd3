#include "plane/repaired_input.h"

#include <sys/epoll.h>

#include <random>

#include "codec/nack.h"
#include "codec/retransmission.h"
#include "codec/rtcp.h"
#include "codec/rtcp_writer.h"
#include "kernel/counter.h"
#include "plane/repair_ports.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;
using kernel::Result;

namespace {

constexpr std::size_t kMessages = 32;
/** Batches taken per wake-up, so that one input does not starve the others. */
constexpr int kBatchesPerTurn = 8;
/** Answers taken per wake-up. */
constexpr int kAnswersPerTurn = 256;
/** Longest datagram of media and answers. */
constexpr std::size_t kMostDatagram = repair::kMostBody + codec::kRtpHeaderSize + codec::kOriginalNumberSize;
/** Pairs of a NACK: more go in a further one. */
constexpr std::size_t kMostPairs = 128;
/** RR and SDES with a CNAME of ours, before a NACK. */
constexpr std::size_t kReportSize = 64 + codec::kRtcpReportBlockSize;

std::uint32_t random_ssrc() {
  std::random_device device;
  return device();
}

/** RFC 7022 section 4.2: of one session, from random bits. As long as makes a request for a token no shorter
 * than its answer. */
std::string random_cname() {
  std::random_device device;
  std::string name;
  for (int i = 0; i < 24; i++)
    name += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[device() % 64];
  return name;
}

bool is_group(const kernel::UdpRxOptions& socket) {
  const auto address = kernel::Address::parse(socket.address, 0);
  return address && address->is_multicast();
}

}  // namespace

Result<std::unique_ptr<RepairedInput>> RepairedInput::open(kernel::Reactor& reactor,
                                                           const UdpInputOptions& options, TsSink& sink,
                                                           InputCounters& counters, DatagramTap* tap) {
  std::unique_ptr<RepairedInput> input(new RepairedInput(reactor, options, sink, counters, tap));
  if (auto error = input->listen(options.socket, 0, What::media)) return std::move(*error);
  if (options.repair->columns)
    if (auto error = input->listen(options.socket, kColumnPortStep, What::parity)) return std::move(*error);
  if (options.repair->rows)
    if (auto error = input->listen(options.socket, kRowPortStep, What::parity)) return std::move(*error);
  if (options.repair->recovery.block)
    if (auto error = input->listen(options.socket, kBlockPortStep, What::blocks)) return std::move(*error);
  if (options.repair->feedback)
    if (auto error = input->speak(*options.repair->feedback)) return std::move(*error);
  if (options.repair->feedback && is_group(options.socket))
    if (auto error = input->listen(options.socket, kResentPortStep, What::resent)) return std::move(*error);
  // Another's already, and then no round trip is reported: nothing to be without a stream for.
  if (options.repair->feedback)
    static_cast<void>(input->listen(options.socket, kControlPortStep, What::control));
  if (options.repair->tokens && input->mouth_) input->tokens_.emplace(input->ssrc_);
  input->go_on();
  return input;
}

RepairedInput::RepairedInput(kernel::Reactor& reactor, const UdpInputOptions& options, TsSink& sink,
                             InputCounters& counters, DatagramTap* tap)
    : reactor_(reactor),
      sink_(sink),
      counters_(counters),
      tap_(tap),
      inbox_(kMessages),
      plain_(options.numbering),
      recovery_(options.repair->recovery, static_cast<repair::RecoveryOutput&>(*this), random_ssrc()),
      reports_(random_ssrc()),
      ssrc_(random_ssrc()),
      cname_(random_cname()) {}

RepairedInput::~RepairedInput() {
  for (std::size_t i = 0; i < ear_count_; i++) reactor_.unwatch(ears_[i]->socket->fd(), *ears_[i]);
  if (mouth_) reactor_.unwatch(mouth_->socket.fd(), *mouth_);
}

std::optional<kernel::Error> RepairedInput::listen(kernel::UdpRxOptions socket, std::uint16_t step,
                                                   What what) {
  // Where any port will do for the media, parity is beside the one that was found.
  socket.port = static_cast<std::uint16_t>((step == 0 ? socket.port : port()) + step);
  auto opened = kernel::UdpRx::open(socket, &inbox_);
  if (!opened.ok()) return opened.error();
  auto ear = std::make_unique<Ear>(*this, what, std::move(opened.value()));
  if (!reactor_.watch(ear->socket->fd(), EPOLLIN, *ear)) return kernel::system_error("watching a UDP socket");
  ears_[ear_count_++] = std::move(ear);
  return std::nullopt;
}

std::optional<kernel::Error> RepairedInput::speak(const kernel::Address& target) {
  kernel::UdpTxOptions options;
  options.destination = target;
  options.ttl = 64;
  auto opened = kernel::UdpTx::open(options);
  if (!opened.ok()) return opened.error();
  mouth_ = std::make_unique<Mouth>(*this, std::move(opened.value()));
  if (!reactor_.watch(mouth_->socket.fd(), EPOLLIN, *mouth_))
    return kernel::system_error("watching a UDP socket");
  return std::nullopt;
}

void RepairedInput::on_ready() noexcept {
  hear();
  go_on();
}

/** All sockets at once: media before the parity over it, so that what is there needs no repair. */
void RepairedInput::hear() noexcept {
  for (std::size_t i = 0; i < ear_count_; i++) hear(*ears_[i]);
  if (mouth_) hear_answers();
  if (tap_ != nullptr) tap_->on_pause();
}

void RepairedInput::hear(Ear& ear) noexcept {
  int batches = kBatchesPerTurn;
  do {
    for (const kernel::Datagram& datagram : ear.socket->receive()) take(ear.what, datagram);
  } while (ear.socket->more() && --batches > 0);
}

void RepairedInput::hear_answers() noexcept {
  std::array<std::uint8_t, kMostDatagram> room;
  for (int i = 0; i < kAnswersPerTurn; i++) {
    const auto datagram = mouth_->socket.receive(room);
    if (datagram.empty()) return;
    take_answer(datagram);
  }
}

void RepairedInput::take(What what, const kernel::Datagram& datagram) noexcept {
  if (tap_ != nullptr) tap_->on_datagram(datagram);
  switch (what) {
    case What::media:
      return take_media(datagram);
    case What::parity:
      bump(counters_.parity_packets);
      return recovery_.on_parity(datagram.data, datagram.arrival);
    case What::blocks:
      bump(counters_.parity_packets);
      return recovery_.on_block_parity(datagram.data, datagram.arrival);
    case What::resent:
      return take_resent(datagram.data);
    case What::control:
      return take_sender_report(datagram);
  }
}

void RepairedInput::take_media(const kernel::Datagram& datagram) noexcept {
  bump(counters_.packets);
  bump(counters_.bytes, datagram.data.size());
  if (plain_.is_rtp() && codec::is_rtcp(datagram.data)) return bump(counters_.rtcp);
  const auto rtp = plain_(datagram);
  const auto header = rtp ? codec::parse_rtp_header(*rtp) : std::nullopt;
  if (!header) return bump(counters_.malformed);
  recovery_.on_packet(*rtp, datagram.arrival);
  // A stranger's packet changes nothing until it is believed.
  if (header->ssrc != recovery_.source()) return;
  if (!heard_ || statistics_.ssrc() != header->ssrc) statistics_ = RtpStatistics(header->ssrc, kMp2tClock);
  heard_ = true;
  media_type_ = header->payload_type;
  const std::uint32_t before = statistics_.highest_sequence();
  const bool valid = statistics_.valid();
  statistics_.update(header->sequence, header->timestamp, datagram.arrival);
  if (valid) reports_.advanced(before, statistics_.highest_sequence());
}

void RepairedInput::take_answer(codec::Bytes datagram) noexcept {
  if (codec::is_rtcp(datagram)) return take_control(datagram);
  std::array<std::uint8_t, kMostDatagram> room;
  if (const auto packet = original(datagram, room)) recovery_.on_retransmission(*packet, reactor_.now());
}

void RepairedInput::take_resent(codec::Bytes datagram) noexcept {
  std::array<std::uint8_t, kMostDatagram> room;
  if (const auto packet = original(datagram, room)) recovery_.on_resent_to_all(*packet, reactor_.now());
}

/** Of what was sent again. A packet of the original's payload type is one as it was; any other, RFC 4588. */
std::optional<codec::Bytes> RepairedInput::original(codec::Bytes datagram,
                                                    codec::MutableBytes room) noexcept {
  const auto packet = codec::parse_rtp(datagram);
  if (!heard_ || !packet || datagram.size() > room.size()) return std::nullopt;
  bump(counters_.resent);
  if (packet->header.payload_type == media_type_) {
    std::memcpy(room.data(), datagram.data(), datagram.size());
    codec::store32(room.data() + 8, statistics_.ssrc());
    return room.first(datagram.size());
  }
  const auto size = codec::restore_original(datagram, statistics_.ssrc(), media_type_, room);
  if (!size) return std::nullopt;
  return room.first(*size);
}

void RepairedInput::take_control(codec::Bytes datagram) noexcept {
  const auto compound = codec::RtcpCompound::parse(datagram, codec::RtcpForm::reduced_too);
  if (!tokens_ || !compound) return;
  for (const codec::RtcpPacket& packet : *compound) {
    const TokenClient::Answer answer = tokens_->take(packet, reactor_.now());
    if (answer == TokenClient::Answer::granted) bump(counters_.tokens_granted);
    if (answer == TokenClient::Answer::refused) bump(counters_.tokens_refused);
  }
}

void RepairedInput::take_sender_report(const kernel::Datagram& datagram) noexcept {
  const auto compound = codec::RtcpCompound::parse(datagram.data);
  if (!compound) return;
  for (const codec::RtcpPacket& packet : *compound) {
    const auto info = codec::sender_info(packet);
    if (info && packet.ssrc() == statistics_.ssrc())
      statistics_.on_sender_report(info->ntp, datagram.arrival);
  }
}

/** Behind the report and the name of a compound it is as long as its answer: a longer one would not come. */
void RepairedInput::ask_for_token(Nanos now) noexcept {
  std::array<std::uint8_t, kReportSize + codec::kPortMappingRequestSize> bytes;
  codec::RtcpWriter writer(bytes);
  writer.receiver_report(ssrc_);
  writer.cname(ssrc_, cname_);
  if (tokens_->request(writer, now)) send(std::span(bytes).first(writer.size()));
}

void RepairedInput::go_on() noexcept {
  const Nanos now = reactor_.now();
  if (tokens_ && tokens_->due() <= now) ask_for_token(now);
  if (mouth_ && statistics_.valid()) reports_.begin(now);
  if (reports_.due() <= now) report(now);
  recovery_.advance(now);
  publish();
  auto deadline = recovery_.deadline();
  if (tokens_) deadline = std::min(deadline.value_or(tokens_->due()), tokens_->due());
  if (reports_.begun()) deadline = std::min(deadline.value_or(reports_.due()), reports_.due());
  if (deadline) {
    reactor_.arm(*this, *deadline);
  } else {
    reactor_.disarm(*this);
  }
}

void RepairedInput::on_timer(Nanos) noexcept {
  // What is already in the sockets may fill the gap: the loop may have come late, not the packet.
  hear();
  go_on();
}

void RepairedInput::on_packet(std::int64_t sequence, codec::Bytes datagram, repair::Origin) noexcept {
  gauge(counters_.last_sequence, static_cast<std::uint64_t>(sequence));
  if (const auto packet = codec::parse_rtp(datagram)) sink_.write(packet->payload, recovery_.delivered_due());
}

void RepairedInput::on_lost(std::int64_t, std::int64_t) noexcept {}

void RepairedInput::on_request(std::span<const std::int64_t> sequences) noexcept {
  if (!mouth_) return;
  std::array<std::uint8_t, 4 * kMostPairs> pairs;
  for (auto rest = sequences; !rest.empty();) {
    codec::NackWriter writer(pairs);
    std::size_t taken = 0;
    while (taken < rest.size() && writer.add(static_cast<std::uint16_t>(rest[taken]))) taken++;
    rest = rest.subspan(taken);
    if (ask(writer.written())) bump(counters_.nacked, taken);
  }
}

/** False when it did not leave: also while there is no token, without which nobody would answer. */
bool RepairedInput::ask(codec::Bytes control) noexcept {
  std::array<std::uint8_t, kReportSize + codec::proof_size(codec::kMostToken) + 12 + 4 * kMostPairs> bytes;
  codec::RtcpWriter writer(bytes);
  write_reports(writer);
  if (tokens_ && !tokens_->prove(writer, reactor_.now())) return false;
  writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack, ssrc_,
                  statistics_.ssrc(), control);
  if (!send(std::span(bytes).first(writer.size()))) return false;
  bump(counters_.nacks);
  return true;
}

void RepairedInput::write_reports(codec::RtcpWriter& writer) noexcept {
  if (statistics_.valid()) {
    const codec::ReportBlock block = statistics_.report_block(reactor_.now());
    writer.receiver_report(ssrc_, {&block, 1});
  } else {
    writer.receiver_report(ssrc_);
  }
  writer.cname(ssrc_, cname_);
}

void RepairedInput::report(Nanos now) noexcept {
  reports_.schedule(now);
  std::array<std::uint8_t, kReportSize + codec::proof_size(codec::kMostToken) + codec::kLossRunsSize> bytes;
  codec::RtcpWriter writer(bytes);
  write_reports(writer);
  // Without a token nobody would believe it.
  if (tokens_ && !tokens_->prove(writer, now)) return;
  reports_.write(writer, ssrc_);
  send(std::span(bytes).first(writer.size()));
}

bool RepairedInput::send(codec::MutableBytes bytes) noexcept {
  std::array<iovec, 1> piece{{{bytes.data(), bytes.size()}}};
  return mouth_->socket.send(piece).sent;
}

void RepairedInput::on_restart() noexcept {
  sink_.splice();
}

void RepairedInput::publish() noexcept {
  const repair::RecoveryCounters& now = recovery_.counters();
  gauge(counters_.ssrc, statistics_.ssrc());
  gauge(counters_.jitter_ns, std::uint64_t{statistics_.jitter()} * kernel::kSecond / kMp2tClock);
  gauge(counters_.rtp_duplicates, now.duplicates);
  gauge(counters_.rtp_late, now.late);
  gauge(counters_.rtp_lost, now.lost);
  gauge(counters_.damaged, now.damaged);
  gauge(counters_.missing, now.missing);
  gauge(counters_.by_parity, now.by_parity);
  gauge(counters_.by_block, now.by_block);
  gauge(counters_.by_retransmission, now.by_retransmission);
  gauge(counters_.by_fetch, now.by_fetch);
  gauge(counters_.repair_round_trip_us, static_cast<std::uint64_t>(recovery_.round_trip() / 1000));
  gauge(counters_.playout_us, static_cast<std::uint64_t>(recovery_.playout() / 1000));
  std::uint64_t drops = 0;
  for (std::size_t i = 0; i < ear_count_; i++) drops += ears_[i]->socket->drops();
  gauge(counters_.kernel_drops, drops);
}

}  // namespace sluice::plane
