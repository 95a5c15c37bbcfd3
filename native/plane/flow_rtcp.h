// The RTCP of a flow: between its source and its receivers (RFC 3550 sections 6 and 7.2).
#pragma once

#include <array>
#include <optional>
#include <random>
#include <string>

#include "plane/feedback_aggregator.h"
#include "plane/port.h"
#include "plane/rtcp_directory.h"
#include "plane/rtcp_schedule.h"
#include "plane/rtcp_translation.h"

namespace sluice::plane {

class Flow;
class Stream;
struct FlowBench;

struct FlowRtcpOptions {
  /** The relay's, for SDES: up to 255 bytes. */
  std::string cname;
  /** Of the session, bits a second; 0 for what is measured. */
  double bandwidth = 0;
};

/** Where a flow comes from. */
struct FlowRtcpPlace {
  /** The port of its packets; null where a stream is the input. */
  Port* media = nullptr;
  /** That of its RTCP; null where it comes with the packets (RFC 5761). */
  Port* control = nullptr;
  const Stream* stream = nullptr;
};

/**
 * Relays reports of the source to every receiver in the receiver's own numbers, and makes reports of its own
 * where the source sends none. Reports of receivers are kept for their operators, and go to the source with
 * the relay's own, at the times of the schedule, as many as its share of RTCP has room for; requests
 * (RFC 4585) go at once while that share lasts. On the loop of the flow; nothing of it takes from the heap
 * after it was made.
 */
class FlowRtcp final : public DatagramSink, private kernel::Timer, private kernel::UdpOutbox::Observer {
 public:
  /** Receivers that are sent a report in one turn of the loop. */
  static constexpr std::size_t kPerTurn = 256;

  /** The arguments outlive it. */
  FlowRtcp(FlowBench& bench, Flow& flow, const FlowRtcpPlace& place, const FlowRtcpOptions& options,
           FlowCounters& counters);
  FlowRtcp(const FlowRtcp&) = delete;
  FlowRtcp& operator=(const FlowRtcp&) = delete;
  ~FlowRtcp() = default;

  /** Where the packets come from is to be told. */
  [[nodiscard]] bool asks_for_source() const noexcept { return asks_; }
  void set_source(const sockaddr_storage& sender) noexcept;
  /** Once a second. */
  void housekeeping() noexcept { asks_ = true; }
  /** RTCP of the source. */
  void on_datagram(const kernel::Datagram& datagram, Nanos now) noexcept override;
  void on_batch_end(Nanos) noexcept override {}
  /** RTCP of a receiver of the flow. */
  void on_receiver(const FlowReceiver& receiver, ReceiverRtcp& state, const codec::RtcpCompound& compound,
                   Nanos now) noexcept;

 private:
  /** A frame of Ethernet; a longer compound is not relayed. */
  static constexpr std::size_t kMost = 1500;
  using Buffer = std::array<std::uint8_t, kMost>;

  void on_timer(Nanos now) noexcept override;
  void on_refused(std::uint32_t tag, int error) noexcept override;
  void arm() noexcept;
  void begin_round(codec::Bytes relayed, Nanos now) noexcept;
  void go_round(Nanos now) noexcept;
  void report_to(const FlowReceiver& receiver, ReceiverRtcp& state, Nanos now) noexcept;
  std::size_t relay(const RtcpMapping& mapping, ReceiverRtcp& state, Buffer& out, Nanos now) noexcept;
  std::size_t own_report(const FlowReceiver& receiver, const RtcpMapping& mapping, ReceiverRtcp& state,
                         Buffer& out, Nanos now) noexcept;
  void report(Nanos now) noexcept;
  std::size_t report_to_source(Nanos now) noexcept;
  void take_block(const FlowReceiver& receiver, ReceiverRtcp& state, const RtcpMapping* mapping,
                  std::uint32_t reporter, const codec::ReportBlock& block, Nanos now) noexcept;
  void request(const codec::RtcpCompound& compound, const RtcpMapping& mapping, Nanos now) noexcept;
  [[nodiscard]] bool spend(std::size_t bytes, Nanos now) noexcept;
  [[nodiscard]] std::optional<RtcpMapping> mapping_of(const FlowReceiver& receiver) const noexcept;
  [[nodiscard]] double bandwidth() const noexcept;
  void send_to_source(codec::Bytes bytes) noexcept;
  void send(Port& port, const kernel::UdpTarget& target, codec::Bytes bytes) noexcept;
  double random() noexcept { return distribution_(engine_); }

  FlowBench& bench_;
  Flow& flow_;
  const FlowRtcpPlace place_;
  const FlowRtcpOptions options_;
  FlowCounters& counters_;
  std::minstd_rand engine_;
  std::uniform_real_distribution<double> distribution_;
  /** Of the relay as a receiver. */
  const std::uint32_t ssrc_;
  RtcpSchedule schedule_;
  FeedbackAggregator feedback_;

  bool asks_ = true;
  std::optional<kernel::Address> source_;
  std::optional<kernel::Address> source_control_;
  /** When the source last sent an SR. */
  std::optional<Nanos> source_reported_;

  /** What the round relays; none while it is reports of our own. */
  Buffer relayed_{};
  std::size_t relayed_size_ = 0;
  std::size_t round_next_ = 0;
  bool round_ = false;

  /** Bytes of requests that may go at once. */
  double allowance_;
  Nanos allowance_at_ = 0;
  bool refused_ = false;
};

}  // namespace sluice::plane
