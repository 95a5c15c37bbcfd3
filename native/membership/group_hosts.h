// What each host by itself wants of a group: explicit tracking (RFC 9776 appendix A.2, RFC 6636 section 4.4).
#pragma once

#include <map>

#include "membership/channel.h"
#include "membership/querier_commons.h"

namespace sluice::membership {

/** A host's wish as it was told last. It is gone when the host has not confirmed any of it for a membership
 * interval. */
class GroupHost final : public Deadline {
 public:
  /** Until when each holds; in EXCLUDE mode, sources that the host does not want. */
  using Sources = std::map<codec::IpAddress, Nanos>;

  GroupHost(class GroupHosts& hosts, const codec::IpAddress& address, Nanos now) noexcept
      : hosts_(hosts), address_(address), since_(now) {}
  ~GroupHost();
  void on_deadline(Nanos now) noexcept override;

  [[nodiscard]] const codec::IpAddress& address() const noexcept { return address_; }
  [[nodiscard]] bool excludes() const noexcept { return excludes_; }
  [[nodiscard]] const Sources& sources() const noexcept { return sources_; }
  /** Calls `visit(source, until)` for each that it wants by name. */
  template <typename Visit>
  void each_wanted(Nanos now, Visit visit) const {
    if (excludes_) return;
    for (const auto& [source, until] : sources_)
      if (until > now) visit(source, until);
  }
  /** Of its last record. */
  [[nodiscard]] unsigned version() const noexcept { return version_; }
  [[nodiscard]] Nanos since() const noexcept { return since_; }
  /** When its last record came. */
  [[nodiscard]] Nanos heard() const noexcept { return heard_; }

 private:
  friend class GroupHosts;
  void take(codec::RecordType type, const codec::SourceList& sources, Nanos now) noexcept;
  void exclude(const codec::SourceList& sources, Nanos until) noexcept;
  void include(const codec::SourceList& sources, bool all, Nanos now, Nanos until) noexcept;
  void block(const codec::SourceList& sources) noexcept;
  void put(const codec::IpAddress& source, Nanos until) noexcept;
  template <typename Condition>
  void drop_if(Condition condition) noexcept;
  [[nodiscard]] bool wants(const codec::IpAddress& source, Nanos now) const noexcept;
  void settle(Nanos until) noexcept;

  GroupHosts& hosts_;
  codec::IpAddress address_;
  Nanos since_;
  Nanos heard_ = 0;
  bool excludes_ = false;
  /** A source did not fit. */
  bool incomplete_ = false;
  std::uint8_t version_ = 0;
  Sources sources_;
};

/** The hosts of one group. */
class GroupHosts {
 public:
  explicit GroupHosts(QuerierCommons& commons) noexcept : commons_(commons) {}
  GroupHosts(const GroupHosts&) = delete;
  GroupHosts& operator=(const GroupHosts&) = delete;
  ~GroupHosts() { commons_.hosts -= hosts_.size(); }

  /** A record of a host. False when its wish could not be kept whole, for the limits: it may want more than
   * is known. */
  bool take(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
            Nanos now) noexcept;
  /** Whether a host is in EXCLUDE mode. */
  [[nodiscard]] bool exclude() const noexcept;
  /** Whether a host wants this source. */
  [[nodiscard]] bool want(const codec::IpAddress& source, Nanos now) const noexcept;
  /** False when it was not known. */
  bool forget(const codec::IpAddress& host) noexcept;
  /** Takes away what is not in the list: hosts in EXCLUDE mode where the group is not, else single sources.
   */
  void restrict(const codec::IpAddress& group, const ChannelList& list) noexcept;

  [[nodiscard]] const std::map<codec::IpAddress, GroupHost>& all() const noexcept { return hosts_; }

 private:
  friend class GroupHost;
  QuerierCommons& commons_;
  std::map<codec::IpAddress, GroupHost> hosts_;
};

}  // namespace sluice::membership
