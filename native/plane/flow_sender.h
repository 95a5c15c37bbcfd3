// Sends batches of a flow's packets to its receivers. One for each loop.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "plane/flow_counters.h"
#include "plane/flow_receiver.h"

namespace sluice::plane {

/**
 * Packets of a batch go to a receiver in as few messages as their sizes allow: consecutive datagrams of one
 * size, and a shorter last one, are cut by the kernel. Those for receivers without headers of their own share
 * their pieces. Takes nothing from the heap after it was made.
 */
class FlowSender final : private kernel::UdpOutbox::Observer {
 public:
  static constexpr std::size_t kMostPackets = 64;

  FlowSender();

  /**
   * What the next calls of send() are about: 1 to kMostPackets packets. They, and what they point to, stay
   * until flush().
   */
  void begin(std::span<const FlowPacket> packets, std::uint32_t clock_rate, FlowCounters& counters,
             Nanos now) noexcept;
  /** Puts the batch on its way to one receiver whose gate is open; it must not move until flush(). */
  void send(FlowReceiver& receiver) noexcept;
  /** Hands over what is there. */
  void flush() noexcept;

 private:
  /** Packets `first` to `first + count` that make one message; `segment` as in UdpOutbox::add(). */
  struct Run {
    std::uint16_t first = 0;
    std::uint16_t count = 0;
    std::uint16_t segment = 0;
    std::uint32_t bytes = 0;
    /** In shared_. */
    std::uint16_t piece = 0;
    std::uint16_t pieces = 0;
  };
  struct Sent {
    FlowReceiver* receiver = nullptr;
    FlowCounters* counters = nullptr;
    std::uint32_t packets = 0;
    std::uint32_t bytes = 0;
  };

  void find_runs() noexcept;
  void share(Run& run) noexcept;
  void share_piece(codec::Bytes bytes, Run& run) noexcept;
  void use(Port& port) noexcept;
  void put(FlowReceiver& receiver, std::span<iovec> pieces, const Run& run) noexcept;
  void send_run(FlowReceiver& receiver, Run& run) noexcept;
  void send_one(FlowReceiver& receiver, std::size_t i) noexcept;
  void send_rewritten(FlowReceiver& receiver, const Run& run) noexcept;
  void on_refused(std::uint32_t tag, int error) noexcept override;

  kernel::UdpOutbox outbox_;
  Port* port_ = nullptr;
  std::uint32_t messages_ = 0;
  std::array<Sent, kernel::UdpOutbox::kMessages> sent_{};

  std::span<const FlowPacket> packets_;
  std::uint32_t clock_rate_ = 0;
  FlowCounters* counters_ = nullptr;
  Nanos now_ = 0;
  std::int64_t lowest_ = 0;
  std::size_t newest_ = 0;
  std::size_t bytes_ = 0;
  std::array<Run, kMostPackets> runs_{};
  std::size_t run_count_ = 0;
  std::array<Run, kMostPackets> singles_{};
  bool singles_known_ = false;
  /** Pieces of batches for receivers that are sent what comes. */
  static constexpr std::size_t kShared = 1024;
  std::unique_ptr<iovec[]> shared_;
  std::size_t shared_used_ = 0;
};

}  // namespace sluice::plane
