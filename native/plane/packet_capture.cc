#include "plane/packet_capture.h"

#include <sys/epoll.h>

#include <cstring>
#include <utility>

#include "plane/captured_frame.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

/** Batches taken per wake-up, so that limits and removal are noticed. */
constexpr int kBatchesPerTurn = 16;
/** When it ends, so many at most are taken out of the socket: what comes in meanwhile has no end. */
constexpr int kBatchesAtEnd = 4096;

}  // namespace

kernel::Result<std::unique_ptr<PacketCapture>> PacketCapture::open(kernel::Reactor& reactor,
                                                                   PacketCaptureOptions options,
                                                                   CaptureCounters& counters,
                                                                   EndHandler on_end) {
  auto socket = kernel::PacketRx::open(options.socket);
  if (!socket.ok()) return socket.error();
  options.recording.link_type = link_type_of(socket.value()->layer());
  options.recording.snaplen = options.socket.snaplen;
  auto recording = Recording::open(std::move(options.recording));
  if (!recording.ok()) return recording.error();
  std::unique_ptr<PacketCapture> capture(
      new PacketCapture(reactor, std::move(options.filter), std::move(socket.value()),
                        std::move(recording.value()), counters, std::move(on_end)));
  if (!reactor.watch(capture->socket_->fd(), EPOLLIN, *capture))
    return kernel::system_error("watching a packet socket");
  return capture;
}

PacketCapture::PacketCapture(kernel::Reactor& reactor, codec::PacketFilter filter,
                             std::unique_ptr<kernel::PacketRx> socket, std::unique_ptr<Recording> recording,
                             CaptureCounters& counters, EndHandler on_end)
    : reactor_(reactor),
      filter_(std::move(filter)),
      socket_(std::move(socket)),
      recording_(std::move(recording)),
      counters_(counters),
      on_end_(std::move(on_end)) {
  gauge(counters_.files, recording_->files());
}

PacketCapture::~PacketCapture() {
  if (finished_) return;
  read(kBatchesAtEnd);
  finish();
}

void PacketCapture::on_ready(std::uint32_t) noexcept {
  read(kBatchesPerTurn);
  if (!recording_->ended()) return;
  finish();
  if (const int failed = recording_->error(); failed != 0)
    on_end_("SYSTEM_CALL", std::string("writing the capture: ") + std::strerror(failed));
  else
    on_end_(nullptr, "");
}

void PacketCapture::read(int batches) noexcept {
  do {
    for (const kernel::Frame& frame : socket_->receive()) take(frame);
  } while (socket_->more() && --batches > 0 && !recording_->ended());
  // At the end of each turn: whoever looks at the file meanwhile finds whole packets, and all that have come.
  recording_->flush();
  gauge(counters_.kernel_drops, socket_->drops());
  gauge(counters_.packets, recording_->packets());
  gauge(counters_.bytes, recording_->bytes());
  gauge(counters_.file_bytes, recording_->written());
  gauge(counters_.files, recording_->files());
}

void PacketCapture::take(const kernel::Frame& frame) noexcept {
  bump(counters_.received);
  const CapturedFrame captured(frame, socket_->layer());
  if (!filter_.empty() && !filter_.matches(captured.link())) return;
  recording_->add(frame.wall, captured.original_length(), captured.head(), captured.rest());
}

void PacketCapture::finish() noexcept {
  finished_ = true;
  reactor_.unwatch(socket_->fd(), *this);
  recording_->finish(counters_.received, socket_->drops());
  gauge(counters_.kernel_drops, socket_->drops());
  gauge(counters_.file_bytes, recording_->written());
}

}  // namespace sluice::plane
