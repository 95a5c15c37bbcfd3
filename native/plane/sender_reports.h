// The RTCP of a stream's sender: SR and SDES out, what receivers answer in (RFC 3550 section 6).
#pragma once

#include <random>
#include <string>

#include "kernel/udp_tx.h"
#include "plane/receiver_report.h"
#include "plane/rtcp_schedule.h"
#include "plane/stream.h"

namespace sluice::plane {

/**
 * Sends reports by the schedule while the stream departs; their RTP timestamps are those that depart at their
 * wall clock, on the stream's recovered clock. Receivers that answer to where reports come from are counted.
 * No BYE is sent at the end (RFC 3550 section 6.3.7 allows it): another sender may go on with the same SSRC.
 * On the loop thread.
 */
class SenderReports final : private kernel::Timer, private kernel::Watcher {
 public:
  /** `media` is where the RTP goes: reports go to the port above (and come from the port above, unless any
   * will do). Errors as of kernel::UdpTx::open(). `cname` has up to 255 bytes. The references outlive the
   * object. */
  static kernel::Result<std::unique_ptr<SenderReports>> open(kernel::Reactor& reactor, Stream& stream,
                                                             kernel::UdpTxOptions media, std::string cname,
                                                             SenderCounters& counters);
  SenderReports(const SenderReports&) = delete;
  SenderReports& operator=(const SenderReports&) = delete;
  ~SenderReports();
  /** The SRs that left last; as long-lived as this. */
  [[nodiscard]] const SentReports& sent() const noexcept { return sent_; }

 private:
  SenderReports(kernel::Reactor& reactor, Stream& stream, kernel::UdpTx socket, std::string cname,
                SenderCounters& counters);
  void on_timer(Nanos now) noexcept override;
  void on_ready(std::uint32_t events) noexcept override;
  void report(Nanos now) noexcept;
  void take(codec::Bytes datagram, Nanos now) noexcept;
  void take_block(const codec::ReportBlock& block, Nanos now) noexcept;
  double random() noexcept { return distribution_(engine_); }

  kernel::Reactor& reactor_;
  Stream& stream_;
  kernel::UdpTx socket_;
  const std::string cname_;
  SenderCounters& counters_;
  std::minstd_rand engine_;
  std::uniform_real_distribution<double> distribution_;
  RtcpSchedule schedule_;
  SentReports sent_;
  std::uint64_t packets_reported_ = 0;
};

}  // namespace sluice::plane
