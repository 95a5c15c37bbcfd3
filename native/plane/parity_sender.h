// Sends the parity of a stream, on ports of its own.
#pragma once

#include <memory>
#include <optional>

#include "kernel/udp_tx.h"
#include "plane/stream.h"
#include "repair/block_code.h"
#include "repair/parity_encoder.h"

namespace sluice::plane {

struct ParitySenderOptions {
  /** Where the stream's RTP goes. Columns go to the port + 2, rows to + 4, the block code to + 6. */
  kernel::UdpTxOptions media;
  std::optional<repair::ParityOptions> parity;
  std::optional<repair::BlockOptions> block;
  /** Of all parity. */
  std::uint8_t payload_type = 96;
};

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_PARITY_COUNTERS(X) X(packets) X(bytes) X(columns) X(rows) X(blocks) X(errors)
// clang-format on
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
/** In the order of PARITY_COUNTERS in daemon/plane/contract-counters.ts. */
struct ParityCounters {
  SLUICE_PARITY_COUNTERS(SLUICE_COUNTER_FIELD)
};
#undef SLUICE_COUNTER_FIELD

/** Encodes what departs straight from the ring; source packets are not touched. On the loop; detaches itself when destroyed. */
class ParitySender final : public PacketReader, private repair::ParityOutput, private repair::BlockOutput {
 public:
  /** Errors as of kernel::UdpTx::open(). `stream` and `counters` outlive it. */
  static kernel::Result<std::unique_ptr<ParitySender>> open(Stream& stream, const ParitySenderOptions& options,
                                                            ParityCounters& counters);
  ParitySender(const ParitySender&) = delete;
  ParitySender& operator=(const ParitySender&) = delete;
  ~ParitySender();

  void on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept override;

 private:
  /** A stream of parity: a port, and numbers of its own. */
  struct Way {
    kernel::UdpTx socket;
    std::uint16_t sequence = 0;
  };
  ParitySender(Stream& stream, const ParitySenderOptions& options, ParityCounters& counters);
  static kernel::Result<std::optional<Way>> open_way(kernel::UdpTxOptions options, std::uint16_t step, bool wanted);
  void on_parity(const codec::ParityPacket& packet) noexcept override;
  void on_block_parity(const codec::BlockParityPacket& packet) noexcept override;
  void send(Way& way, std::span<std::uint8_t> head, codec::Bytes payload, std::uint64_t& kind) noexcept;
  [[nodiscard]] codec::RtpHeader header(Way& way, std::uint32_t ssrc) noexcept;

  Stream& stream_;
  ParityCounters& counters_;
  const std::uint8_t payload_type_;
  std::optional<repair::ParityEncoder> parity_;
  std::optional<repair::BlockEncoder> block_;
  std::optional<Way> columns_;
  std::optional<Way> rows_;
  std::optional<Way> blocks_;
  /** RTP timestamp of the packet that was encoded last. */
  std::uint32_t timestamp_ = 0;
};

}  // namespace sluice::plane
