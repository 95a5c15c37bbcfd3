// A capture played as it was captured: frames into a device, or the datagrams of a flow to an address.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "kernel/reactor.h"
#include "kernel/udp_tx.h"
#include "plane/capture_file.h"
#include "plane/counters.h"
#include "plane/frame_sender.h"
#include "plane/packet_capture.h"

namespace sluice::plane {

using kernel::Nanos;

struct ReplayOptions {
  std::string path;
  /** 2 is twice as fast as captured; 0 as fast as it can be sent. */
  double speed = 1;
  /** 0 for without end. */
  std::uint64_t loops = 1;
  /** The flow that is played (its payload is ignored); all packets where not given, which only frames may. */
  std::optional<codec::UdpDatagram> flow;
  std::variant<FrameTarget, kernel::UdpTxOptions> target;
};

/**
 * Sends every packet when it is due by the times of the capture; late ones are sent at once. Between two
 * loops the mean distance of the packets passes, 1 ms at least. Reads the file on the loop thread, in pieces.
 */
class CaptureReplay final : private kernel::Timer {
 public:
  /** SYSTEM_CALL where the file or the socket cannot be opened, others as of the sockets. Begins at once;
   * `on_end` is told CAPTURE_INVALID where the file is damaged (what is before was sent), CAPTURE_EMPTY where
   * it held nothing to be sent. */
  static kernel::Result<std::unique_ptr<CaptureReplay>> open(kernel::Reactor& reactor,
                                                             const ReplayOptions& options,
                                                             ReplayCounters& counters, EndHandler on_end);
  CaptureReplay(const CaptureReplay&) = delete;
  CaptureReplay& operator=(const CaptureReplay&) = delete;
  ~CaptureReplay() = default;

 private:
  using Output = std::variant<FrameSender, kernel::UdpTx>;
  enum class Next : std::uint8_t { packet, later, end };

  CaptureReplay(kernel::Reactor& reactor, const ReplayOptions& options, CaptureFile file, Output output,
                ReplayCounters& counters, EndHandler on_end);
  void on_timer(Nanos now) noexcept override;
  Next advance(Nanos now) noexcept;
  [[nodiscard]] bool wanted() noexcept;
  void schedule(Nanos now) noexcept;
  bool begin_loop() noexcept;
  void end();
  Sent send() noexcept;
  Sent send_datagram(kernel::UdpTx& socket) noexcept;
  void count(Sent sent, Nanos now) noexcept;

  kernel::Reactor& reactor_;
  const double speed_;
  const std::uint64_t loops_;
  const std::optional<codec::UdpDatagram> flow_;
  CaptureFile file_;
  Output output_;
  ReplayCounters& counters_;
  const EndHandler on_end_;
  /** What is to be sent next, at due_. */
  codec::CapturePacket packet_;
  codec::UdpDatagram datagram_;
  bool pending_ = false;
  Nanos due_ = 0;
  /** Of the present loop: its packets so far, and the capture's time that corresponds to `origin_`. */
  std::uint64_t in_loop_ = 0;
  std::int64_t first_ns_ = 0;
  Nanos origin_ = 0;
  std::uint64_t rounds_ = 0;
};

}  // namespace sluice::plane
