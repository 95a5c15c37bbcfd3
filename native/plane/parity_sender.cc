#include "plane/parity_sender.h"

#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;
using kernel::Result;

namespace {

// Above the port of the media: design of the ports of a rendition.
constexpr std::uint16_t kColumns = 2;
constexpr std::uint16_t kRows = 4;
constexpr std::uint16_t kBlocks = 6;

/** ST 2022-1 leaves it free; receivers know parity by its port. */
constexpr std::uint32_t kParitySsrc = 0;

}  // namespace

Result<std::optional<ParitySender::Way>> ParitySender::open_way(kernel::UdpTxOptions options, std::uint16_t step,
                                                                bool wanted) {
  if (!wanted) return std::optional<Way>();
  options.destination = options.destination.with_port(static_cast<std::uint16_t>(options.destination.port() + step));
  if (options.source_port != 0) options.source_port = static_cast<std::uint16_t>(options.source_port + step);
  auto socket = kernel::UdpTx::open(options);
  if (!socket.ok()) return socket.error();
  return std::optional<Way>(Way{std::move(socket.value()), 0});
}

Result<std::unique_ptr<ParitySender>> ParitySender::open(Stream& stream, const ParitySenderOptions& options,
                                                         ParityCounters& counters) {
  std::unique_ptr<ParitySender> sender(new ParitySender(stream, options, counters));
  const bool parity = options.parity.has_value();
  auto columns = open_way(options.media, kColumns, parity);
  if (!columns.ok()) return columns.error();
  auto rows = open_way(options.media, kRows, parity && options.parity->row_parity);
  if (!rows.ok()) return rows.error();
  auto blocks = open_way(options.media, kBlocks, options.block.has_value());
  if (!blocks.ok()) return blocks.error();
  sender->columns_ = std::move(columns.value());
  sender->rows_ = std::move(rows.value());
  sender->blocks_ = std::move(blocks.value());
  stream.attach(*sender);
  return sender;
}

ParitySender::ParitySender(Stream& stream, const ParitySenderOptions& options, ParityCounters& counters)
    : stream_(stream), counters_(counters), payload_type_(options.payload_type) {
  if (options.parity) parity_.emplace(*options.parity);
  if (options.block) block_.emplace(*options.block);
}

ParitySender::~ParitySender() {
  stream_.detach(*this);
}

void ParitySender::on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept {
  for (std::int64_t i = first; i < end; i++) {
    const Descriptor& d = ring.descriptor(i);
    const repair::ProtectedPacket packet{i, ring.header(i), {ring.at(d.position), d.size}};
    timestamp_ = codec::load32(packet.header + 4);
    if (parity_) parity_->push(packet, *this);
    if (block_) block_->push(packet, *this);
  }
}

codec::RtpHeader ParitySender::header(Way& way, std::uint32_t ssrc) noexcept {
  return {false, payload_type_, way.sequence++, timestamp_, ssrc};
}

void ParitySender::on_parity(const codec::ParityPacket& packet) noexcept {
  std::optional<Way>& way = packet.scope.row ? rows_ : columns_;
  if (!way) return;
  std::array<std::uint8_t, codec::kParityHeadersSize> head;
  codec::write_parity(header(*way, kParitySsrc), packet, head.data());
  send(*way, head, packet.payload, packet.scope.row ? counters_.rows : counters_.columns);
}

void ParitySender::on_block_parity(const codec::BlockParityPacket& packet) noexcept {
  if (!blocks_) return;
  std::array<std::uint8_t, codec::kRtpHeaderSize + codec::kBlockParityHeaderSize> head;
  codec::write_block_parity(header(*blocks_, kParitySsrc), packet, head.data());
  send(*blocks_, head, packet.symbol, counters_.blocks);
}

void ParitySender::send(Way& way, std::span<std::uint8_t> head, codec::Bytes payload, std::uint64_t& kind) noexcept {
  std::array<iovec, 2> pieces{iovec{head.data(), head.size()},
                              iovec{const_cast<std::uint8_t*>(payload.data()), payload.size()}};
  if (!way.socket.send(pieces).sent) return bump(counters_.errors);
  bump(counters_.packets);
  bump(counters_.bytes, head.size() + payload.size());
  bump(kind);
}

}  // namespace sluice::plane
