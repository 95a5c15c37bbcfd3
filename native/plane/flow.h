// A flow: packets of one origin, and the receivers they are handed to.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "plane/flow_rtcp.h"
#include "plane/memory_budget.h"
#include "plane/packet_ring.h"
#include "plane/port.h"
#include "plane/rtp_statistics.h"
#include "plane/smoother.h"

namespace sluice::plane {

class Flow;

struct FlowOptions {
  std::string name;
  /** RTP, or bytes that are handed on as they are. */
  bool rtp = true;
  /** RTP clock, Hz. */
  std::uint32_t clock_rate = 90000;
  /** Of the rolling store, or 0. */
  std::size_t history = 0;
  /** How long packets are gathered for a batch, at most 2 ms. */
  Nanos wait = 0;
  /** 0 to 7. */
  unsigned priority = 4;
  /** None: packets leave as they come. */
  std::optional<SmootherOptions> smoothing;
};

/** What the flows of one loop share. */
struct FlowBench final : private RtcpListener {
  struct Place {
    Flow* flow;
    std::size_t index;
  };
  /** A packet of a flow's present batch, and which of the batch follows it. */
  struct Link {
    FlowPacket packet;
    std::uint32_t next;
  };
  FlowBench(kernel::Reactor& r, MemoryBudget& b);

  kernel::Reactor& reactor;
  MemoryBudget& budget;
  PortBench ports;
  std::unordered_map<Handle, Place> receivers;
  /** Of all flows that have something of the present batch. */
  std::vector<Link> links;
  std::size_t links_used = 0;
  std::size_t chains = 0;
  RtcpDirectory directory;
  /** For RTCP, apart from what is under way to receivers. */
  kernel::UdpOutbox control;
  std::array<FlowPacket, FlowSender::kMostPackets> batch{};

 private:
  bool on_rtcp(const kernel::Datagram& datagram, Nanos now) noexcept override;
};

/**
 * Packets are handed on in the batch in which they came, straight from where they were received. Those of a
 * flow with a store, with a wait, or with more than kDirect receivers, are copied once, and sent in rounds:
 * all receivers get the same 1 to 64 packets, some hundred packets in each turn of the loop, and what comes
 * meanwhile is the next round's. So a flow that falls behind makes larger batches, which cost less. On its
 * loop; packets take nothing from the heap.
 */
class Flow final : public DatagramSink, public PacketReader, private kernel::Timer {
 public:
  /** Receivers to which packets are sent from where they were received. */
  static constexpr std::size_t kDirect = 64;

  /** MEMORY_BUDGET. The arguments outlive the flow. */
  static kernel::Result<std::unique_ptr<Flow>> create(FlowBench& bench, const FlowOptions& options,
                                                      FlowCounters& counters);
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;
  /** Its receivers are gone with it. */
  ~Flow();

  /** Makes sure that `more` receivers find what they need. MEMORY_BUDGET. */
  std::optional<kernel::Error> prepare(std::size_t more);
  /** After prepare(). */
  void put(FlowReceiver receiver);
  FlowReceiver take_out(std::size_t index) noexcept;
  void close(std::size_t index) noexcept;
  /**
   * Opens the gate of a receiver that was taken out, of this flow or another, and puts it in; after
   * prepare(). It begins with what came since `since`, as far as that is stored.
   */
  void open(FlowReceiver receiver, Nanos since);
  /** Gives it RTCP; before it has receivers. */
  void set_rtcp(std::unique_ptr<FlowRtcp> rtcp) noexcept { rtcp_ = std::move(rtcp); }
  /** Null where RTCP is passed over. */
  [[nodiscard]] FlowRtcp* rtcp() const noexcept { return rtcp_.get(); }
  /** Of the last packet. */
  [[nodiscard]] std::uint32_t source_ssrc() const noexcept { return ssrc_; }
  [[nodiscard]] RtpStatistics& statistics() noexcept { return statistics_; }
  [[nodiscard]] const std::vector<FlowReceiver>& receivers() const noexcept { return receivers_; }
  [[nodiscard]] const FlowOptions& options() const noexcept { return options_; }
  /** Once a second. */
  void housekeeping(Nanos now) noexcept;

  // DatagramSink
  void on_datagram(const kernel::Datagram& datagram, Nanos now) noexcept override;
  void on_batch_end(Nanos now) noexcept override;
  // PacketReader, where a stream is the input
  void on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept override;

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;

  Flow(FlowBench& bench, const FlowOptions& options, FlowCounters& counters) noexcept;
  std::optional<kernel::Error> make_ring(std::size_t bytes);
  [[nodiscard]] bool number(codec::Bytes datagram, FlowPacket& packet) noexcept;
  void take(const FlowPacket& packet) noexcept;
  void measure(std::size_t bytes, Nanos arrival) noexcept;
  void send_batch(std::span<const FlowPacket> packets, Nanos now) noexcept;
  void send_chain(Nanos now) noexcept;
  void on_timer(Nanos now) noexcept override;
  void pump(Nanos now) noexcept;
  void release(Nanos now) noexcept;
  [[nodiscard]] Nanos due() const noexcept;
  [[nodiscard]] bool stale(std::int64_t index, Nanos now) const noexcept;
  bool begin_round(Nanos now) noexcept;
  bool go_round(Nanos now) noexcept;
  std::span<const FlowPacket> read(std::int64_t first, std::int64_t end) noexcept;
  void send_past(FlowReceiver& receiver, Nanos since) noexcept;
  void place(std::size_t index) noexcept;
  void count_receivers(std::int64_t open) noexcept;

  // What every packet touches is together, and first.
  FlowCounters& counters_;
  FlowBench& bench_;
  std::vector<FlowReceiver> receivers_;
  std::unique_ptr<FlowRtcp> rtcp_;
  std::unique_ptr<PacketRing> ring_;
  const bool rtp_;
  const std::uint8_t priority_;
  // The source as it numbers its packets.
  bool begun_ = false;
  /** It has begun anew, and nothing of that has been taken yet. */
  bool restart_ = false;
  std::uint32_t ssrc_ = 0;
  const std::uint32_t clock_rate_;
  // Of the present batch, in bench_.links.
  std::uint32_t chain_first_ = kNone;
  std::uint32_t chain_last_ = kNone;
  std::int64_t highest_ = 0;
  RtpStatistics statistics_;
  Nanos measured_at_ = 0;
  RateWindows rates_;

  /** With a store only. */
  std::unique_ptr<Smoother> smoother_;
  /** Everybody has been sent what is before; of the rest a round may be under way. */
  std::int64_t sent_ = 0;
  /** Where packets are paced: what is before may leave. */
  std::int64_t released_ = 0;
  std::int64_t round_end_ = 0;
  std::size_t round_next_ = 0;
  bool round_ = false;
  const FlowOptions options_;
};

}  // namespace sluice::plane
