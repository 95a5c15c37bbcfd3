#include "plane/capture_replay.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;
using kernel::kMillisecond;

namespace {

/** Packets sent, and packets looked at, in one turn of the loop. */
constexpr unsigned kBurst = 64;
constexpr unsigned kScan = 4096;
/** Some decades: what a damaged time can ask for at most. */
constexpr double kMostWait = 1e18;

bool same_ends(const codec::UdpDatagram& a, const codec::UdpDatagram& b) noexcept {
  return a.version == b.version && a.source_port == b.source_port &&
         a.destination_port == b.destination_port && a.source == b.source && a.destination == b.destination;
}

}  // namespace

kernel::Result<std::unique_ptr<CaptureReplay>> CaptureReplay::open(kernel::Reactor& reactor,
                                                                   const ReplayOptions& options,
                                                                   ReplayCounters& counters,
                                                                   EndHandler on_end) {
  auto file = CaptureFile::open(options.path);
  if (!file.ok()) return file.error();
  const auto make = [&](auto opened) -> kernel::Result<std::unique_ptr<CaptureReplay>> {
    if (!opened.ok()) return opened.error();
    return std::unique_ptr<CaptureReplay>(new CaptureReplay(
        reactor, options, std::move(file.value()), std::move(opened.value()), counters, std::move(on_end)));
  };
  auto replay = std::holds_alternative<FrameTarget>(options.target)
                    ? make(FrameSender::open(*std::get_if<FrameTarget>(&options.target)))
                    : make(kernel::UdpTx::open(*std::get_if<kernel::UdpTxOptions>(&options.target)));
  if (replay.ok()) reactor.arm(*replay.value(), kernel::monotonic_now());
  return replay;
}

CaptureReplay::CaptureReplay(kernel::Reactor& reactor, const ReplayOptions& options, CaptureFile file,
                             Output output, ReplayCounters& counters, EndHandler on_end)
    : reactor_(reactor),
      speed_(options.speed),
      loops_(options.loops),
      flow_(options.flow),
      file_(std::move(file)),
      output_(std::move(output)),
      counters_(counters),
      on_end_(std::move(on_end)) {}

void CaptureReplay::on_timer(Nanos now) noexcept {
  for (unsigned n = 0; n < kBurst; n++) {
    if (!pending_) {
      const Next next = advance(now);
      if (next == Next::end) return end();
      if (next == Next::later) break;
    }
    if (due_ > now) return reactor_.arm(*this, due_);
    const Sent sent = send();
    if (sent == Sent::full) return reactor_.arm(*this, now + kMillisecond);
    count(sent, now);
    pending_ = false;
  }
  reactor_.arm(*this, now);
}

/** Reads up to the next packet that is wanted. */
CaptureReplay::Next CaptureReplay::advance(Nanos now) noexcept {
  for (unsigned n = 0; n < kScan; n++) {
    if (!file_.next(packet_)) {
      if (!begin_loop()) return Next::end;
    } else if (wanted()) {
      schedule(now);
      pending_ = true;
      return Next::packet;
    }
  }
  return Next::later;
}

bool CaptureReplay::wanted() noexcept {
  if (!flow_) return true;
  const auto found = codec::find_udp(packet_.data, packet_.link_type, datagram_);
  return found == codec::UdpFind::udp && same_ends(datagram_, *flow_);
}

/** When packet_ is due: never before the one in front of it. */
void CaptureReplay::schedule(Nanos now) noexcept {
  const bool first = in_loop_++ == 0;
  if (speed_ == 0) {
    due_ = now;
  } else if (first) {
    first_ns_ = packet_.time_ns;
    origin_ = std::max(due_, rounds_ == 0 ? now : 0);
    due_ = origin_;
  } else if (packet_.timed && packet_.time_ns > first_ns_) {
    const auto since = static_cast<std::uint64_t>(packet_.time_ns) - static_cast<std::uint64_t>(first_ns_);
    const double wait = std::min(static_cast<double>(since) / speed_, kMostWait);
    due_ = std::max(due_, origin_ + static_cast<Nanos>(wait));
  }
}

/** At the end of the file: false when that was the last time. */
bool CaptureReplay::begin_loop() noexcept {
  bump(counters_.loops);
  rounds_++;
  if (rounds_ == loops_ || in_loop_ == 0 || !file_.damage().empty() || !file_.rewind()) return false;
  const Nanos spaces = in_loop_ > 1 ? static_cast<Nanos>(in_loop_ - 1) : 1;
  due_ += std::max((due_ - origin_) / spaces, kMillisecond);
  in_loop_ = 0;
  return true;
}

void CaptureReplay::end() {
  const std::string damage = file_.damage();
  if (!damage.empty()) return on_end_("CAPTURE_INVALID", damage);
  if (counters_.packets + counters_.unsuitable + counters_.errors > 0) return on_end_(nullptr, "");
  on_end_("CAPTURE_EMPTY", flow_ ? "the capture has no datagram of the flow" : "the capture has no packet");
}

Sent CaptureReplay::send() noexcept {
  if (auto* const frames = std::get_if<FrameSender>(&output_)) return frames->send(packet_);
  return send_datagram(*std::get_if<kernel::UdpTx>(&output_));
}

Sent CaptureReplay::send_datagram(kernel::UdpTx& socket) noexcept {
  // The kernel only reads what the piece points at.
  iovec piece{const_cast<std::uint8_t*>(datagram_.payload.data()), datagram_.payload.size()};
  const auto outcome = socket.send({&piece, 1});
  if (outcome.sent) return Sent::sent;
  if (outcome.error == EAGAIN || outcome.error == ENOBUFS) return Sent::full;
  gauge(counters_.last_error, static_cast<std::uint64_t>(outcome.error));
  return Sent::failed;
}

void CaptureReplay::count(Sent sent, Nanos now) noexcept {
  const auto late = static_cast<std::uint64_t>(now - due_);
  if (late > counters_.late_ns_max) gauge(counters_.late_ns_max, late);
  if (sent == Sent::unsuitable) return bump(counters_.unsuitable);
  if (sent == Sent::failed) {
    if (auto* const frames = std::get_if<FrameSender>(&output_))
      gauge(counters_.last_error, static_cast<std::uint64_t>(frames->error()));
    return bump(counters_.errors);
  }
  bump(counters_.packets);
  bump(counters_.bytes, flow_ && std::holds_alternative<kernel::UdpTx>(output_) ? datagram_.payload.size()
                                                                                : packet_.data.size());
}

}  // namespace sluice::plane
