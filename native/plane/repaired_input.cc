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

}  // namespace

Result<std::unique_ptr<RepairedInput>> RepairedInput::open(kernel::Reactor& reactor,
                                                           const UdpInputOptions& options, TsSink& sink,
                                                           InputCounters& counters, DatagramTap* tap) {
  const RepairOptions& repair = *options.repair;
  UdpInputOptions all = options;
  all.socket.joins = !(repair.acquisition && repair.feedback);
  std::unique_ptr<RepairedInput> input(new RepairedInput(reactor, all, sink, counters, tap));
  if (auto error = input->listen(0, What::media)) return std::move(*error);
  if (repair.columns)
    if (auto error = input->listen(kColumnPortStep, What::parity)) return std::move(*error);
  if (repair.rows)
    if (auto error = input->listen(kRowPortStep, What::parity)) return std::move(*error);
  if (repair.recovery.block)
    if (auto error = input->listen(kBlockPortStep, What::blocks)) return std::move(*error);
  if (repair.feedback)
    if (auto error = input->speak(*repair.feedback)) return std::move(*error);
  if (repair.tokens && input->mouth_) input->tokens_.emplace(input->ssrc_);
  if (!all.socket.joins) input->acquisition_.emplace(reactor.now());
  if (repair.range)
    input->range_ = std::make_unique<RangeClient>(reactor, *repair.range, kMostDatagram,
                                                  static_cast<RangeOutput&>(*input));
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
      ssrc_(random_ssrc()),
      cname_(random_cname()),
      options_(options) {}

RepairedInput::~RepairedInput() {
  // A burst that nobody hears any more ends (RFC 6285 section 6.2, step 10).
  if (acquisition_ && acquisition_->open())
    tell([this](codec::RtcpWriter& writer) { return writer.bye(ssrc_); });
  for (std::size_t i = 0; i < ear_count_; i++) reactor_.unwatch(ears_[i]->socket->fd(), *ears_[i]);
  if (mouth_) reactor_.unwatch(mouth_->socket.fd(), *mouth_);
}

std::optional<kernel::Error> RepairedInput::listen(std::uint16_t step, What what) {
  auto opened = kernel::UdpRx::open(socket_options(step), &inbox_);
  if (!opened.ok()) return opened.error();
  auto ear = std::make_unique<Ear>(*this, what, step, std::move(opened.value()));
  if (!reactor_.watch(ear->socket->fd(), EPOLLIN, *ear)) return kernel::system_error("watching a UDP socket");
  ears_[ear_count_++] = std::move(ear);
  return std::nullopt;
}

/** Where any port will do for the media, parity is beside the one that was found. */
kernel::UdpRxOptions RepairedInput::socket_options(std::uint16_t step) const {
  kernel::UdpRxOptions socket = options_.socket;
  socket.port = static_cast<std::uint16_t>((step == 0 ? socket.port : port()) + step);
  return socket;
}

std::optional<kernel::Error> RepairedInput::speak(const kernel::Address& target) {
  kernel::UdpTxOptions options;
  options.destination = target;
  options.ttl = 64;
  // A burst comes faster than the stream.
  options.receive_buffer = options_.socket.receive_buffer;
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
  statistics_.update(header->sequence, header->timestamp, datagram.arrival);
  if (acquisition_) acquisition_->on_multicast(*recovery_.highest());
}

/** A packet of the original's payload type is one that was sent again as it was; any other, RFC 4588. */
void RepairedInput::take_answer(codec::Bytes datagram) noexcept {
  if (codec::is_rtcp(datagram)) return take_control(datagram);
  const auto packet = codec::parse_rtp(datagram);
  const bool bursting = acquisition_ && acquisition_->listens(reactor_.now());
  if (!packet || !(heard_ || bursting)) return;
  bump(counters_.resent);
  const std::uint32_t ssrc = recovery_.highest() ? recovery_.source() : packet->header.ssrc;
  std::array<std::uint8_t, kMostDatagram> original;
  std::optional<std::size_t> size = datagram.size();
  if (packet->header.payload_type == media_type_) {
    std::memcpy(original.data(), datagram.data(), datagram.size());
    codec::store32(original.data() + 8, ssrc);
  } else {
    size = codec::restore_original(datagram, ssrc, media_type_, original);
  }
  if (!size) return;
  const codec::Bytes restored(original.data(), *size);
  if (bursting) burst_source_ = packet->header.ssrc;
  if (bursting) return take_burst(restored, reactor_.now());
  recovery_.on_retransmission(restored, reactor_.now());
}

void RepairedInput::take_burst(codec::Bytes original, Nanos now) noexcept {
  const auto header = codec::parse_rtp_header(original);
  // Those before it that were told of are missed. Whose they are shows the burst: not every server says it.
  const auto ahead =
      static_cast<std::uint16_t>(header && burst_first_ ? header->sequence - *burst_first_ : 0);
  if (ahead > 0 && ahead < options_.repair->recovery.window / 2)
    recovery_.expect(header->ssrc, *burst_first_);
  recovery_.on_burst(original, now);
  if (!header || !recovery_.highest()) return;
  bump(counters_.acquired);
  acquisition_->on_burst(codec::extend_sequence(*recovery_.highest(), header->sequence), now);
}

void RepairedInput::take_control(codec::Bytes datagram) noexcept {
  const auto compound = codec::RtcpCompound::parse(datagram, codec::RtcpForm::reduced_too);
  if (!compound) return;
  for (const codec::RtcpPacket& packet : *compound) {
    take_information(packet);
    if (!tokens_) continue;
    const TokenClient::Answer answer = tokens_->take(packet, reactor_.now());
    if (answer == TokenClient::Answer::granted) bump(counters_.tokens_granted);
    if (answer == TokenClient::Answer::refused) bump(counters_.tokens_refused);
  }
}

void RepairedInput::take_information(const codec::RtcpPacket& packet) noexcept {
  if (!acquisition_ || packet.type != codec::rtcp_type::kTransportFeedback ||
      packet.count != codec::rams::kFormat)
    return;
  const auto feedback = codec::feedback_packet(packet);
  const auto told = feedback ? codec::rams::parse_information(feedback->control) : std::nullopt;
  if (!told) return;
  acquisition_->on_information(*told);
  if (burst_source_ == 0) burst_source_ = feedback->media;
  if (told->first_sequence) burst_first_ = told->first_sequence;
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
  if (acquisition_) acquire(now);
  recovery_.advance(now);
  publish();
  if (const auto next = deadline(now)) {
    reactor_.arm(*this, *next);
  } else {
    reactor_.disarm(*this);
  }
}

std::optional<Nanos> RepairedInput::deadline(Nanos now) const noexcept {
  std::optional<Nanos> first = recovery_.deadline();
  const auto consider = [&first](std::optional<Nanos> at) {
    if (at) first = std::min(first.value_or(*at), *at);
  };
  if (tokens_) consider(tokens_->due());
  if (acquisition_) {
    const auto due = acquisition_->due(now, !tokens_ || tokens_->holds(now));
    consider(due ? std::optional(std::max(*due, join_again_)) : due);
  }
  return first;
}

void RepairedInput::acquire(Nanos now) noexcept {
  using codec::rams::Writer;
  std::array<std::uint8_t, codec::rams::kMostControl> control;
  if (acquisition_->asks(now)) {
    const codec::Bytes request = Writer(control).request({}, std::nullopt);
    if (feed_back(codec::rams::kFormat, ssrc_, request)) acquisition_->asked(now);
  }
  if (acquisition_->joins(now) && now >= join_again_) join(now);
  if (acquisition_->terminates(now)) {
    codec::rams::Termination end;
    // Cycles are counted from the first packet on (RFC 3550 A.1).
    if (const auto first = acquisition_->first_multicast())
      end.first_multicast = static_cast<std::uint32_t>(*first - recovery_.base());
    if (feed_back(codec::rams::kFormat, burst_source_, Writer(control).termination(end)))
      acquisition_->terminated(now);
  }
  recovery_.expect_burst(acquisition_->fills(now), now);
}

/** What can be joined is: the rest again in a second. */
void RepairedInput::join(Nanos now) noexcept {
  bool all = true;
  for (std::size_t i = 0; i < ear_count_; i++) {
    Ear& ear = *ears_[i];
    ear.joined = ear.joined || !ear.socket->join(socket_options(ear.step));
    all = all && ear.joined;
  }
  if (all) return acquisition_->joined();
  bump(counters_.join_errors);
  join_again_ = now + kernel::kSecond;
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
    if (!feed_back(codec::rtcp_feedback::kNack, recovery_.source(), writer.written())) continue;
    bump(counters_.nacks);
    bump(counters_.nacked, taken);
  }
}

void RepairedInput::on_fetch(std::span<const std::int64_t> sequences, Nanos patience) noexcept {
  if (!range_ || !range_->fetch(sequences, patience)) return;
  bump(counters_.fetches);
  bump(counters_.fetch_asked, sequences.size());
}

void RepairedInput::on_fetched(codec::Bytes datagram) noexcept {
  const Nanos now = reactor_.now();
  if (plain_.is_rtp() || datagram.size() < codec::kRtpHeaderSize) return recovery_.on_fetched(datagram, now);
  // What has no RTP counts as SSRC 0 here, whatever the sender's is.
  std::array<std::uint8_t, kMostDatagram> original;
  std::memcpy(original.data(), datagram.data(), datagram.size());
  codec::store32(original.data() + 8, recovery_.source());
  recovery_.on_fetched({original.data(), datagram.size()}, now);
}

void RepairedInput::on_fetch_end(bool answered) noexcept {
  if (!answered) bump(counters_.fetch_errors);
  recovery_.on_fetch_end(answered, reactor_.now());
  go_on();
}

template <class F>
bool RepairedInput::tell(F&& add) noexcept {
  std::array<std::uint8_t, kReportSize + codec::proof_size(codec::kMostToken) + 12 + 4 * kMostPairs> bytes;
  codec::RtcpWriter writer(bytes);
  if (statistics_.valid()) {
    const codec::ReportBlock block = statistics_.report_block(reactor_.now());
    writer.receiver_report(ssrc_, {&block, 1});
  } else {
    writer.receiver_report(ssrc_);
  }
  writer.cname(ssrc_, cname_);
  if (tokens_ && !tokens_->prove(writer, reactor_.now())) return false;
  return add(writer) && send(std::span(bytes).first(writer.size()));
}

bool RepairedInput::feed_back(std::uint8_t format, std::uint32_t media, codec::Bytes control) noexcept {
  return tell([&](codec::RtcpWriter& writer) {
    return writer.feedback(codec::rtcp_type::kTransportFeedback, format, ssrc_, media, control);
  });
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
  if (acquisition_) {
    gauge(counters_.acquisition, static_cast<std::uint64_t>(acquisition_->state(reactor_.now())));
    gauge(counters_.acquisition_response, acquisition_->response());
  }
  gauge(counters_.repair_round_trip_us, static_cast<std::uint64_t>(recovery_.round_trip() / 1000));
  gauge(counters_.playout_us, static_cast<std::uint64_t>(recovery_.playout() / 1000));
  std::uint64_t drops = 0;
  for (std::size_t i = 0; i < ear_count_; i++) drops += ears_[i]->socket->drops();
  gauge(counters_.kernel_drops, drops);
}

}  // namespace sluice::plane
