#include "plane/sender.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

Sender::Sender(Stream& stream, kernel::UdpTx socket, Batching batching, SenderCounters& counters,
               codec::Numbering numbering, bool v6)
    : stream_(stream),
      socket_(std::move(socket)),
      counters_(counters),
      // An option is of one datagram: those that the kernel cuts would share it.
      segmenting_(numbering != codec::Numbering::option &&
                  (batching == Batching::automatic || batching == Batching::segment) &&
                  socket_.can_segment()),
      numbering_(numbering),
      v6_(v6),
      head_(codec::numbered_header_size(numbering)) {
  gauge(counters_.segmentation, segmenting_ ? 1 : 0);
  stream_.attach(*this);
}

Sender::~Sender() {
  stream_.detach(*this);
}

void Sender::on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept {
  while (first < end) first = send_batch(ring, first, end);
}

std::int64_t Sender::send_batch(Ring& ring, std::int64_t first, std::int64_t end) noexcept {
  const std::uint16_t segment = ring.descriptor(first).size;
  std::size_t packets = 0;
  std::size_t bytes = 0;
  const std::size_t most = segmenting_ ? kMostPerCall : 1;
  for (std::int64_t s = first; s < end && packets < most; s++) {
    const Descriptor& d = ring.descriptor(s);
    if (d.size > segment) break;
    pieces_[2 * packets] = {header(ring, s, packets), head_};
    pieces_[2 * packets + 1] = {ring.at(d.position), d.size};
    packets++;
    bytes += head_ + d.size;
    // A shorter datagram can only be the last of a segmented batch.
    if (d.size < segment) break;
  }
  const std::span<iovec> pieces(pieces_.data(), 2 * packets);
  const auto outcome = packets > 1
                           ? socket_.send_segmented(pieces, static_cast<std::uint16_t>(head_ + segment))
                           : send_numbered(pieces, first);
  if (packets > 1 && outcome.no_segmentation) {
    segmenting_ = false;
    gauge(counters_.segmentation, 0);
    return first;
  }
  count(outcome, packets, bytes);
  return first + static_cast<std::int64_t>(packets);
}

kernel::UdpTxOutcome Sender::send_numbered(std::span<iovec> pieces, std::int64_t sequence) noexcept {
  if (numbering_ != codec::Numbering::option) return socket_.send(pieces);
  std::array<std::uint8_t, codec::kNumberOptionSize> option;
  codec::write_number_option(v6_, static_cast<std::uint32_t>(sequence), option.data());
  return socket_.send_with_options(pieces, option);
}

std::uint8_t* Sender::header(Ring& ring, std::int64_t sequence, std::size_t place) noexcept {
  if (head_ == codec::kRtpHeaderSize) return ring.header(sequence);
  std::uint8_t* const out = headers_.data() + place * head_;
  codec::write_numbered_header(numbering_, ring.header(sequence), static_cast<std::uint32_t>(sequence), out);
  return out;
}

void Sender::count(const kernel::UdpTxOutcome& outcome, std::size_t packets, std::size_t bytes) noexcept {
  bump(counters_.calls);
  if (outcome.sent) {
    bump(counters_.packets, packets);
    bump(counters_.bytes, bytes);
  } else {
    bump(counters_.errors);
    bump(counters_.drops, packets);
  }
}

}  // namespace sluice::plane
