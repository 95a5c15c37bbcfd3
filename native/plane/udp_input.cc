#include "plane/udp_input.h"

#include <sys/epoll.h>

#include "codec/mpegts.h"
#include "codec/rtcp.h"
#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

/** Batches taken per wake-up, so that one input does not starve the others. */
constexpr int kBatchesPerTurn = 8;
/** A flow that changes between plain and RTP is believed after so many datagrams. */
constexpr unsigned kKindChange = 16;
/** After so many beats without a datagram a socket is watched, and costs nothing. */
constexpr int kQuietBeats = 10;

}  // namespace

kernel::Result<std::unique_ptr<UdpInput>> UdpInput::open(kernel::Reactor& reactor,
                                                         const UdpInputOptions& options, TsSink& sink,
                                                         InputCounters& counters, DatagramTap* tap) {
  auto socket = kernel::UdpRx::open(options.socket);
  if (!socket.ok()) return socket.error();
  std::unique_ptr<UdpInput> input(
      new UdpInput(reactor, options, std::move(socket.value()), sink, counters, tap));
  if (!reactor.watch(input->socket_->fd(), EPOLLIN, *input))
    return kernel::system_error("watching a UDP socket");
  return input;
}

UdpInput::UdpInput(kernel::Reactor& reactor, const UdpInputOptions& options,
                   std::unique_ptr<kernel::UdpRx> socket, TsSink& sink, InputCounters& counters,
                   DatagramTap* tap)
    : reactor_(reactor),
      socket_(std::move(socket)),
      sink_(sink),
      counters_(counters),
      tap_(tap),
      plain_(options.numbering),
      reorder_(options.reorder, *this, counters) {}

UdpInput::~UdpInput() {
  reactor_.unwatch(socket_->fd(), *this);
}

void UdpInput::on_ready(std::uint32_t) noexcept {
  const std::uint64_t before = counters_.packets;
  const bool drained = receive();
  gather(drained, counters_.packets != before);
  update_timer();
}

/** False when there may be more. */
bool UdpInput::receive() noexcept {
  int batches = kBatchesPerTurn;
  do {
    for (const kernel::Datagram& d : socket_->receive()) {
      if (tap_ != nullptr) tap_->on_datagram(d);
      take(d);
    }
  } while (socket_->more() && --batches > 0);
  if (tap_ != nullptr) tap_->on_pause();
  gauge(counters_.kernel_drops, socket_->drops());
  return !socket_->more();
}

/** Datagrams gather in the socket until the sink's next beat; a quiet socket is watched again. */
void UdpInput::gather(bool drained, bool any) noexcept {
  const Nanos now = reactor_.now();
  const Nanos patience = sink_.patience();
  if (any) last_read_ = now;
  const bool gathers = patience > 0 && drained && now - last_read_ < kQuietBeats * patience;
  if (gathers != gathering_.has_value()) reactor_.rewatch(socket_->fd(), gathers ? 0U : EPOLLIN, *this);
  gathering_.reset();
  if (gathers) gathering_ = kernel::next_beat(now + 1, patience);
}

void UdpInput::take(const kernel::Datagram& datagram) noexcept {
  const codec::Bytes bytes = datagram.data;
  bump(counters_.packets);
  bump(counters_.bytes, bytes.size());
  if (!plain_.idle()) return take_numbered(datagram);
  if (bytes.size() >= codec::kTsPacketSize && bytes[0] == codec::kTsSync) {
    if (settle(Kind::plain)) sink_.write(bytes, datagram.arrival);
  } else if (codec::is_rtcp(bytes)) {
    bump(counters_.rtcp);
  } else {
    take_rtp(bytes, datagram.arrival);
  }
}

void UdpInput::take_numbered(const kernel::Datagram& datagram) noexcept {
  if (plain_.is_rtp() && codec::is_rtcp(datagram.data)) return bump(counters_.rtcp);
  const auto rtp = plain_(datagram);
  if (!rtp) return bump(counters_.malformed);
  take_rtp(*rtp, datagram.arrival);
}

void UdpInput::take_rtp(codec::Bytes datagram, Nanos arrival) noexcept {
  const auto packet = codec::parse_rtp(datagram);
  const bool media = packet && (packet->header.payload_type == codec::kPayloadTypeMp2t ||
                                (!packet->payload.empty() && packet->payload[0] == codec::kTsSync));
  if (!media) return bump(counters_.malformed);
  if (settle(Kind::rtp)) reorder_.push(*packet, arrival);
}

/** Whether a datagram is of the kind that the flow consists of. */
bool UdpInput::settle(Kind kind) noexcept {
  if (kind == kind_) {
    other_kind_in_row_ = 0;
    return true;
  }
  if (kind_ != Kind::none && ++other_kind_in_row_ < kKindChange) {
    bump(counters_.malformed);
    return false;
  }
  if (kind_ != Kind::none) {
    reorder_.flush();
    sink_.splice();
  }
  kind_ = kind;
  other_kind_in_row_ = 0;
  return true;
}

void UdpInput::on_payload(codec::Bytes payload, Nanos arrival) noexcept {
  if (!payload.empty()) sink_.write(payload, arrival);
}

void UdpInput::on_restart() noexcept {
  sink_.splice();
}

void UdpInput::update_timer() noexcept {
  std::optional<Nanos> deadline = reorder_.deadline();
  if (gathering_ && (!deadline || *gathering_ < *deadline)) deadline = gathering_;
  if (!deadline) return reactor_.disarm(*this);
  if (armed() && timer_at_ == *deadline) return;
  timer_at_ = *deadline;
  reactor_.arm(*this, timer_at_);
}

void UdpInput::on_timer(Nanos now) noexcept {
  // What is already in the socket may fill the gap: the loop thread may have come late, not the packet.
  on_ready(EPOLLIN);
  reorder_.expire(now);
  update_timer();
}

}  // namespace sluice::plane
