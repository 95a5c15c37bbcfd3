#include "membership/querier_election.h"

namespace sluice::membership {

namespace {

/** RFC 9777 section 7.6.2 compares interface identifiers, the last 64 bits; in those of IPv4 nothing else
 * differs. */
bool lower(const codec::IpAddress& a, const codec::IpAddress& b) noexcept {
  return std::lexicographical_compare(a.bytes().begin() + 8, a.bytes().end(), b.bytes().begin() + 8,
                                      b.bytes().end());
}

/** Whoever says that it asks less often is not waited for: a forger could be the querier for days. */
constexpr Nanos kMostInterval = 3600 * kSecond;

}  // namespace

QuerierElection::QuerierElection(const QuerierOptions& options, QuerierHost& host, QuerierCounters& counters,
                                 Deadlines& deadlines) noexcept
    : options_(options),
      host_(host),
      counters_(counters),
      deadlines_(deadlines),
      own_(codec::IpAddress::any(options.v4)),
      other_(own_),
      timing_(own_timing()) {}

QuerierTiming QuerierElection::own_timing() const noexcept {
  return {options_.robustness, options_.query_interval, options_.query_response};
}

codec::IpAddress QuerierElection::querier() const noexcept {
  if (is_querier()) return own_;
  return other_present_.is_set() ? other_ : codec::IpAddress::any(options_.v4);
}

void QuerierElection::start(const codec::IpAddress& own, Nanos now) noexcept {
  stop();
  started_ = true;
  startup_left_ = options_.startup_queries();
  unasked_ = std::max<unsigned>(options_.robustness, 1);
  readdress(own, now);
}

void QuerierElection::stop() noexcept {
  started_ = false;
  settled_at_ = kNever;
  general_.clear();
  other_present_.clear();
  timing_ = own_timing();
}

void QuerierElection::readdress(const codec::IpAddress& own, Nanos now) noexcept {
  own_ = own;
  if (!started_ || is_querier() != own.is_any()) return;
  if (own.is_any()) return general_.clear();
  if (!other_present_.is_set() || lower(own, other_)) take_over(now);
}

void QuerierElection::reconfigured(Nanos now) noexcept {
  if (other_present_.is_set()) return;
  timing_ = own_timing();
  if (is_querier()) deadlines_.set(general_, std::min(general_.at(), now + options_.query_interval));
}

void QuerierElection::on_query(const codec::IpAddress& from, const codec::MembershipQuery& query,
                               Nanos now) noexcept {
  if (!started_) return;
  if (query.version != options_.version) counters_.other_version_queries++;
  if (!elects(from, query)) return;
  yield(from, query, now);
  if (query.group.is_any()) asked(timing_.response, now);
}

bool QuerierElection::elects(const codec::IpAddress& from,
                             const codec::MembershipQuery& query) const noexcept {
  // IGMPv1 leaves it to the routing protocol who asks: here, to the configuration (RFC 2236 section 4).
  if (generation(options_.v4, std::min(query.version, options_.version)) == Generation::first) return false;
  // A snooping switch asks from 0.0.0.0, and is no router (RFC 4541 section 2.1.1).
  if (own_.is_any() || from.is_any()) return false;
  // RFC 9776 says a general query, RFC 9777 any.
  return (query.group.is_any() || !options_.v4) && lower(from, own_);
}

void QuerierElection::yield(const codec::IpAddress& from, const codec::MembershipQuery& query,
                            Nanos now) noexcept {
  if (is_querier()) counters_.elections++;
  const bool new_to_us = !yields();
  general_.clear();
  startup_left_ = 0;
  other_ = from;
  // RFC 9776 sections 4.1.6 and 4.1.7: what is not told is as we have it.
  timing_ = own_timing();
  if (query.robustness != 0) timing_.robustness = query.robustness;
  if (query.interval_s != 0) timing_.interval = std::min(query.interval_s * kSecond, kMostInterval);
  if (query.group.is_any() && query.max_response_ms != 0)
    timing_.response = query.max_response_ms * kMillisecond;
  deadlines_.set(other_present_, now + timing_.other_querier());
  if (new_to_us) host_.elected();
}

void QuerierElection::take_over(Nanos now) noexcept {
  other_present_.clear();
  if (own_.is_any()) return;
  counters_.elections++;
  timing_ = own_timing();
  host_.elected();
  ask(now);
}

void QuerierElection::ask(Nanos now) noexcept {
  counters_.general_queries_sent++;
  asked(options_.query_response, now);
  if (startup_left_ > 0) startup_left_--;
  deadlines_.set(general_, now + (startup_left_ > 0 ? options_.startup_pause() : options_.query_interval));
  host_.send(make_query(options_, codec::IpAddress::any(options_.v4)));
}

/** One query, or its answer, may be lost of as many as robustness says (RFC 9776 section 8.1). */
void QuerierElection::asked(Nanos response, Nanos now) noexcept {
  if (unasked_ > 0 && --unasked_ == 0) settled_at_ = now + response;
}

}  // namespace sluice::membership
