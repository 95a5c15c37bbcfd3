#include "repair/block_code.h"

namespace sluice::repair {

using codec::kRtpHeaderSize;
using codec::kSymbolHeaderSize;

namespace {

/** Of a sum of logarithms, at most 764. */
std::uint8_t power(unsigned exponent) noexcept {
  return kGaloisLogarithms.power[exponent < 510 ? exponent : exponent - 510];
}

}  // namespace

BlockEncoder::BlockEncoder(const BlockOptions& options, GaloisKernel kernel)
    : options_(options),
      tables_(options.source, options.repair, kernel),
      packets_(options.source),
      headers_(options.source),
      inputs_(options.source),
      outputs_(options.repair),
      padded_(new std::uint8_t[options.source * options.most]),
      symbols_(new std::uint8_t[options.repair * (kSymbolHeaderSize + options.most)]),
      released_(options.repair) {
  std::vector<std::uint8_t> rows;
  for (unsigned i = 0; i < options.repair; i++)
    for (unsigned j = 0; j < options.source; j++) rows.push_back(block_coefficient(options.source, i, j));
  tables_.set(rows, options.source, options.repair);
}

void BlockEncoder::push(const ProtectedPacket& packet, BlockOutput& output) noexcept {
  release(output);
  if (taken_ > 0 && packet.sequence != packets_[0].sequence + static_cast<std::int64_t>(taken_)) taken_ = 0;
  if (packet.body.size() > options_.most) {
    taken_ = 0;
    return;
  }
  packets_[taken_++] = packet;
  if (taken_ < options_.source) return;
  while (released_ < options_.repair) release(output);
  encode();
  taken_ = 0;
}

void BlockEncoder::encode() noexcept {
  std::size_t longest = 0;
  for (const ProtectedPacket& packet : packets_) longest = std::max(longest, packet.body.size());
  symbol_size_ = kSymbolHeaderSize + longest;
  base_ = packets_[0].sequence;
  released_ = 0;
  for (std::size_t i = 0; i < packets_.size(); i++) {
    headers_[i] = symbol_header(packets_[i]);
    inputs_[i] = headers_[i].data();
  }
  for (std::size_t i = 0; i < outputs_.size(); i++)
    outputs_[i] = symbols_.get() + i * (kSymbolHeaderSize + options_.most);
  tables_.combine_eight(inputs_.data(), outputs_.data());
  for (std::size_t i = 0; i < packets_.size(); i++) {
    const codec::Bytes body = packets_[i].body;
    inputs_[i] = body.data();
    if (body.size() == longest) continue;
    std::uint8_t* const copy = padded_.get() + i * options_.most;
    std::memcpy(copy, body.data(), body.size());
    std::memset(copy + body.size(), 0, longest - body.size());
    inputs_[i] = copy;
  }
  for (std::uint8_t*& out : outputs_) out += kSymbolHeaderSize;
  tables_.combine(longest, inputs_.data(), outputs_.data());
}

void BlockEncoder::release(BlockOutput& output) noexcept {
  if (released_ == options_.repair) return;
  const std::uint8_t* const symbol = symbols_.get() + released_ * (kSymbolHeaderSize + options_.most);
  output.on_block_parity({static_cast<std::uint8_t>(released_),
                          static_cast<std::uint8_t>(options_.source),
                          static_cast<std::uint8_t>(options_.repair),
                          static_cast<std::uint16_t>(base_),
                          {symbol, symbol_size_}});
  released_++;
}

void BlockEncoder::flush(BlockOutput& output) noexcept {
  while (released_ < options_.repair) release(output);
  taken_ = 0;
}

BlockDecoder::BlockDecoder(PacketWindow& window, RepairOutput& output, const BlockOptions& options,
                           GaloisKernel kernel)
    : window_(window),
      output_(output),
      options_(options),
      tables_(options.source, options.repair, kernel),
      symbols_(new std::uint8_t[kBlocks * options.repair * (kSymbolHeaderSize + options.most)]),
      points_(options.source),
      weights_(options.source),
      rows_(std::size_t{options.repair} * options.source),
      headers_(options.source),
      found_(options.repair),
      inputs_(options.source),
      outputs_(options.repair) {
  missing_.reserve(options.source);
  for (Block& block : blocks_) block.indices.reserve(options.repair);
}

void BlockDecoder::clear() noexcept {
  for (Block& block : blocks_) block.used = false;
  waiting_ = 0;
}

std::uint8_t* BlockDecoder::symbol(const Block& block, std::size_t at) const noexcept {
  const auto which = static_cast<std::size_t>(&block - blocks_.data());
  return symbols_.get() + (which * options_.repair + at) * (kSymbolHeaderSize + options_.most);
}

void BlockDecoder::drop(Block& block) noexcept {
  block.used = false;
  waiting_--;
}

BlockDecoder::Block* BlockDecoder::block_of(const codec::BlockParityPacket& packet,
                                            std::int64_t base) noexcept {
  for (Block& block : blocks_) {
    if (!block.used || block.base != base) continue;
    const bool same = block.source == packet.source && block.repair == packet.repair &&
                      block.symbol_size == packet.symbol.size();
    return same ? &block : nullptr;
  }
  Block& block = blocks_[next_];
  next_ = (next_ + 1) % kBlocks;
  if (!block.used) waiting_++;
  block.base = base;
  block.source = packet.source;
  block.repair = packet.repair;
  block.symbol_size = packet.symbol.size();
  block.indices.clear();
  block.used = true;
  return &block;
}

void BlockDecoder::on_repair(const codec::BlockParityPacket& packet, std::int64_t highest,
                             std::int64_t oldest) noexcept {
  const std::int64_t base = codec::extend_sequence(highest, packet.base);
  const bool fits = packet.source <= options_.source && packet.repair <= options_.repair &&
                    packet.source <= window_.size() / 2 &&
                    packet.symbol.size() <= kSymbolHeaderSize + options_.most &&
                    packet.symbol.size() - kSymbolHeaderSize + kRtpHeaderSize <= window_.most();
  if (base < oldest || !fits) return;
  bool whole = true;
  for (unsigned i = 0; i < packet.source && whole; i++) whole = window_.has(base + i);
  if (whole) return;
  Block* const block = block_of(packet, base);
  if (block == nullptr) return;
  if (std::find(block->indices.begin(), block->indices.end(), packet.index) != block->indices.end()) return;
  std::memcpy(symbol(*block, block->indices.size()), packet.symbol.data(), packet.symbol.size());
  block->indices.push_back(packet.index);
  attempt(*block);
}

void BlockDecoder::on_stored(std::int64_t oldest) noexcept {
  for (Block& block : blocks_) {
    if (!block.used) continue;
    // The slots of what is older are others' now.
    if (block.base < oldest) {
      drop(block);
    } else {
      attempt(block);
    }
  }
}

void BlockDecoder::attempt(Block& block) noexcept {
  missing_.clear();
  for (unsigned i = 0; i < block.source; i++) {
    if (window_.has(block.base + i)) continue;
    if (missing_.size() == block.indices.size()) return;
    missing_.push_back(block.base + i);
  }
  if (!missing_.empty()) solve(block);
  drop(block);
}

/**
 * What follows for what is missing from as many symbols and from what came, without a step between: the
 * square part of the Cauchy matrix that is to be inverted has an inverse in closed form, and so has its
 * product with the rest. With a point for each packet, as in its coefficients (j of source packet j, k + i of
 * repair packet i), and weight(z) the product of all (z + missing point) over that of all (z + symbol's
 * point), each without z itself: missing m takes weight(z) / (weight(m) (z + m)) of what is known at z.
 */
void BlockDecoder::prepare(const Block& block) noexcept {
  const std::size_t n = missing_.size();
  std::size_t count = 0;
  for (; count < n; count++) points_[count] = static_cast<std::uint8_t>(block.source + block.indices[count]);
  for (unsigned source = 0; source < block.source; source++)
    if (window_.has(block.base + source)) points_[count++] = static_cast<std::uint8_t>(source);
  for (std::size_t i = 0; i < count; i++) weights_[i] = weight(block, points_[i]);
  std::size_t at = 0;
  for (const std::int64_t sequence : missing_) {
    const auto point = static_cast<std::uint8_t>(sequence - block.base);
    const unsigned rest = 2 * 255 - weight(block, point);
    for (std::size_t i = 0; i < count; i++)
      rows_[at++] = power(weights_[i] + rest - kGaloisLogarithms.log[points_[i] ^ point]);
  }
  tables_.set({rows_.data(), at}, count, n);
}

/** The logarithm of a point's weight. */
unsigned BlockDecoder::weight(const Block& block, std::uint8_t point) const noexcept {
  // That of 0, where a point meets itself, is 0.
  const auto log = [point](unsigned other) -> unsigned { return kGaloisLogarithms.log[point ^ other]; };
  const std::size_t n = missing_.size();
  unsigned sum = 255 * static_cast<unsigned>(n);
  for (std::size_t i = 0; i < n; i++) {
    sum += log(static_cast<unsigned>(missing_[i] - block.base));
    sum -= log(block.source + block.indices[i]);
  }
  return sum % 255;
}

/** Has the headers of what is missing made, and then their bodies, in their place; false when what came is
 * not what was encoded. */
bool BlockDecoder::combine(const Block& block) noexcept {
  const std::size_t n = missing_.size();
  const std::size_t body_size = block.symbol_size - kSymbolHeaderSize;
  std::size_t count = 0;
  for (; count < n; count++) inputs_[count] = symbol(block, count);
  for (unsigned i = 0; i < block.source; i++) {
    if (!window_.has(block.base + i)) continue;
    const ProtectedPacket packet = window_.packet(block.base + i);
    if (packet.body.size() > body_size) return false;
    headers_[count] = symbol_header(packet);
    inputs_[count] = headers_[count].data();
    count++;
  }
  for (std::size_t i = 0; i < n; i++) outputs_[i] = found_[i].data();
  tables_.combine_eight(inputs_.data(), outputs_.data());
  for (count = 0; count < n; count++) inputs_[count] += kSymbolHeaderSize;
  for (unsigned i = 0; i < block.source; i++)
    if (window_.has(block.base + i)) inputs_[count++] = window_.padded_body(block.base + i, body_size);
  for (std::size_t i = 0; i < n; i++) outputs_[i] = window_.open(missing_[i]).data() + kRtpHeaderSize;
  tables_.combine(body_size, inputs_.data(), outputs_.data());
  return true;
}

void BlockDecoder::solve(const Block& block) noexcept {
  prepare(block);
  if (!combine(block)) {
    damaged_++;
    return;
  }
  const std::size_t n = missing_.size();
  const std::size_t body_size = block.symbol_size - kSymbolHeaderSize;
  for (std::size_t i = 0; i < n; i++) rebuild(missing_[i], found_[i], outputs_[i], body_size);
  for (std::size_t i = 0; i < n; i++)
    if (window_.has(missing_[i])) output_.on_repaired(missing_[i]);
}

/** The RTP header before a body that is in its place. */
void BlockDecoder::rebuild(std::int64_t sequence, const SymbolHeader& header, std::uint8_t* body,
                           std::size_t body_size) noexcept {
  const std::size_t length = codec::load16(header.data() + 2);
  const bool whole =
      (header[0] & 0xc0) == 0 && length <= body_size &&
      std::all_of(body + length, body + body_size, [](std::uint8_t byte) { return byte == 0; });
  if (!whole) {
    damaged_++;
    return;
  }
  std::uint8_t* const out = body - kRtpHeaderSize;
  out[0] = static_cast<std::uint8_t>(0x80 | header[0]);
  out[1] = header[1];
  codec::store16(out + 2, static_cast<std::uint16_t>(sequence));
  std::memcpy(out + 4, header.data() + 4, 4);
  codec::store32(out + 8, ssrc_);
  window_.commit(sequence, kRtpHeaderSize + length, Origin::block);
}

}  // namespace sluice::repair
