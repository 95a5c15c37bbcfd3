// Sends packets of a stream again to receivers that ask for them: generic NACK in (RFC 4585), RFC 4588 out;
// and bursts to those that begin (RFC 6285).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "kernel/udp_outbox.h"
#include "kernel/udp_port.h"
#include "kernel/udp_tx.h"
#include "plane/burst_source.h"
#include "plane/loss_reports.h"
#include "plane/port_tokens.h"
#include "plane/stream.h"
#include "repair/budget.h"
#include "repair/common_losses.h"

namespace sluice::plane {

struct RetransmissionOptions {
  /** The feedback target: own unicast address and port. Answers leave from there. */
  kernel::UdpPortOptions port;
  /** Originals as they were, instead of RFC 4588. */
  bool plain = false;
  /** Of retransmissions (RFC 4588 section 8.1). */
  std::uint8_t payload_type = 97;
  /** DSCP of what is sent, 0 to 63. */
  std::uint8_t dscp = 0;
  /** How long packets are kept for it, at most: the ring may hold less. */
  Nanos depth = 2 * kernel::kSecond;
  /** What one receiver gets, in percent of the stream's rate, 1 to 1,000. */
  unsigned share = 50;
  /** Bytes a second for all receivers. */
  std::uint64_t rate = 12'500'000;
  /** Who may ask without further ado. */
  std::vector<kernel::AddressPrefix> allowed;
  /** How long a token is good that proves the address of anybody else (RFC 6284), whole seconds; none where
   * nobody else is answered. */
  std::optional<Nanos> token_lifetime;
  /** Where packets are sent that many ask for, and how many those are; none where no group is there. */
  std::optional<kernel::UdpTxOptions> group;
  repair::CommonLossOptions common;
  /** Rapid acquisition; none where there is none. */
  std::optional<AcquisitionOptions> acquisition;
};

/**
 * The ring is the store: a packet is found by its extended sequence number. Answers only those that are
 * authorised, or have proved by a token that they hear what is sent to their address, each within a budget of
 * its own and all within one. Nobody else is remembered, and gets at most a token, or that one is no good, in
 * a datagram no longer than the own.
 * What many ask for is sent once to the group, out of the budget of all, and for a while to none of them.
 * Retransmissions are a session of their own with the SSRC of the original (RFC 4588 section 5.3). On the
 * loop; allocates nothing after it was made.
 */
class RetransmissionServer final : private kernel::Watcher,
                                   private kernel::Timer,
                                   private kernel::UdpOutbox::Observer,
                                   private BurstOutput {
 public:
  /** Errors as of kernel::UdpRx::open(). The references outlive it. */
  static kernel::Result<std::unique_ptr<RetransmissionServer>> open(kernel::Reactor& reactor, Stream& stream,
                                                                    const RetransmissionOptions& options,
                                                                    SenderCounters& counters);
  RetransmissionServer(const RetransmissionServer&) = delete;
  RetransmissionServer& operator=(const RetransmissionServer&) = delete;
  ~RetransmissionServer();
  /** The SRs of the same stream, by which the round trip is measured; they outlive it. */
  void measure_by(const SentReports* sent) noexcept { reports_.measure_by(sent); }

 private:
  /** One who asks, by address. */
  struct Receiver {
    std::array<std::uint8_t, 16> address{};
    Nanos seen = 0;
    repair::Budget budget{0, 0};
    /** Of bursts that begin, in kBurstCost. */
    repair::Budget bursts{0, 0};
    bool used = false;
    /** Of the next retransmission to it: each receiver's are a session of their own. */
    std::uint16_t sequence = 0;
  };

  /** A datagram that came, and what is known of its sender. */
  struct Asking {
    const kernel::Address& sender;
    std::size_t size;
    Nanos now;
    bool authorised;
    /** One TOKEN packet is looked at, so that a datagram costs one HMAC and one answer at most. */
    bool token_seen = false;
  };

  RetransmissionServer(kernel::Reactor& reactor, Stream& stream, const RetransmissionOptions& options,
                       SenderCounters& counters);
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(Nanos now) noexcept override;
  void on_refused(std::uint32_t tag, int error) noexcept override;
  void send_burst(const Burst& burst, std::int64_t sequence) noexcept override;
  void inform(const Burst& burst, const codec::rams::Information& information) noexcept override;
  void take(const kernel::Datagram& datagram, Nanos now) noexcept;
  [[nodiscard]] bool authorised(const kernel::Address& sender) const noexcept;
  void take_token(const codec::RtcpPacket& packet, Asking& asking) noexcept;
  void take_nack(const codec::RtcpPacket& packet, const Asking& asking) noexcept;
  void take_acquisition(const codec::RtcpPacket& packet, const Asking& asking) noexcept;
  void acquire(codec::Bytes control, const Asking& asking) noexcept;
  void refuse(const kernel::Address& to, codec::rams::Response why) noexcept;
  void respond(const kernel::Address& to, codec::rams::Response why) noexcept;
  void leave(const Asking& asking) noexcept;
  void grant(const codec::PortMappingRequest& request, const Asking& asking) noexcept;
  void refuse(const codec::TokenProof& proof, const Asking& asking) noexcept;
  void say(codec::MutableBytes control, const kernel::Address& to) noexcept;
  Receiver* receiver(const kernel::Address& sender, Nanos now) noexcept;
  void answer(codec::Bytes control, const kernel::Address& sender, Receiver& receiver, Nanos now) noexcept;
  void resend(std::uint16_t number, const kernel::UdpTarget& target, Receiver& receiver, Nanos now) noexcept;
  void resend_to_one(std::int64_t sequence, const kernel::UdpTarget& target, Receiver& receiver,
                     Nanos now) noexcept;
  void resend_to_all(std::int64_t sequence, Nanos now) noexcept;
  void put(std::int64_t sequence, const kernel::UdpTarget& target, Receiver& receiver,
           std::uint32_t tag) noexcept;
  [[nodiscard]] std::size_t size_of(std::int64_t sequence) noexcept;
  [[nodiscard]] std::optional<std::int64_t> find(std::uint16_t number) noexcept;
  void flush() noexcept;
  void schedule() noexcept;
  [[nodiscard]] std::uint64_t share_rate() const noexcept;

  kernel::Reactor& reactor_;
  Stream& stream_;
  SenderCounters& counters_;
  const RetransmissionOptions options_;
  kernel::UdpInbox inbox_;
  kernel::UdpOutbox outbox_;
  std::unique_ptr<kernel::UdpPort> port_;
  repair::Budget budget_;
  std::optional<PortTokens> tokens_;
  /** Of answers that a token is no good. */
  repair::Budget refusals_;
  std::vector<Receiver> receivers_;
  repair::CommonLosses common_;
  LossReports reports_;
  std::optional<kernel::UdpTx> group_;
  /** Of the next retransmission to the group. */
  std::uint16_t group_sequence_ = 0;
  std::optional<BurstSource> bursts_;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t queued_ = 0;
};

}  // namespace sluice::plane
