// One interface of a multicast router: what hosts there want (Querier), and what they may have (Admission).
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "kernel/multicast_routing.h"
#include "membership/admission.h"
#include "membership/pim_link.h"
#include "membership/proxy.h"
#include "membership/querier.h"
#include "membership/token_bucket.h"

namespace sluice::plane {

/** What one interface does for one family. */
struct RouterInterfaceOptions {
  /** Of the network device; it may come later. */
  std::string name;
  /** Who hosts there are asked by and report to; none: nobody listens to hosts there. */
  std::optional<membership::QuerierOptions> querier;
  membership::AdmissionOptions admission;
  /** None: no PIM there. */
  std::optional<membership::PimLinkOptions> pim;
  /** Messages without a router alert count, too (some switches strip it). */
  bool lenient = false;
  /** Where there is no PIM, who is not the querier forwards, too (RFC 4605 section 4.2 leaves that to the
   * operator: a switch that asks does not forward). */
  bool always_forwards = false;
};

/** What was wrong with messages of hosts and queriers. */
struct RouterInterfaceCounters {
  std::uint64_t reports = 0;
  std::uint64_t malformed = 0;
  std::uint64_t bad_checksum = 0;
  /** From beyond the link, without router alert, or from or to the wrong address. */
  std::uint64_t wrong_header = 0;
  /** Records beyond kMostRecords: not looked at. */
  std::uint64_t too_many = 0;
};

/** Records of reports in a second, of all hosts of an interface, so that one link cannot take the time of the
 * others. */
inline constexpr unsigned kMostRecords = 20'000;

class RouterInterface;

/** Who an interface's machines act by; outlives them. */
class RouterInterfaceOwner {
 public:
  virtual void send_query(RouterInterface& interface, const codec::MembershipQuery& query) noexcept = 0;
  virtual void members_changed(RouterInterface& interface, const codec::IpAddress& group) noexcept = 0;
  /** Whether it is the querier has changed. */
  virtual void querier_changed(RouterInterface& interface) noexcept = 0;
  virtual void join_held(RouterInterface& interface, const codec::IpAddress& host,
                         const membership::Channel& channel) noexcept = 0;
  virtual void join_admitted(RouterInterface& interface, const codec::IpAddress& host,
                             const membership::Channel& channel) noexcept = 0;
  virtual void join_denied(RouterInterface& interface, const codec::IpAddress& host,
                           const membership::Channel& channel, membership::Denial why) noexcept = 0;
  /** It may not have the channel, or others than before: what it receives all the same is to end. */
  virtual void rights_ended(RouterInterface& interface, const membership::Channel& channel) noexcept = 0;
  virtual void rights_changed(RouterInterface& interface) noexcept = 0;

 protected:
  ~RouterInterfaceOwner() = default;
};

class RouterInterface final : private membership::QuerierHost, private membership::AdmissionHost {
 public:
  RouterInterface(const RouterInterfaceOptions& options, RouterInterfaceOwner& owner,
                  membership::Deadlines& deadlines);

  /** The device is there, in this place of the kernel's table. */
  void up(unsigned index, kernel::Vif vif, const codec::IpAddress& own, kernel::Nanos now);
  /** Another address of ours. */
  void readdress(const codec::IpAddress& own, kernel::Nanos now);
  /** Nobody there wants anything any more. */
  void down_hosts();
  /** The device is gone, or has no carrier. */
  void down();
  [[nodiscard]] bool is_up() const noexcept { return index_ != 0; }
  /** 0 while it is down. */
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  [[nodiscard]] kernel::Vif vif() const noexcept { return vif_; }
  [[nodiscard]] const codec::IpAddress& address() const noexcept { return own_; }

  void on_query(const codec::IpAddress& from, const codec::MembershipQuery& query,
                kernel::Nanos now) noexcept;
  void on_report(const codec::IpAddress& host, const codec::MembershipReport& report,
                 kernel::Nanos now) noexcept;

  /** Whether its hosts are to receive packets of the source; also of a group that was wanted of any source.
   */
  [[nodiscard]] bool wants(const codec::IpAddress& source, const codec::IpAddress& group) const noexcept;
  /** The same, where it is for us and no other router of the link to forward. */
  [[nodiscard]] bool forwards(const codec::IpAddress& source, const codec::IpAddress& group) const noexcept;
  /** What its hosts want of a group. */
  [[nodiscard]] membership::WantedSources wanted(const codec::IpAddress& group) const;

  /** Speaks otherwise from now on; who is there stays, unless hosts are not listened to any more. The name
   * cannot change; admission and static groups stay as they are. */
  void reconfigure(const RouterInterfaceOptions& options, kernel::Nanos now);
  /** Other tables for admission; what is not allowed any more ends at once. */
  void configure(const membership::AdmissionOptions& options, kernel::Nanos now);
  void add_static(const membership::Channel& channel);
  void remove_static(const membership::Channel& channel);

  [[nodiscard]] const RouterInterfaceOptions& options() const noexcept { return options_; }
  /** Null where hosts are not listened to. */
  [[nodiscard]] const membership::Querier* querier() const noexcept {
    return querier_ ? &*querier_ : nullptr;
  }
  [[nodiscard]] membership::Querier* querier() noexcept { return querier_ ? &*querier_ : nullptr; }
  [[nodiscard]] membership::Admission& admission() noexcept { return admission_; }
  [[nodiscard]] const membership::Admission& admission() const noexcept { return admission_; }
  [[nodiscard]] RouterInterfaceCounters& counters() noexcept { return counters_; }
  [[nodiscard]] const RouterInterfaceCounters& counters() const noexcept { return counters_; }

 private:
  // QuerierHost
  void send(const codec::MembershipQuery& query) noexcept override;
  void changed(const codec::IpAddress& group) noexcept override;
  void elected() noexcept override;
  // AdmissionHost
  [[nodiscard]] bool has(const membership::Channel& channel) const noexcept override;
  [[nodiscard]] bool has_group(const codec::IpAddress& group) const noexcept override;
  [[nodiscard]] std::size_t groups() const noexcept override;
  void pass(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
            kernel::Nanos now) noexcept override;
  void revoked(const codec::IpAddress& group, kernel::Nanos now) noexcept override;
  void allowed(const codec::IpAddress& group, kernel::Nanos now) noexcept override;
  void refused(const membership::Channel& channel) noexcept override;
  void held(const codec::IpAddress& host, const membership::Channel& channel) noexcept override;
  void admitted(const codec::IpAddress& host, const membership::Channel& channel) noexcept override;
  void denied(const codec::IpAddress& host, const membership::Channel& channel,
              membership::Denial why) noexcept override;

  RouterInterfaceOptions options_;
  RouterInterfaceOwner& owner_;
  membership::Deadlines& deadlines_;
  unsigned index_ = 0;
  kernel::Vif vif_ = 0;
  codec::IpAddress own_;
  std::set<membership::Channel> statics_;
  std::optional<membership::Querier> querier_;
  membership::Admission admission_;
  membership::TokenBucket records_{kMostRecords, 0};
  RouterInterfaceCounters counters_;
};

}  // namespace sluice::plane
