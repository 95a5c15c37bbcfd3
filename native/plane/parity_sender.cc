#include "plane/parity_sender.h"

#include "kernel/counter.h"
#include "plane/repair_ports.h"

namespace sluice::plane {

using kernel::bump;

namespace {

/** ST 2022-1 section 8.4 leaves it free; receivers know parity by its port. */
constexpr std::uint32_t kParitySsrc = 0;

}  // namespace

/** What is open stays as it is. */
std::optional<kernel::Error> ParitySender::open_way(std::uint16_t step, std::optional<Way>& way) const {
  if (way) return std::nullopt;
  kernel::UdpTxOptions options = media_;
  const auto stepped = [step](std::uint16_t port) { return static_cast<std::uint16_t>(port + step); };
  options.destination = options.destination.with_port(stepped(options.destination.port()));
  if (options.source_port != 0) options.source_port = stepped(options.source_port);
  auto socket = kernel::UdpTx::open(options);
  if (!socket.ok()) return socket.error();
  way = Way{std::move(socket.value()), 0};
  return std::nullopt;
}

kernel::Result<std::unique_ptr<ParitySender>> ParitySender::open(Stream& stream,
                                                                 const kernel::UdpTxOptions& media,
                                                                 const ParitySenderOptions& options,
                                                                 SenderCounters& counters) {
  std::unique_ptr<ParitySender> sender(new ParitySender(stream, media, counters));
  if (auto error = sender->change(options)) return std::move(*error);
  return sender;
}

ParitySender::ParitySender(Stream& stream, kernel::UdpTxOptions media, SenderCounters& counters)
    : stream_(stream), counters_(counters), media_(std::move(media)) {}

ParitySender::~ParitySender() {
  stream_.detach(*this);
}

std::optional<kernel::Error> ParitySender::change(const ParitySenderOptions& options) {
  if (options.parity)
    if (auto error = open_way(kColumnPortStep, columns_)) return error;
  if (options.parity && options.parity->row_parity)
    if (auto error = open_way(kRowPortStep, rows_)) return error;
  if (options.block)
    if (auto error = open_way(kBlockPortStep, blocks_)) return error;
  // What is whole, or can be made whole, is still protected as it was meant.
  if (parity_) parity_->flush(*this);
  if (block_) block_->flush(*this);
  parity_.reset();
  block_.reset();
  payload_type_ = options.payload_type;
  if (options.parity) parity_.emplace(*options.parity);
  if (options.block) block_.emplace(*options.block);
  stream_.detach(*this);
  if (options.any()) stream_.attach(*this);
  return std::nullopt;
}

void ParitySender::on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept {
  // A source that runs far ahead may have taken the place of what departed and is still to be encoded.
  if (block_ && !block_->empty() && ring.descriptor(block_->first()).position < ring.oldest_position())
    block_->flush(*this);
  for (std::int64_t i = first; i < end; i++) {
    const Descriptor& d = ring.descriptor(i);
    const repair::ProtectedPacket packet{i, ring.header(i), {ring.at(d.position), d.size}};
    timestamp_ = codec::load32(packet.header + 4);
    if (parity_) parity_->push(packet, *this);
    if (block_) block_->push(packet, *this);
  }
}

codec::RtpHeader ParitySender::header(Way& way) noexcept {
  return {false, payload_type_, way.sequence++, timestamp_, kParitySsrc};
}

void ParitySender::on_parity(const codec::ParityPacket& packet) noexcept {
  std::optional<Way>& way = packet.scope.row ? rows_ : columns_;
  if (!way) return;
  std::array<std::uint8_t, codec::kParityHeadersSize> head;
  codec::write_parity(header(*way), packet, head.data());
  send(*way, head, packet.payload, packet.scope.row ? counters_.parity_rows : counters_.parity_columns);
}

void ParitySender::on_block_parity(const codec::BlockParityPacket& packet) noexcept {
  if (!blocks_) return;
  std::array<std::uint8_t, codec::kRtpHeaderSize + codec::kBlockParityHeaderSize> head;
  codec::write_block_parity(header(*blocks_), packet, head.data());
  send(*blocks_, head, packet.symbol, counters_.parity_blocks);
}

void ParitySender::send(Way& way, std::span<std::uint8_t> head, codec::Bytes payload,
                        std::uint64_t& kind) noexcept {
  std::array<iovec, 2> pieces{iovec{head.data(), head.size()},
                              iovec{const_cast<std::uint8_t*>(payload.data()), payload.size()}};
  if (!way.socket.send(pieces).sent) return bump(counters_.parity_errors);
  bump(counters_.parity_bytes, head.size() + payload.size());
  bump(kind);
}

}  // namespace sluice::plane
