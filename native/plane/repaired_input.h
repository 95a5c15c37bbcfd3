// A multicast or unicast RTP stream with its parity and its retransmissions: made whole, and written into a
// TsSink when it is due.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "kernel/udp_tx.h"
#include "plane/acquisition_client.h"
#include "plane/input.h"
#include "plane/range_client.h"
#include "plane/reception_reports.h"
#include "plane/rtp_statistics.h"
#include "plane/token_client.h"

namespace sluice::plane {

/**
 * On its loop. One socket for the media, one for each kind of parity on the ports above it, one from which is
 * asked for what is missing and to which it is sent, and one of the group for what many have asked for. What
 * is still missing then comes by HTTP.
 */
class RepairedInput final : public Input,
                            private kernel::Timer,
                            private repair::RecoveryOutput,
                            private RangeOutput {
 public:
  /** `options.repair` is there. Errors as of kernel::UdpRx::open() and kernel::UdpTx::open(). `sink`,
   * `counters` and `tap` outlive it.
   */
  static kernel::Result<std::unique_ptr<RepairedInput>> open(kernel::Reactor& reactor,
                                                             const UdpInputOptions& options, TsSink& sink,
                                                             InputCounters& counters, DatagramTap* tap);
  RepairedInput(const RepairedInput&) = delete;
  RepairedInput& operator=(const RepairedInput&) = delete;
  ~RepairedInput() override;
  [[nodiscard]] std::uint16_t port() const noexcept override { return ears_[0]->socket->port(); }
  void flush() noexcept override { recovery_.flush(); }

 private:
  /** RFC 2250 section 2. */
  static constexpr std::uint32_t kMp2tClock = 90'000;
  enum class What : std::uint8_t { media, parity, blocks, resent, control };
  /** One socket that listens. */
  struct Ear final : kernel::Watcher {
    Ear(RepairedInput& of, What kind, std::uint16_t port_step, std::unique_ptr<kernel::UdpRx> rx) noexcept
        : input(of), what(kind), step(port_step), socket(std::move(rx)) {}
    void on_ready(std::uint32_t) noexcept override { input.on_ready(); }
    RepairedInput& input;
    What what;
    /** Of its port above the one of the media. */
    std::uint16_t step;
    bool joined = false;
    std::unique_ptr<kernel::UdpRx> socket;
  };
  /** The socket that asks. */
  struct Mouth final : kernel::Watcher {
    Mouth(RepairedInput& of, kernel::UdpTx tx) noexcept : input(of), socket(std::move(tx)) {}
    void on_ready(std::uint32_t) noexcept override { input.on_ready(); }
    RepairedInput& input;
    kernel::UdpTx socket;
  };

  RepairedInput(kernel::Reactor& reactor, const UdpInputOptions& options, TsSink& sink,
                InputCounters& counters, DatagramTap* tap);
  [[nodiscard]] kernel::UdpRxOptions socket_options(std::uint16_t step) const;
  std::optional<kernel::Error> listen(std::uint16_t step, What what);
  std::optional<kernel::Error> speak(const kernel::Address& target);
  void on_ready() noexcept;
  void hear() noexcept;
  void hear(Ear& ear) noexcept;
  void hear_answers() noexcept;
  void take(What what, const kernel::Datagram& datagram) noexcept;
  void take_answer(codec::Bytes datagram) noexcept;
  void take_resent(codec::Bytes datagram) noexcept;
  std::optional<codec::Bytes> original(codec::Bytes datagram, codec::MutableBytes room) noexcept;
  void take_control(codec::Bytes datagram) noexcept;
  void take_sender_report(const kernel::Datagram& datagram) noexcept;
  void ask_for_token(Nanos now) noexcept;
  void take_information(const codec::RtcpPacket& packet) noexcept;
  void take_burst(codec::Bytes original, Nanos now) noexcept;
  void acquire(Nanos now) noexcept;
  void join(Nanos now) noexcept;
  /** A compound packet that ends with what `add` writes; false when it did not leave: also while there is no
   * token, without which nobody would answer. */
  template <class F>
  bool tell(F&& add) noexcept;
  bool feed_back(std::uint8_t format, std::uint32_t media, codec::Bytes control) noexcept;
  void take_media(const kernel::Datagram& datagram) noexcept;
  void go_on() noexcept;
  void on_timer(Nanos now) noexcept override;
  void on_packet(std::int64_t sequence, codec::Bytes datagram, repair::Origin origin) noexcept override;
  void on_lost(std::int64_t first, std::int64_t count) noexcept override;
  void on_request(std::span<const std::int64_t> sequences) noexcept override;
  void on_fetch(std::span<const std::int64_t> sequences, Nanos patience) noexcept override;
  void on_restart() noexcept override;
  [[nodiscard]] std::optional<Nanos> deadline(Nanos now) const noexcept;
  void on_fetched(codec::Bytes datagram) noexcept override;
  void on_fetch_end(bool answered) noexcept override;
  void report(Nanos now) noexcept;
  bool send(codec::MutableBytes bytes) noexcept;
  void publish() noexcept;

  kernel::Reactor& reactor_;
  TsSink& sink_;
  InputCounters& counters_;
  DatagramTap* const tap_;
  kernel::UdpInbox inbox_;
  PlainRtp plain_;
  repair::Recovery recovery_;
  std::array<std::unique_ptr<Ear>, 6> ears_;
  std::size_t ear_count_ = 0;
  std::unique_ptr<Mouth> mouth_;
  /** Of the source as it comes, before anything is repaired. */
  RtpStatistics statistics_{0, kMp2tClock};
  ReceptionReports reports_;
  std::uint8_t media_type_ = codec::kPayloadTypeMp2t;
  bool heard_ = false;
  /** Our own, in RTCP. */
  const std::uint32_t ssrc_;
  std::string cname_;
  /** Where the server wants one. */
  std::optional<TokenClient> tokens_;
  const UdpInputOptions options_;
  std::optional<AcquisitionClient> acquisition_;
  /** SSRC of the burst, by which the server knows it; 0 before. */
  std::uint32_t burst_source_ = 0;
  /** Number of its first packet, where it was told. */
  std::optional<std::uint16_t> burst_first_;
  Nanos join_again_ = 0;
  /** Where there is one to fetch from; its client holds a buffer of 64 KiB. */
  std::unique_ptr<RangeClient> range_;
};

}  // namespace sluice::plane
