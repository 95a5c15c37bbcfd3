// Who may have which groups: tables that policy pushes down, asked for every record before the querier hears
// it.
//
//   record --> in the ranges? --> new? then: joins per second --> authorised? --> new group? then: groups -->
//   querier
//                  | no                        | no                  | no              | no
//                  denied                      denied                held, then        denied
//                                                                    denied
#pragma once

#include <array>
#include <map>
#include <vector>

#include "codec/membership.h"
#include "membership/channel.h"
#include "membership/refusals.h"
#include "membership/token_bucket.h"

namespace sluice::membership {

/** Groups and sources that may be asked for at all. */
struct ChannelRange {
  codec::IpPrefix groups;
  /** Of the same family. Zero bits: any source, and joins that name none; else only joins that name such
   * sources. */
  codec::IpPrefix sources;
};

/** Of one interface, which is one subscriber: hosts that share it share its rights. */
struct AdmissionOptions {
  /** Whatever is in the ranges is authorised. */
  bool open = false;
  /** None: everything. */
  std::vector<ChannelRange> ranges;
  /** Groups at a time; 0: without limit. Those that are left count until they have ended. */
  std::size_t groups = 0;
  /** New channels a second, 0: without limit; and at once, 0: as many as in a second. */
  unsigned joins_per_second = 0;
  unsigned burst = 0;
  /** How long a join waits for its authorisation; 0: not at all. */
  Nanos hold = 0;
  std::size_t most_held = 64;
  /** Joins that AdmissionHost is told of as admitted or denied; of others only the counters know. */
  unsigned events_per_second = 1000;
};

struct AdmissionCounters {
  /** New channels. */
  std::uint64_t admitted = 0;
  std::uint64_t held = 0;
  /** Of those held, authorised in time. */
  std::uint64_t released = 0;
  std::array<std::uint64_t, kDenials> denied{};
  std::uint64_t revoked = 0;
  /** Not told for AdmissionOptions::events_per_second. */
  std::uint64_t events_suppressed = 0;

  [[nodiscard]] std::uint64_t of(Denial denial) const noexcept {
    return denied[static_cast<std::size_t>(denial)];
  }
};

/** Who acts for an admission; outlives it. Nothing is told to the admission from within its calls. */
class AdmissionHost {
 public:
  /** Whether the interface receives this already, so that another host, or the same again, asks for nothing
   * new. */
  [[nodiscard]] virtual bool has(const Channel& channel) const noexcept = 0;
  [[nodiscard]] virtual bool has_group(const codec::IpAddress& group) const noexcept = 0;
  /** Groups that hosts of the interface have. */
  [[nodiscard]] virtual std::size_t groups() const noexcept = 0;
  /** For the querier. The record's sources are there until this returns. */
  virtual void pass(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
                    Nanos now) noexcept = 0;
  /** The group's remaining channels are those that allows() says: the rest ends now (Querier::restrict). */
  virtual void revoked(const codec::IpAddress& group, Nanos now) noexcept = 0;
  /** Hosts were refused what they may have now, and would not say again soon that they want it: they are to
   * be asked. any(): about whatever they want. */
  virtual void allowed(const codec::IpAddress& group, Nanos now) noexcept = 0;

  /** The channel is not allowed, or not any more: of what there is of it, what allows() refuses ends. Unlike
   * denied(), this is told always. */
  virtual void refused(const Channel& channel) noexcept = 0;

  /** A join waits: whoever knows may say Admission::authorise() within AdmissionOptions::hold. */
  virtual void held(const codec::IpAddress& host, const Channel& channel) noexcept = 0;
  virtual void admitted(const codec::IpAddress& host, const Channel& channel) noexcept = 0;
  virtual void denied(const codec::IpAddress& host, const Channel& channel, Denial why) noexcept = 0;

 protected:
  ~AdmissionHost() = default;
};

/**
 * A record asks for channels: each source that it names, or, in EXCLUDE mode and in reports of older
 * versions, the group of any source. That is allowed only where the group is authorised as such: a host in
 * EXCLUDE mode receives from whoever sends, so that authorised (source, group) channels say nothing of it.
 * What leaves passes always. A record of several sources passes with those that are allowed.
 */
class Admission final : public ChannelList {
 public:
  Admission(const AdmissionOptions& options, AdmissionHost& host, Deadlines& deadlines);

  /** Other tables and limits; authorisations stay. What is not allowed any more ends by Querier::restrict(),
   * which the caller calls. */
  void configure(const AdmissionOptions& options, Nanos now);
  /** From now on until then (kNever: for good), in place of what was said of it before. Joins that are held
   * for it pass; of those that were refused before, hosts are asked again. */
  void authorise(const Channel& channel, Nanos until, Nanos now) noexcept;
  /** It ends at once, as it does when its time is over. */
  void revoke(const Channel& channel, Nanos now) noexcept;

  /** Passes on what is allowed. */
  void on_record(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
                 Nanos now) noexcept;

  [[nodiscard]] bool allows(const codec::IpAddress& group,
                            const codec::IpAddress& source) const noexcept override;
  [[nodiscard]] const AdmissionOptions& options() const noexcept { return options_; }
  [[nodiscard]] const AdmissionCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::size_t authorised() const noexcept { return leases_.size(); }
  [[nodiscard]] std::size_t held() const noexcept { return held_.size(); }
  /** Calls `visit(channel, host, version, how long it waits yet)` for joins that are held. */
  template <class Visit>
  void each_held(Nanos now, Visit&& visit) const {
    for (const auto& [join, held] : held_)
      visit(join.channel, join.host, held.version(), held.remaining(now));
  }
  [[nodiscard]] const Refusals& refusals() const noexcept { return refusals_; }

 private:
  class Lease final : public Deadline {
   public:
    Lease(Admission& admission, const Channel& channel) noexcept : admission_(admission), channel_(channel) {}
    void on_deadline(Nanos now) noexcept override { admission_.revoke(Channel(channel_), now); }

   private:
    Admission& admission_;
    Channel channel_;
  };
  struct Join {
    Channel channel;
    codec::IpAddress host;
    constexpr auto operator<=>(const Join&) const noexcept = default;
  };
  class Held final : public Deadline {
   public:
    Held(Admission& admission, const Join& join, unsigned version) noexcept
        : admission_(admission), join_(join), version_(version) {}
    void on_deadline(Nanos now) noexcept override;
    [[nodiscard]] unsigned version() const noexcept { return version_; }

   private:
    Admission& admission_;
    Join join_;
    unsigned version_;
  };

  [[nodiscard]] bool in_range(const Channel& channel) const noexcept;
  [[nodiscard]] bool judge(const Join& join, unsigned version, Nanos now) noexcept;
  void hold(const Join& join, unsigned version, Nanos now) noexcept;
  [[nodiscard]] bool take_up(const Join& join, unsigned version, Nanos now) noexcept;
  void deny(const Join& join, Denial why, unsigned version, Nanos now) noexcept;
  using HeldJoins = std::map<Join, Held>;
  void release(HeldJoins::iterator from, HeldJoins::iterator to, Nanos now) noexcept;
  void cancel(const codec::IpAddress& host, const codec::GroupRecord& record) noexcept;
  [[nodiscard]] bool may_tell(Nanos now) noexcept;
  [[nodiscard]] bool has_refused() const noexcept;

  AdmissionOptions options_;
  AdmissionHost& host_;
  Deadlines& deadlines_;
  AdmissionCounters counters_;
  TokenBucket joins_;
  TokenBucket events_;
  std::map<Channel, Lease> leases_;
  HeldJoins held_;
  Refusals refusals_;
  std::vector<codec::IpAddress> allowed_;
};

}  // namespace sluice::membership
