// Reed-Solomon over blocks of packets, in the frame of codec/block_parity.h.
#pragma once

#include "codec/block_parity.h"
#include "repair/galois.h"
#include "repair/packet_window.h"

namespace sluice::repair {

struct BlockOptions {
  /** k: packets of a block, 1 to 254. */
  unsigned source = 20;
  /** m: repair packets of a block, 1 to 255 - k. */
  unsigned repair = 4;
  /** Longest body that is protected, at most kMostBody. */
  std::size_t most = 1488;
};

/** Coefficient of source packet `source` in repair packet `repair` of blocks of `k`. */
[[nodiscard]] inline std::uint8_t block_coefficient(unsigned k, unsigned repair, unsigned source) noexcept {
  return galois_inverse(static_cast<std::uint8_t>((k + repair) ^ source));
}

/** What a symbol tells of a packet besides its body. */
using SymbolHeader = std::array<std::uint8_t, codec::kSymbolHeaderSize>;
[[nodiscard]] inline SymbolHeader symbol_header(const ProtectedPacket& packet) noexcept {
  SymbolHeader header{};
  header[0] = packet.header[0] & 0x3f;
  header[1] = packet.header[1];
  codec::store16(header.data() + 2, static_cast<std::uint16_t>(packet.body.size()));
  std::memcpy(header.data() + 4, packet.header + 4, 4);
  return header;
}

/** Told of each repair packet; what it points to stays until it returns. */
class BlockOutput {
 public:
  virtual void on_block_parity(const codec::BlockParityPacket& packet) noexcept = 0;

 protected:
  ~BlockOutput() = default;
};

/**
 * Takes the packets of a stream in sequence, and keeps where they are until their block is complete: they
 * stay there. The repair packets of a block follow its last packet, one with each packet after it. A gap
 * begins a new block. Allocates nothing after it was made.
 */
class BlockEncoder {
 public:
  /** `kernel` is one of galois_kernels(). */
  explicit BlockEncoder(const BlockOptions& options, GaloisKernel kernel = galois_kernels().back());

  /** A body longer than `most` ends its block unprotected. */
  void push(const ProtectedPacket& packet, BlockOutput& output) noexcept;
  /** Hands out what is waiting; the next packet begins a new block. */
  void flush(BlockOutput& output) noexcept;
  /** Whether it points to nothing. */
  [[nodiscard]] bool empty() const noexcept { return taken_ == 0; }
  /** The first packet of those that it points to; empty() is false. */
  [[nodiscard]] std::int64_t first() const noexcept { return packets_[0].sequence; }
  [[nodiscard]] const BlockOptions& options() const noexcept { return options_; }

 private:
  void encode() noexcept;
  void release(BlockOutput& output) noexcept;

  const BlockOptions options_;
  GaloisTables tables_;
  std::vector<ProtectedPacket> packets_;
  std::vector<SymbolHeader> headers_;
  std::vector<const std::uint8_t*> inputs_;
  std::vector<std::uint8_t*> outputs_;
  /** Of bodies that are shorter than the longest of their block. */
  std::unique_ptr<std::uint8_t[]> padded_;
  std::unique_ptr<std::uint8_t[]> symbols_;
  std::size_t taken_ = 0;
  std::int64_t base_ = 0;
  std::size_t symbol_size_ = 0;
  unsigned released_;
};

/** Repairs every block of which so many packets came as it has source packets. Allocates nothing after it was
 * made. */
class BlockDecoder {
 public:
  /** `window` and `output` outlive it. Blocks of more than `options` says are not repaired. `kernel` as
   * above. */
  BlockDecoder(PacketWindow& window, RepairOutput& output, const BlockOptions& options,
               GaloisKernel kernel = galois_kernels().back());

  /** Source packets of this SSRC; what is repaired bears it. */
  void set_source(std::uint32_t ssrc) noexcept { ssrc_ = ssrc; }
  /** As of ParityDecoder. */
  void on_repair(const codec::BlockParityPacket& packet, std::int64_t highest, std::int64_t oldest) noexcept;
  void on_stored(std::int64_t oldest) noexcept;
  [[nodiscard]] bool waits() const noexcept { return waiting_ > 0; }
  [[nodiscard]] std::uint64_t damaged() const noexcept { return damaged_; }
  void clear() noexcept;

 private:
  static constexpr std::size_t kBlocks = 8;
  struct Block {
    std::int64_t base = 0;
    unsigned source = 0;
    unsigned repair = 0;
    std::size_t symbol_size = 0;
    std::vector<std::uint8_t> indices;
    bool used = false;
  };
  Block* block_of(const codec::BlockParityPacket& packet, std::int64_t base) noexcept;
  [[nodiscard]] std::uint8_t* symbol(const Block& block, std::size_t at) const noexcept;
  void drop(Block& block) noexcept;
  void attempt(Block& block) noexcept;
  void prepare(const Block& block) noexcept;
  [[nodiscard]] unsigned weight(const Block& block, std::uint8_t point) const noexcept;
  bool combine(const Block& block) noexcept;
  void solve(const Block& block) noexcept;
  void rebuild(std::int64_t sequence, const SymbolHeader& header, std::uint8_t* body,
               std::size_t body_size) noexcept;

  PacketWindow& window_;
  RepairOutput& output_;
  const BlockOptions options_;
  std::uint32_t ssrc_ = 0;
  GaloisTables tables_;
  std::array<Block, kBlocks> blocks_;
  std::size_t next_ = 0;
  std::size_t waiting_ = 0;
  std::unique_ptr<std::uint8_t[]> symbols_;
  std::vector<std::int64_t> missing_;
  /** Of the symbols and then the packets that the missing are made of. */
  std::vector<std::uint8_t> points_;
  std::vector<unsigned> weights_;
  std::vector<std::uint8_t> rows_;
  std::vector<SymbolHeader> headers_;
  std::vector<SymbolHeader> found_;
  std::vector<const std::uint8_t*> inputs_;
  std::vector<std::uint8_t*> outputs_;
  std::uint64_t damaged_ = 0;
};

}  // namespace sluice::repair
