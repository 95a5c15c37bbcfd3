#include "plane/sender_reports.h"

#include <sys/epoll.h>

#include "codec/ntp.h"
#include "codec/rtcp_writer.h"
#include "kernel/file.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

/** Largest that is sent: SR, and SDES with the longest CNAME. */
constexpr std::size_t kMostSent = 28 + 268;
/** Largest that is read: a frame of Ethernet. */
constexpr std::size_t kMostRead = 1500;
/** Datagrams read in one wake-up. */
constexpr int kReadsPerTurn = 64;
/** IPv4 and UDP, which count for the share of RTCP (RFC 3550 section 6.2). */
constexpr double kLowerHeaders = 28;
constexpr std::uint32_t kClockRate = 90000;
/** The one sender of its session. That only those who answer are known makes no difference: however many
 * receivers there are, a quarter of the share of RTCP is the sender's, and far more than it needs. */
constexpr RtcpMembership kWho{2, 1, true};

/** RFC 3550 section 11: RTCP has the port above that of RTP. */
std::uint16_t above(std::uint16_t port) noexcept {
  return static_cast<std::uint16_t>(port + 1);
}

}  // namespace

kernel::Result<std::unique_ptr<SenderReports>> SenderReports::open(kernel::Reactor& reactor, Stream& stream,
                                                                   kernel::UdpTxOptions media,
                                                                   std::string cname,
                                                                   SenderCounters& counters) {
  media.destination = media.destination.with_port(above(media.destination.port()));
  if (media.source_port != 0) media.source_port = above(media.source_port);
  media.answers = true;
  auto socket = kernel::UdpTx::open(media);
  if (!socket.ok()) return socket.error();
  std::unique_ptr<SenderReports> reports(
      new SenderReports(reactor, stream, std::move(socket.value()), std::move(cname), counters));
  if (!reactor.watch(reports->socket_.fd(), EPOLLIN, *reports))
    return kernel::system_error("watching the RTCP socket of a sender");
  return reports;
}

SenderReports::SenderReports(kernel::Reactor& reactor, Stream& stream, kernel::UdpTx socket,
                             std::string cname, SenderCounters& counters)
    : reactor_(reactor),
      stream_(stream),
      socket_(std::move(socket)),
      cname_(std::move(cname)),
      counters_(counters),
      engine_(stream.ssrc() ^ static_cast<std::uint32_t>(reactor.now())),
      schedule_({}, kWho, reactor.now(), random()) {
  reactor_.arm(*this, schedule_.due());
}

SenderReports::~SenderReports() {
  reactor_.unwatch(socket_.fd(), *this);
}

void SenderReports::on_timer(Nanos now) noexcept {
  if (schedule_.expire(now, random())) report(now);
  reactor_.arm(*this, schedule_.due());
}

void SenderReports::report(Nanos now) noexcept {
  std::array<std::uint8_t, kMostSent> bytes;
  codec::RtcpWriter writer(bytes);
  // Wall clock and RTP timestamp are of one moment: `now` is when the loop woke.
  const Nanos at = kernel::monotonic_now();
  const std::uint64_t ntp = codec::ntp_from_unix(kernel::wall_now());
  const auto timestamp = stream_.timestamp_at(at);
  const std::uint64_t packets = counters_.packets;
  // Who has sent nothing since its last report is a receiver (RFC 3550 section 6.4).
  const bool sends = timestamp && packets > packets_reported_;
  packets_reported_ = packets;
  if (sends) {
    const std::uint64_t octets = counters_.bytes - packets * codec::kRtpHeaderSize;
    writer.sender_report(stream_.ssrc(), {ntp, *timestamp, static_cast<std::uint32_t>(packets),
                                          static_cast<std::uint32_t>(octets)});
    sent_.note(ntp, at);
  } else {
    writer.receiver_report(stream_.ssrc());
  }
  writer.cname(stream_.ssrc(), cname_);
  std::array<iovec, 1> piece{{{bytes.data(), writer.size()}}};
  bump(socket_.send(piece).sent ? counters_.rtcp_out : counters_.rtcp_errors);
  schedule_.set_bandwidth(static_cast<double>(stream_.counters().bitrate));
  schedule_.sent(static_cast<double>(writer.size()) + kLowerHeaders, now, random());
}

void SenderReports::on_ready(std::uint32_t) noexcept {
  std::array<std::uint8_t, kMostRead> room;
  for (int i = 0; i < kReadsPerTurn; i++) {
    const auto datagram = socket_.receive(room);
    if (datagram.empty()) return;
    take(datagram, kernel::monotonic_now());
  }
}

void SenderReports::take(codec::Bytes datagram, Nanos now) noexcept {
  const auto compound = codec::RtcpCompound::parse(datagram, codec::RtcpForm::reduced_too);
  if (!compound) return bump(counters_.rtcp_malformed);
  bump(counters_.rtcp_in);
  schedule_.received(static_cast<double>(datagram.size()) + kLowerHeaders);
  for (const codec::RtcpPacket& packet : *compound) {
    for (std::size_t i = 0; i < codec::report_block_count(packet); i++) {
      const codec::ReportBlock block = codec::report_block(packet, i);
      if (block.ssrc == stream_.ssrc()) take_block(block, now);
    }
  }
}

void SenderReports::take_block(const codec::ReportBlock& block, Nanos now) noexcept {
  const ReceiverReportView view = view_report(block, sent_, kClockRate, now);
  bump(counters_.reports);
  gauge(counters_.reported_lost_ppm, static_cast<std::uint64_t>(view.fraction_lost * 1e6));
  gauge(counters_.reported_jitter_us, static_cast<std::uint64_t>(view.jitter / 1000));
  if (view.round_trip) gauge(counters_.round_trip_us, static_cast<std::uint64_t>(*view.round_trip / 1000));
}

}  // namespace sluice::plane
