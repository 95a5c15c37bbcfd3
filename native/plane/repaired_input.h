// A multicast or unicast RTP stream with its parity: made whole, and written into a TsSink when it is due.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "kernel/udp_rx.h"
#include "plane/ts_sink.h"
#include "repair/recovery.h"

namespace sluice::plane {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_REPAIR_COUNTERS(X) \
  X(received) X(duplicates) X(late) X(damaged) X(missing) X(by_parity) X(by_block) X(by_retransmission) X(by_fetch) X(lost) \
  X(requests) X(requested) X(restarts) X(parity_packets) X(round_trip_us) X(playout_us)
// clang-format on
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
/** In the order of REPAIR_COUNTERS in daemon/plane/contract-counters.ts. */
struct RepairCounters {
  SLUICE_REPAIR_COUNTERS(SLUICE_COUNTER_FIELD)
};
#undef SLUICE_COUNTER_FIELD

struct RepairedInputOptions {
  /** Of the media; parity has the same but for its ports: + 2 columns, + 4 rows, + 6 blocks. */
  kernel::UdpRxOptions socket;
  bool columns = false;
  bool rows = false;
  repair::RecoveryOptions recovery;
};

/** On its loop. Leaves the groups when destroyed; what is not due then is dropped. */
class RepairedInput final : private kernel::Timer, private repair::RecoveryOutput {
 public:
  /** Errors as of kernel::UdpRx::open(). The references outlive it. */
  static kernel::Result<std::unique_ptr<RepairedInput>> open(kernel::Reactor& reactor,
                                                             const RepairedInputOptions& options, TsSink& sink,
                                                             RepairCounters& counters);
  RepairedInput(const RepairedInput&) = delete;
  RepairedInput& operator=(const RepairedInput&) = delete;
  ~RepairedInput();
  /** The port of the media that was bound. */
  [[nodiscard]] std::uint16_t port() const noexcept { return ears_[0]->socket->port(); }
  /** Delivers all there is. */
  void flush() noexcept { recovery_.flush(); }

 private:
  enum class What : std::uint8_t { media, parity, blocks };
  /** One socket. */
  struct Ear final : kernel::Watcher {
    Ear(RepairedInput& of, What kind, std::unique_ptr<kernel::UdpRx> rx) noexcept
        : input(of), what(kind), socket(std::move(rx)) {}
    void on_ready(std::uint32_t) noexcept override { input.hear(*this); }
    RepairedInput& input;
    What what;
    std::unique_ptr<kernel::UdpRx> socket;
  };

  RepairedInput(kernel::Reactor& reactor, const RepairedInputOptions& options, TsSink& sink, RepairCounters& counters);
  std::optional<kernel::Error> listen(const RepairedInputOptions& options, std::uint16_t step, What what);
  void hear(Ear& ear) noexcept;
  void take(What what, const kernel::Datagram& datagram) noexcept;
  void go_on(Nanos now) noexcept;
  void on_timer(Nanos now) noexcept override;
  void on_packet(std::int64_t sequence, codec::Bytes datagram, repair::Origin origin) noexcept override;
  void on_lost(std::int64_t first, std::int64_t count) noexcept override;
  void on_request(std::span<const std::int64_t> sequences) noexcept override;
  void on_restart() noexcept override;
  void publish() noexcept;

  kernel::Reactor& reactor_;
  TsSink& sink_;
  RepairCounters& counters_;
  kernel::UdpInbox inbox_;
  repair::Recovery recovery_;
  std::array<std::unique_ptr<Ear>, 4> ears_;
  std::size_t ear_count_ = 0;
};

}  // namespace sluice::plane
