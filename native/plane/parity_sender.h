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
  std::optional<repair::ParityOptions> parity;
  std::optional<repair::BlockOptions> block;
  /** Of all parity: a dynamic one (ST 2022-1 section 8.4). */
  std::uint8_t payload_type = 96;
  [[nodiscard]] bool any() const noexcept { return parity.has_value() || block.has_value(); }
};

/** Encodes what departs straight from the ring; source packets are not touched. On the loop; detaches itself
 * when destroyed. */
class ParitySender final : public PacketReader, private repair::ParityOutput, private repair::BlockOutput {
 public:
  /** `media` is where the stream's RTP goes; `options` may ask for none at first. Errors as of
   * kernel::UdpTx::open(). `stream` and `counters` outlive it. */
  static kernel::Result<std::unique_ptr<ParitySender>> open(Stream& stream, const kernel::UdpTxOptions& media,
                                                            const ParitySenderOptions& options,
                                                            SenderCounters& counters);
  ParitySender(const ParitySender&) = delete;
  ParitySender& operator=(const ParitySender&) = delete;
  ~ParitySender();

  /** Other parity, or none, for what departs from now on. Sockets and numbers stay, so that receivers see one
   * stream of each kind go on. Errors as of open(): nothing has changed then. */
  std::optional<kernel::Error> change(const ParitySenderOptions& options);
  void on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept override;

 private:
  /** A stream of parity: a port, and numbers of its own. */
  struct Way {
    kernel::UdpTx socket;
    std::uint16_t sequence = 0;
  };
  ParitySender(Stream& stream, kernel::UdpTxOptions media, SenderCounters& counters);
  std::optional<kernel::Error> open_way(std::uint16_t step, std::optional<Way>& way) const;
  void on_parity(const codec::ParityPacket& packet) noexcept override;
  void on_block_parity(const codec::BlockParityPacket& packet) noexcept override;
  void send(Way& way, std::span<std::uint8_t> head, codec::Bytes payload, std::uint64_t& kind) noexcept;
  [[nodiscard]] codec::RtpHeader header(Way& way) noexcept;

  Stream& stream_;
  SenderCounters& counters_;
  const kernel::UdpTxOptions media_;
  std::uint8_t payload_type_ = 0;
  std::optional<repair::ParityEncoder> parity_;
  std::optional<repair::BlockEncoder> block_;
  std::optional<Way> columns_;
  std::optional<Way> rows_;
  std::optional<Way> blocks_;
  /** RTP timestamp of the packet that was encoded last. */
  std::uint32_t timestamp_ = 0;
};

}  // namespace sluice::plane
