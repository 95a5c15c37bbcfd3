// Plain MPEG-TS datagrams, or RTP/MP2T (RFC 2250), from one UDP socket into a TsSink.
#pragma once

#include <memory>
#include <optional>

#include "plane/input.h"
#include "plane/rtp_reorder.h"

namespace sluice::plane {

/**
 * Reads a socket on the loop thread. The first byte tells plain MPEG-TS (0x47) from RTP (version 2); the
 * payload type must be 33, or the payload begin with 0x47. RTCP on the same port (RFC 5761) is counted.
 * Arrival times given to the sink are the kernel's, so that those of reordered packets do not ascend. Where
 * the sink is patient, the socket is read on its beat and not for every datagram. Closes the socket, and with
 * it the join, when destroyed.
 */
class UdpInput final : public Input,
                       private kernel::Watcher,
                       private kernel::Timer,
                       private RtpReorderOutput {
 public:
  /** Errors as of kernel::UdpRx::open(). `sink`, `counters` and `tap` must outlive the input. */
  static kernel::Result<std::unique_ptr<UdpInput>> open(kernel::Reactor& reactor,
                                                        const UdpInputOptions& options, TsSink& sink,
                                                        InputCounters& counters, DatagramTap* tap = nullptr);
  UdpInput(const UdpInput&) = delete;
  UdpInput& operator=(const UdpInput&) = delete;
  ~UdpInput() override;
  [[nodiscard]] std::uint16_t port() const noexcept override { return socket_->port(); }
  void flush() noexcept override { reorder_.flush(); }

 private:
  enum class Kind : std::uint8_t { none, plain, rtp };
  UdpInput(kernel::Reactor& reactor, const UdpInputOptions& options, std::unique_ptr<kernel::UdpRx> socket,
           TsSink& sink, InputCounters& counters, DatagramTap* tap);
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(Nanos now) noexcept override;
  bool receive() noexcept;
  void gather(bool drained, bool any) noexcept;
  void on_payload(codec::Bytes payload, Nanos arrival) noexcept override;
  void on_restart() noexcept override;
  void take(const kernel::Datagram& datagram) noexcept;
  void take_numbered(const kernel::Datagram& datagram) noexcept;
  void take_rtp(codec::Bytes datagram, Nanos arrival) noexcept;
  bool settle(Kind kind) noexcept;
  void update_timer() noexcept;

  kernel::Reactor& reactor_;
  std::unique_ptr<kernel::UdpRx> socket_;
  TsSink& sink_;
  InputCounters& counters_;
  DatagramTap* const tap_;
  Kind kind_ = Kind::none;
  unsigned other_kind_in_row_ = 0;
  Nanos timer_at_ = 0;
  /** While input is gathered, when it is read next. */
  std::optional<Nanos> gathering_;
  Nanos last_read_ = 0;
  PlainRtp plain_;
  RtpReorder reorder_;
};

}  // namespace sluice::plane
