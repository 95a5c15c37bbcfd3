// One group on one interface: what is forwarded of it, who wants it, and what is being asked about it.
#pragma once

#include "membership/group_hosts.h"
#include "membership/source_filter.h"

namespace sluice::membership {

class QuerierGroup;

/** Told after time has changed a group, which it may destroy then. */
class QuerierGroupOwner {
 public:
  virtual void settle(QuerierGroup& group) noexcept = 0;

 protected:
  ~QuerierGroupOwner() = default;
};

/**
 * Holds hosts of older versions (RFC 9776 section 7.3.2), decides whether a leave ends at once, and sends
 * specific queries again (6.6.3).
 */
class QuerierGroup final : private SourceFilterOwner {
 public:
  QuerierGroup(const codec::IpAddress& address, QuerierCommons& commons, QuerierGroupOwner& owner,
               Nanos now) noexcept;

  void take(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
            Nanos now) noexcept;
  /** Another router's query for this group, or for sources of it. */
  void on_query(const codec::MembershipQuery& query, Nanos now) noexcept;
  /** The host's wish is as if it had never been; what no other host wants ends at once. */
  void forget(const codec::IpAddress& host, Nanos now) noexcept;
  /** What is not in the list ends at once; whether there was any. */
  bool restrict(const ChannelList& list, Nanos now) noexcept;

  [[nodiscard]] const codec::IpAddress& address() const noexcept { return address_; }
  [[nodiscard]] const SourceFilter& filter() const noexcept { return filter_; }
  [[nodiscard]] const GroupHosts& hosts() const noexcept { return hosts_; }
  [[nodiscard]] bool empty() const noexcept { return filter_.empty(); }
  [[nodiscard]] bool take_changed() noexcept { return filter_.take_changed(); }
  /** As if the oldest of its hosts and this router were all there is. */
  [[nodiscard]] Generation compatibility(Nanos now) const noexcept;
  /** Whether hosts may be there that are not known: those of older versions are silent when they hear
   * another's report. */
  [[nodiscard]] bool has_unknown_hosts(Nanos now) const noexcept;
  [[nodiscard]] Nanos since() const noexcept { return since_; }
  [[nodiscard]] const codec::IpAddress& last_reporter() const noexcept { return last_reporter_; }
  /** Whether it is being asked who wants it. */
  [[nodiscard]] bool is_asked() const noexcept { return retransmission_.is_set(); }

 private:
  void filter_expired(Nanos now) noexcept override;
  void note_version(codec::RecordType type, Generation version, Nanos now) noexcept;
  void resolve(SourceFilter::Asked asked, Nanos now) noexcept;
  void end_exclude(bool keep, Nanos now) noexcept;
  bool ask_group(Nanos now) noexcept;
  bool ask_source(SourceFilter::Source& source, Nanos now) noexcept;
  void transmit(Nanos now) noexcept;
  void send_group_query(bool suppress) noexcept;
  void send_source_query(bool suppress, Nanos now) noexcept;
  [[nodiscard]] bool knows_all(Nanos now) const noexcept;

  const codec::IpAddress address_;
  QuerierCommons& commons_;
  QuerierGroupOwner& owner_;
  const Nanos since_;
  SourceFilter filter_;
  GroupHosts hosts_;
  codec::IpAddress last_reporter_;
  /** Hosts of IGMPv1, and of IGMPv2 or MLDv1, are thought present until then. */
  Nanos first_until_ = 0;
  Nanos second_until_ = 0;
  /** Hosts that could not be kept, or cannot be told apart, likewise. */
  Nanos unkept_until_ = 0;
  /** Queries for the group that are still to be sent. */
  unsigned queries_left_ = 0;
  Timer<&QuerierGroup::transmit> retransmission_{*this};
};

}  // namespace sluice::membership
