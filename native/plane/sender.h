// The RTP sender: one destination, reading one stream's ring.
#pragma once

#include <array>

#include "codec/numbering.h"
#include "kernel/udp_tx.h"
#include "plane/parity_sender.h"
#include "plane/retransmission_server.h"
#include "plane/sender_reports.h"

namespace sluice::plane {

/** How datagrams are handed to the kernel; `automatic` is segmentation where the kernel has it. */
enum class Batching : std::uint8_t { automatic, segment, many, plain };

/** Sends what departs. On the loop thread; detaches itself when destroyed. */
class Sender final : public PacketReader {
 public:
  Sender(Stream& stream, kernel::UdpTx socket, Batching batching, SenderCounters& counters,
         codec::Numbering numbering = codec::Numbering::rtp, bool v6 = false);
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender();
  /** The RTCP that goes with it. */
  void keep(std::unique_ptr<SenderReports> reports) noexcept { reports_ = std::move(reports); }
  void keep(std::unique_ptr<ParitySender> parity) noexcept { parity_ = std::move(parity); }
  /** After its reports, by which it measures. */
  void keep(std::unique_ptr<RetransmissionServer> server) noexcept {
    server->measure_by(reports_ ? &reports_->sent() : nullptr);
    retransmission_ = std::move(server);
  }
  /** Null where it keeps none. */
  [[nodiscard]] ParitySender* parity() noexcept { return parity_.get(); }

  void on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept override;

 private:
  /** RFC 768: 65,535 bytes with headers hold 49 packets of 1,328; the kernel takes at most 64 segments. */
  static constexpr std::size_t kMostPerCall = 48;

  std::int64_t send_batch(Ring& ring, std::int64_t first, std::int64_t end) noexcept;
  kernel::UdpTxOutcome send_numbered(std::span<iovec> pieces, std::int64_t sequence) noexcept;
  [[nodiscard]] std::uint8_t* header(Ring& ring, std::int64_t sequence, std::size_t place) noexcept;
  void count(const kernel::UdpTxOutcome& outcome, std::size_t packets, std::size_t bytes) noexcept;

  Stream& stream_;
  kernel::UdpTx socket_;
  SenderCounters& counters_;
  bool segmenting_;
  const codec::Numbering numbering_;
  const bool v6_;
  const std::size_t head_;
  std::unique_ptr<SenderReports> reports_;
  std::unique_ptr<ParitySender> parity_;
  std::unique_ptr<RetransmissionServer> retransmission_;
  std::array<iovec, 2 * kMostPerCall> pieces_{};
  /** Of packets that do not leave with the ring's. */
  std::array<std::uint8_t, kMostPerCall * codec::kNumberedHeaderSize> headers_{};
};

}  // namespace sluice::plane
