#include "repair/block_code.h"

#include "repair/exclusive_or.h"

namespace sluice::repair {

using codec::kRtpHeaderSize;
using codec::kSymbolHeaderSize;

BlockEncoder::BlockEncoder(const BlockOptions& options)
    : options_(options),
      tables_(options.source, options.repair),
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

BlockDecoder::BlockDecoder(PacketWindow& window, RepairOutput& output, const BlockOptions& options)
    : window_(window),
      output_(output),
      options_(options),
      tables_(options.source, options.repair),
      symbols_(new std::uint8_t[kBlocks * options.repair * (kSymbolHeaderSize + options.most)]),
      present_(new std::uint8_t[options.repair * options.most]),
      inverse_tables_(options.repair, options.repair),
      inverse_(std::size_t{options.repair} * options.repair),
      left_(options.repair),
      right_(options.repair),
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
  for (unsigned i = 0; i < block.source; i++)
    if (!window_.has(block.base + i)) missing_.push_back(block.base + i);
  if (missing_.size() > block.indices.size()) return;
  if (!missing_.empty()) solve(block);
  drop(block);
}

/** Coefficients of those that came in the repair symbols, and those by which the missing follow from what is
 * left of the symbols without them. */
void BlockDecoder::prepare(const Block& block) noexcept {
  const std::size_t n = missing_.size();
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; i++)
    for (unsigned source = 0; source < block.source; source++)
      if (window_.has(block.base + source))
        rows_[count++] = block_coefficient(block.source, block.indices[i], source);
  tables_.set({rows_.data(), count}, block.source - n, n);
  invert(block);
  inverse_tables_.set({inverse_.data(), n * n}, n, n);
}

/**
 * A square part of a Cauchy matrix, 1 / (x[j] + y[i]), has an inverse, which is known:
 * product over p of (x[j] + y[p]) (x[p] + y[i]), over (x[j] + y[i]) and the products over the others of (x[j]
 * + x[p]) and (y[i] + y[p]).
 */
void BlockDecoder::invert(const Block& block) noexcept {
  const std::size_t n = missing_.size();
  const auto x = [&](std::size_t j) { return static_cast<std::uint8_t>(block.source + block.indices[j]); };
  const auto y = [&](std::size_t i) { return static_cast<std::uint8_t>(missing_[i] - block.base); };
  const auto sum = [](unsigned a, unsigned b) { return static_cast<std::uint8_t>(a ^ b); };
  for (std::size_t i = 0; i < n; i++) {
    std::uint8_t left = 1;
    std::uint8_t left_over = 1;
    std::uint8_t right = 1;
    std::uint8_t right_over = 1;
    for (std::size_t p = 0; p < n; p++) {
      left = galois_product(left, sum(x(p), y(i)));
      right = galois_product(right, sum(x(i), y(p)));
      if (p == i) continue;
      left_over = galois_product(left_over, sum(y(i), y(p)));
      right_over = galois_product(right_over, sum(x(i), x(p)));
    }
    left_[i] = galois_product(left, galois_inverse(left_over));
    right_[i] = galois_product(right, galois_inverse(right_over));
  }
  for (std::size_t i = 0; i < n; i++)
    for (std::size_t j = 0; j < n; j++)
      inverse_[i * n + j] =
          galois_product(galois_product(left_[i], right_[j]), galois_inverse(sum(x(j), y(i))));
}

/** Takes what came out of the repair symbols; false when it is not what was encoded. */
bool BlockDecoder::take_from(const Block& block) noexcept {
  const std::size_t n = missing_.size();
  const std::size_t body_size = block.symbol_size - kSymbolHeaderSize;
  std::size_t count = 0;
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
  for (std::size_t i = 0; i < n; i++) exclusive_or({symbol(block, i), kSymbolHeaderSize}, found_[i]);
  count = 0;
  for (unsigned i = 0; i < block.source; i++)
    if (window_.has(block.base + i)) inputs_[count++] = window_.padded_body(block.base + i, body_size);
  for (std::size_t i = 0; i < n; i++) outputs_[i] = present_.get() + i * options_.most;
  tables_.combine(body_size, inputs_.data(), outputs_.data());
  for (std::size_t i = 0; i < n; i++)
    exclusive_or({symbol(block, i) + kSymbolHeaderSize, body_size}, {outputs_[i], body_size});
  return true;
}

void BlockDecoder::solve(const Block& block) noexcept {
  prepare(block);
  if (!take_from(block)) {
    damaged_++;
    return;
  }
  const std::size_t n = missing_.size();
  const std::size_t body_size = block.symbol_size - kSymbolHeaderSize;
  for (std::size_t i = 0; i < n; i++) inputs_[i] = symbol(block, i);
  for (std::size_t i = 0; i < n; i++) outputs_[i] = found_[i].data();
  inverse_tables_.combine_eight(inputs_.data(), outputs_.data());
  for (std::size_t i = 0; i < n; i++) inputs_[i] += kSymbolHeaderSize;
  for (std::size_t i = 0; i < n; i++) outputs_[i] = window_.open(missing_[i]).data() + kRtpHeaderSize;
  inverse_tables_.combine(body_size, inputs_.data(), outputs_.data());
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
