// Who asks on a link: the router with the lowest address (RFC 9776 section 6.6.2, RFC 9777 section 7.6.2).
#pragma once

#include "membership/querier_options.h"

namespace sluice::membership {

/**
 * Sends the general queries as long as nobody with a lower address does, and keeps the values that are in
 * force. All there is outlives it.
 */
class QuerierElection {
 public:
  QuerierElection(const QuerierOptions& options, QuerierHost& host, QuerierCounters& counters,
                  Deadlines& deadlines) noexcept;

  /** Begins as the querier, with the startup queries. Without an address (any()) it listens only. */
  void start(const codec::IpAddress& own, Nanos now) noexcept;
  void stop() noexcept;
  void readdress(const codec::IpAddress& own, Nanos now) noexcept;
  /** The options are others than before. */
  void reconfigured(Nanos now) noexcept;
  /** A general query out of turn, if it is ours to send. */
  void ask_now(Nanos now) noexcept {
    if (is_querier()) ask(now);
  }
  /** A query of somebody else, by whom it may be allowed to be sent. */
  void on_query(const codec::IpAddress& from, const codec::MembershipQuery& query, Nanos now) noexcept;

  [[nodiscard]] bool is_querier() const noexcept { return general_.is_set(); }
  /** Another router is the querier. */
  [[nodiscard]] bool yields() const noexcept { return other_present_.is_set(); }
  /** any() when nobody is known. */
  [[nodiscard]] codec::IpAddress querier() const noexcept;
  /** How long the other querier is waited for; 0 when we are it. */
  [[nodiscard]] Nanos other_remaining(Nanos now) const noexcept { return other_present_.remaining(now); }
  [[nodiscard]] const QuerierTiming& timing() const noexcept { return timing_; }
  /** From when on all hosts that were there at the start have been asked, by us or by the elected querier, as
   * often as robustness says, and had the time to answer. */
  [[nodiscard]] Nanos settled_at() const noexcept { return settled_at_; }

 private:
  [[nodiscard]] QuerierTiming own_timing() const noexcept;
  [[nodiscard]] bool elects(const codec::IpAddress& from, const codec::MembershipQuery& query) const noexcept;
  void yield(const codec::IpAddress& from, const codec::MembershipQuery& query, Nanos now) noexcept;
  void take_over(Nanos now) noexcept;
  void ask(Nanos now) noexcept;
  void asked(Nanos response, Nanos now) noexcept;

  const QuerierOptions& options_;
  QuerierHost& host_;
  QuerierCounters& counters_;
  Deadlines& deadlines_;
  codec::IpAddress own_;
  codec::IpAddress other_;
  QuerierTiming timing_;
  unsigned startup_left_ = 0;
  /** General queries until all have been asked. */
  unsigned unasked_ = 0;
  Nanos settled_at_ = kNever;
  bool started_ = false;
  Timer<&QuerierElection::ask> general_{*this};
  Timer<&QuerierElection::take_over> other_present_{*this};
};

}  // namespace sluice::membership
