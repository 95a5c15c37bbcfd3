#include "plane/flow_rtcp.h"

#include <algorithm>

#include "codec/ntp.h"
#include "kernel/file.h"
#include "plane/flow.h"
#include "plane/stream.h"

namespace sluice::plane {

using codec::RtcpCompound;
using codec::RtcpForm;
using kernel::bump;

namespace {

/** IPv4 and UDP, which count for the share of RTCP (RFC 3550 section 6.2). */
constexpr double kLowerHeaders = 28;
/** What goes to the source in one datagram: leaves room for headers of any tunnel. */
constexpr std::size_t kMostToSource = 1200;
/** A source that has sent no SR for so long sends none: three of its intervals. */
constexpr Nanos kSilence = 15 * kernel::kSecond;
/** Requests may use up at once what their share gathers in so long, and one datagram at least. */
constexpr double kAllowanceSeconds = 2;
constexpr double kLeastAllowance = 400;
/** The source and the relay, whichever it stands for: however many receivers there are, the size of what is
 * sent for them sets the interval. */
constexpr RtcpMembership kWho{2, 1, false};

bool has_requests(const RtcpCompound& compound) noexcept {
  for (const codec::RtcpPacket& packet : compound)
    if (codec::feedback_packet(packet)) return true;
  return false;
}

}  // namespace

FlowRtcp::FlowRtcp(FlowBench& bench, Flow& flow, const FlowRtcpPlace& place, const FlowRtcpOptions& options,
                   FlowCounters& counters)
    : bench_(bench),
      flow_(flow),
      place_(place),
      options_(options),
      counters_(counters),
      engine_(std::random_device{}()),
      ssrc_(std::random_device{}()),
      schedule_({options.bandwidth}, kWho, bench.reactor.now(), random()),
      allowance_(kLeastAllowance),
      allowance_at_(bench.reactor.now()) {
  arm();
}

void FlowRtcp::set_source(const sockaddr_storage& sender) noexcept {
  asks_ = false;
  source_ = kernel::Address::from(sender);
}

void FlowRtcp::arm() noexcept {
  bench_.reactor.arm(*this, round_ ? bench_.reactor.now() : schedule_.due());
}

void FlowRtcp::on_timer(Nanos now) noexcept {
  if (schedule_.due() <= now && schedule_.expire(now, random())) report(now);
  if (round_) go_round(now);
  arm();
}

void FlowRtcp::report(Nanos now) noexcept {
  schedule_.set_bandwidth(bandwidth());
  const bool silent = !source_reported_ || now - *source_reported_ > kSilence;
  if (silent && !round_) begin_round({}, now);
  schedule_.sent(static_cast<double>(report_to_source(now)) + kLowerHeaders, now, random());
}

double FlowRtcp::bandwidth() const noexcept {
  return options_.bandwidth > 0 ? options_.bandwidth : static_cast<double>(counters_.bitrate);
}

void FlowRtcp::on_datagram(const kernel::Datagram& datagram, Nanos now) noexcept {
  bump(counters_.rtcp_in);
  const auto compound = RtcpCompound::parse(datagram.data, RtcpForm::reduced_too);
  if (!compound) return bump(counters_.rtcp_malformed);
  bool by_source = false;
  for (const codec::RtcpPacket& packet : *compound) {
    const auto info = codec::sender_info(packet);
    if (packet.is_report() && packet.ssrc() == flow_.source_ssrc()) by_source = true;
    if (!info || packet.ssrc() != flow_.source_ssrc()) continue;
    flow_.statistics().on_sender_report(info->ntp, datagram.arrival);
    source_reported_ = now;
  }
  if (!by_source) return;
  schedule_.received(static_cast<double>(datagram.data.size()) + kLowerHeaders);
  source_control_ = kernel::Address::from(*datagram.sender);
  if (datagram.data.size() <= relayed_.size()) begin_round(datagram.data, now);
}

void FlowRtcp::begin_round(codec::Bytes relayed, Nanos now) noexcept {
  std::copy(relayed.begin(), relayed.end(), relayed_.begin());
  relayed_size_ = relayed.size();
  round_ = true;
  round_next_ = 0;
  go_round(now);
  arm();
}

void FlowRtcp::go_round(Nanos now) noexcept {
  const auto& receivers = flow_.receivers();
  // Receivers that leave meanwhile may bring one out of its turn: the next round has it again.
  for (std::size_t n = 0; n < kPerTurn && round_next_ < receivers.size(); n++, round_next_++) {
    const FlowReceiver& receiver = receivers[round_next_];
    if (!receiver.open()) continue;
    if (ReceiverRtcp* const state = bench_.directory.find(receiver.handle()))
      report_to(receiver, *state, now);
  }
  round_ = round_next_ < receivers.size();
}

void FlowRtcp::report_to(const FlowReceiver& receiver, ReceiverRtcp& state, Nanos now) noexcept {
  const auto mapping = mapping_of(receiver);
  if (!mapping) return;
  Buffer out;
  const std::size_t size =
      relayed_size_ > 0 ? relay(*mapping, state, out, now) : own_report(receiver, *mapping, state, out, now);
  Port& port = place_.control != nullptr ? *place_.control : receiver.port();
  if (size > 0) send(port, state.target, codec::Bytes(out).first(size));
}

std::size_t FlowRtcp::relay(const RtcpMapping& mapping, ReceiverRtcp& state, Buffer& out,
                            Nanos now) noexcept {
  const auto compound =
      RtcpCompound::parse(codec::Bytes(relayed_).first(relayed_size_), RtcpForm::reduced_too);
  if (!compound) return 0;
  for (const codec::RtcpPacket& packet : *compound) {
    const auto info = codec::sender_info(packet);
    if (info && packet.ssrc() == mapping.source_ssrc) state.sent.note(info->ntp, now);
  }
  return rtcp_to_receiver(*compound, mapping, out);
}

std::size_t FlowRtcp::own_report(const FlowReceiver& receiver, const RtcpMapping& mapping,
                                 ReceiverRtcp& state, Buffer& out, Nanos now) noexcept {
  // The wall clock and the RTP clock of one moment; `now` is when the loop woke.
  const Nanos at = kernel::monotonic_now();
  const std::uint64_t ntp = codec::ntp_from_unix(kernel::wall_now());
  const auto of_stream = place_.stream != nullptr ? place_.stream->timestamp_at(at) : std::nullopt;
  const std::uint32_t timestamp = of_stream ? *of_stream + mapping.timestamp_delta
                                            : receiver.timestamp_at(at, flow_.options().clock_rate);
  codec::RtcpWriter writer(out);
  writer.sender_report(mapping.receiver_ssrc, {ntp, timestamp, mapping.packets, mapping.octets});
  writer.cname(mapping.receiver_ssrc, options_.cname);
  state.sent.note(ntp, now);
  return writer.size();
}

std::optional<RtcpMapping> FlowRtcp::mapping_of(const FlowReceiver& receiver) const noexcept {
  if (!receiver.fits() || receiver.sequence() < 0) return std::nullopt;
  RtcpMapping mapping;
  mapping.source_ssrc = flow_.source_ssrc();
  mapping.receiver_ssrc = receiver.ssrc();
  mapping.sequence_delta = receiver.sequence_delta();
  mapping.first_sequence = receiver.first() + receiver.sequence_delta();
  mapping.last_sequence = receiver.sequence();
  mapping.timestamp_delta = receiver.timestamp_delta();
  mapping.packets = static_cast<std::uint32_t>(receiver.packets());
  mapping.octets = static_cast<std::uint32_t>(receiver.bytes() - receiver.packets() * codec::kRtpHeaderSize);
  mapping.goes_on = mapping.receiver_ssrc != mapping.source_ssrc;
  return mapping;
}

void FlowRtcp::on_receiver(const FlowReceiver& receiver, ReceiverRtcp& state, const RtcpCompound& compound,
                           Nanos now) noexcept {
  bump(counters_.rtcp_in);
  const auto mapping = mapping_of(receiver);
  for (const codec::RtcpPacket& packet : compound) {
    for (std::size_t i = 0; i < codec::report_block_count(packet); i++) {
      const codec::ReportBlock block = codec::report_block(packet, i);
      if (block.ssrc == receiver.ssrc())
        take_block(receiver, state, mapping ? &*mapping : nullptr, packet.ssrc(), block, now);
    }
  }
  if (mapping && has_requests(compound)) request(compound, *mapping, now);
}

void FlowRtcp::take_block(const FlowReceiver& receiver, ReceiverRtcp& state, const RtcpMapping* mapping,
                          std::uint32_t reporter, const codec::ReportBlock& block, Nanos now) noexcept {
  state.view = view_report(block, state.sent, flow_.options().clock_rate, now);
  state.reported_at = now;
  if (mapping != nullptr && state.mapping != mapping->first_sequence) {
    // What was lost until then was another's.
    state.lost_before = state.mapping < 0 ? 0 : state.lost;
    state.mapping = mapping->first_sequence;
  }
  state.lost = block.lost;
  if (mapping == nullptr || place_.media == nullptr || reporter == mapping->source_ssrc) return;
  RtcpMapping with_loss = *mapping;
  with_loss.lost_before = state.lost_before;
  if (const auto mapped = block_to_source(block, with_loss))
    feedback_.add(static_cast<std::uint32_t>(receiver.handle()), {reporter, *mapped}, now);
}

void FlowRtcp::request(const RtcpCompound& compound, const RtcpMapping& mapping, Nanos now) noexcept {
  if (place_.media == nullptr || compound.bytes().size() > kMost) return;
  Buffer out;
  const std::size_t size = rtcp_to_source(compound, mapping, out);
  const auto translated = RtcpCompound::parse(codec::Bytes(out).first(size), RtcpForm::reduced_too);
  // Where all of the requests were about another, its reports wait for their turn.
  if (!translated || !has_requests(*translated) || !spend(size, now)) return;
  send_to_source(translated->bytes());
}

/** Whether requests may take so many bytes of the share of RTCP now. */
bool FlowRtcp::spend(std::size_t bytes, Nanos now) noexcept {
  const double a_second = bandwidth() * kRtcpShare / 8;
  const double most = std::max(a_second * kAllowanceSeconds, kLeastAllowance);
  const double gathered =
      a_second * static_cast<double>(now - allowance_at_) / static_cast<double>(kernel::kSecond);
  allowance_ = std::min(allowance_ + gathered, most);
  allowance_at_ = now;
  const double cost = static_cast<double>(bytes) + kLowerHeaders;
  if (allowance_ < cost) return false;
  allowance_ -= cost;
  return true;
}

std::size_t FlowRtcp::report_to_source(Nanos now) noexcept {
  std::array<std::uint8_t, kMostToSource> out;
  codec::RtcpWriter writer(out);
  RtpStatistics& statistics = flow_.statistics();
  if (statistics.valid()) {
    const codec::ReportBlock block = statistics.report_block(now);
    writer.receiver_report(ssrc_, {&block, 1});
  } else {
    writer.receiver_report(ssrc_);
  }
  writer.cname(ssrc_, options_.cname);
  feedback_.take(writer, now);
  send_to_source(writer.written());
  return writer.size();
}

void FlowRtcp::send_to_source(codec::Bytes bytes) noexcept {
  if (!source_ || place_.media == nullptr) return;
  if (place_.control == nullptr) {
    send(*place_.media, kernel::UdpTarget(*source_, 0, std::nullopt), bytes);
    return;
  }
  // RFC 3550 section 11: the port above, until its RTCP has shown where it comes from.
  const kernel::Address above = source_->with_port(static_cast<std::uint16_t>(source_->port() + 1));
  send(*place_.control, kernel::UdpTarget(source_control_.value_or(above), 0, std::nullopt), bytes);
}

void FlowRtcp::send(Port& port, const kernel::UdpTarget& target, codec::Bytes bytes) noexcept {
  if (target.family() != port.family()) return;
  refused_ = false;
  const auto pieces = bench_.control.pieces(1);
  pieces[0] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  bench_.control.add(target, pieces, 0, 0);
  port.count_sends(bench_.control.flush(port.send_fd(), kernel::Handover::one_by_one, *this));
  if (!refused_) bump(counters_.rtcp_out);
}

void FlowRtcp::on_refused(std::uint32_t, int) noexcept {
  refused_ = true;
}

}  // namespace sluice::plane
