#include "plane/packet_capture.h"

#include <arpa/inet.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::plane {

using codec::Bytes;
using kernel::bump;
using kernel::gauge;

namespace {

/** Batches taken per wake-up, so that limits and removal are noticed. */
constexpr int kBatchesPerTurn = 16;
/** When it ends, so many at most are taken out of the socket: what comes in meanwhile has no end. */
constexpr int kBatchesAtEnd = 4096;
constexpr std::size_t kAddresses = 12;
constexpr std::size_t kTag = 4;

std::uint32_t link_type_of(kernel::LinkLayer layer) noexcept {
  switch (layer) {
    case kernel::LinkLayer::ethernet:
      return codec::kLinkEthernet;
    case kernel::LinkLayer::raw:
      return codec::kLinkRaw;
    default:
      return codec::kLinkCooked2;
  }
}

/** A frame as it goes into the file: what the kernel keeps beside it is put back in front. */
struct Restored {
  std::array<std::uint8_t, codec::kCooked2Header + kTag> head;
  std::size_t head_size = 0;
  /** What follows `head`. */
  Bytes rest;
  codec::LinkView link;
};

void add_tag(const kernel::Frame& frame, codec::LinkView& link) noexcept {
  const auto tags = link.tags.begin();
  std::copy_backward(tags, tags + 3, tags + 4);
  link.tags[0] = frame.tci;
  link.tag_count = static_cast<std::uint8_t>(std::min(link.tag_count + 1, 4));
}

void restore_ethernet(const kernel::Frame& frame, Restored& out) noexcept {
  out.rest = frame.data;
  out.link = codec::parse_link(frame.data, codec::kLinkEthernet).value_or(codec::LinkView{});
  if (frame.tpid == 0 || frame.data.size() < kAddresses) return;
  std::copy_n(frame.data.begin(), kAddresses, out.head.begin());
  codec::store16(out.head.data() + kAddresses, frame.tpid);
  codec::store16(out.head.data() + kAddresses + 2, frame.tci);
  out.head_size = kAddresses + kTag;
  out.rest = frame.data.subspan(kAddresses);
  add_tag(frame, out.link);
}

void restore_cooked(const kernel::Frame& frame, Restored& out) noexcept {
  const std::uint16_t ethertype = ntohs(frame.from.sll_protocol);
  codec::CookedFacts facts;
  facts.ethertype = frame.tpid != 0 ? frame.tpid : ethertype;
  facts.interface = static_cast<std::uint32_t>(frame.from.sll_ifindex);
  facts.device_type = frame.from.sll_hatype;
  facts.packet_type = frame.from.sll_pkttype;
  facts.address_length = frame.from.sll_halen;
  std::memcpy(facts.address.data(), frame.from.sll_addr, facts.address.size());
  codec::write_cooked2(facts, out.head.data());
  out.head_size = codec::kCooked2Header;
  out.rest = frame.data;
  out.link = codec::parse_network(ethertype, frame.data);
  if (frame.tpid == 0) return;
  codec::store16(out.head.data() + codec::kCooked2Header, frame.tci);
  codec::store16(out.head.data() + codec::kCooked2Header + 2, ethertype);
  out.head_size += kTag;
  add_tag(frame, out.link);
}

void restore_raw(const kernel::Frame& frame, Restored& out) noexcept {
  out.rest = frame.data;
  out.link = codec::parse_link(frame.data, codec::kLinkRaw).value_or(codec::LinkView{});
}

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
  Restored restored;
  switch (socket_->layer()) {
    case kernel::LinkLayer::ethernet:
      restore_ethernet(frame, restored);
      break;
    case kernel::LinkLayer::raw:
      restore_raw(frame, restored);
      break;
    default:
      restore_cooked(frame, restored);
  }
  if (!filter_.empty() && !filter_.matches(restored.link)) return;
  const std::size_t added = restored.head_size + restored.rest.size() - frame.data.size();
  recording_->add(frame.wall, frame.original_length + static_cast<std::uint32_t>(added),
                  Bytes(restored.head).first(restored.head_size), restored.rest);
}

void PacketCapture::finish() noexcept {
  finished_ = true;
  reactor_.unwatch(socket_->fd(), *this);
  recording_->finish(counters_.received, socket_->drops());
  gauge(counters_.kernel_drops, socket_->drops());
  gauge(counters_.file_bytes, recording_->written());
}

}  // namespace sluice::plane
