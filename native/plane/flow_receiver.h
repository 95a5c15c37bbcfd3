// One destination of a flow: where it is, what its headers say, and whether its gate is open.
#pragma once

#include <cstdint>
#include <optional>

#include "codec/bytes.h"
#include "kernel/reactor.h"
#include "kernel/udp_outbox.h"

namespace sluice::plane {

using Handle = std::uint64_t;
using kernel::Nanos;

class Port;

/** A packet on its way through a flow. Points into a datagram or a ring. */
struct FlowPacket {
  /** The RTP fixed header (12 bytes), or null where there is none to be rewritten. */
  const std::uint8_t* header = nullptr;
  /** What follows it. */
  codec::Bytes body;
  /** Extended RTP sequence number. */
  std::int64_t sequence = 0;
  Nanos arrival = 0;
  /** Its source has begun anew: its numbers do not continue those before. The first of its batch. */
  bool restart = false;

  [[nodiscard]] std::size_t size() const noexcept;
};

struct FlowReceiverOptions {
  /** Handle of the port that it is sent from. */
  Handle port = 0;
  kernel::Address destination;
  /** Port of its RTCP; 0 for that of the destination. */
  std::uint16_t rtcp_port = 0;
  std::optional<kernel::Address> source;
  std::uint8_t dscp = 0;
  std::optional<std::uint32_t> ssrc;
  std::optional<std::uint8_t> payload_type;
  std::uint16_t sequence_offset = 0;
  std::uint32_t timestamp_offset = 0;
  bool open = true;
};

/**
 * A plain record: it is in the vector of its flow, and moves with it. What it was sent is what continuity is
 * measured by: when its gate opens or its flow changes, SSRC, sequence and timestamp go on from there.
 */
class FlowReceiver {
 public:
  /** What a packet touches of it, from its beginning. */
  static constexpr std::size_t kHotBytes = 128;

  FlowReceiver(Handle handle, Port& port, const FlowReceiverOptions& options) noexcept;

  [[nodiscard]] Handle handle() const noexcept { return handle_; }
  [[nodiscard]] Port& port() const noexcept { return *port_; }
  [[nodiscard]] const kernel::UdpTarget& target() const noexcept { return target_; }
  [[nodiscard]] std::uint16_t rtcp_port() const noexcept { return rtcp_port_; }
  [[nodiscard]] bool open() const noexcept { return open_; }
  /** Whether its packets have headers of their own. */
  [[nodiscard]] bool rewrites() const noexcept { return rewrites_; }
  /** What comes next does not continue what it was sent: another source, or the gate was closed meanwhile. */
  void turn(bool open) noexcept;
  /** The flow itself has begun anew; changes nothing for one that is sent what comes. */
  void rejoin() noexcept {
    if (rewrites_) fits_ = false;
  }

  /** Whether a packet is for it; false for those before the one that it has begun with. */
  [[nodiscard]] bool wants(std::int64_t sequence) const noexcept { return !fits_ || sequence >= first_; }
  /** The first packet after a turn decides what is added to the numbers from then on. */
  [[nodiscard]] bool fits() const noexcept { return fits_; }
  void fit(const FlowPacket& packet, std::uint32_t clock_rate, Nanos now) noexcept;
  /** Writes the fixed header that the receiver gets. */
  void rewrite(const FlowPacket& packet, std::uint8_t* out) noexcept;
  /** So much is on its way to it; `newest` is the one with the highest number. */
  void sent(const FlowPacket& newest, std::size_t packets, std::size_t bytes, Nanos now) noexcept;
  /** The kernel did not take so much of it. */
  void refused(std::size_t packets, std::size_t bytes) noexcept {
    packets_ -= packets;
    bytes_ -= bytes;
    errors_ += packets;
  }

  /** False once the path has refused batches. */
  [[nodiscard]] bool segments() const noexcept { return segments_; }
  void send_singly() noexcept { segments_ = false; }

  /** As it leaves here; none before the first packet, or while it is sent what comes. */
  [[nodiscard]] std::uint32_t ssrc() const noexcept { return ssrc_; }
  [[nodiscard]] std::uint64_t packets() const noexcept { return packets_; }
  /** UDP payload. */
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t errors() const noexcept { return errors_; }
  [[nodiscard]] std::uint64_t switches() const noexcept { return switches_; }
  /** Highest extended sequence number sent; -1 before the first. */
  [[nodiscard]] std::int64_t sequence() const noexcept { return sequence_; }
  /** Added to the flow's extended sequence numbers and to its timestamps. */
  [[nodiscard]] std::int64_t sequence_delta() const noexcept { return sequence_delta_; }
  [[nodiscard]] std::uint32_t timestamp_delta() const noexcept { return timestamp_delta_; }
  /** The flow's number of the packet that it has begun with. */
  [[nodiscard]] std::int64_t first() const noexcept { return first_; }
  /** RTP timestamp of a packet that would leave at `at`; there was one before. */
  [[nodiscard]] std::uint32_t timestamp_at(Nanos at, std::uint32_t clock_rate) const noexcept;

 private:
  // What every packet touches is first.
  Port* port_;
  bool open_;
  bool rewrites_;
  bool fits_;
  bool mark_ = false;
  bool segments_ = true;
  bool own_ssrc_;
  std::uint8_t payload_type_;
  std::uint32_t ssrc_ = 0;
  std::uint32_t timestamp_delta_;
  std::uint32_t timestamp_ = 0;
  std::int64_t sequence_delta_;
  std::int64_t first_ = 0;
  std::int64_t sequence_ = -1;
  Nanos sent_at_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  kernel::UdpTarget target_;
  Handle handle_;
  std::uint64_t errors_ = 0;
  std::uint64_t switches_ = 0;
  std::uint16_t rtcp_port_;
};

}  // namespace sluice::plane
