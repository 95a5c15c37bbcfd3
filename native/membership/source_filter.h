// What a router keeps of one group on one interface: a filter mode, and sources with timers (RFC 9776
// section 6.2).
//
//   mode      sources                                   what is forwarded
//   INCLUDE   A: all have a timer that runs             A
//   EXCLUDE   X: timer runs      Y: it does not         all but Y
#pragma once

#include <map>
#include <utility>

#include "membership/querier_commons.h"

namespace sluice::membership {

/** Told when time has changed a filter, which it may destroy then. */
class SourceFilterOwner {
 public:
  virtual void filter_expired(Nanos now) noexcept = 0;

 protected:
  ~SourceFilterOwner() = default;
};

/**
 * The tables of RFC 9776 sections 6.4.1 and 6.4.2 and the timers of 6.2.2, 6.2.3 and 6.5. What those tables
 * say is to be queried is marked (`Source::to_ask`); asking is somebody else's.
 */
class SourceFilter {
 public:
  class Source final : public Deadline {
   public:
    Source(SourceFilter& filter, const codec::IpAddress& address) noexcept
        : filter_(filter), address_(address) {}
    void on_deadline(Nanos now) noexcept override { filter_.source_expired(*this, now); }
    [[nodiscard]] const codec::IpAddress& address() const noexcept { return address_; }
    /** Its timer runs: somebody wants it. */
    [[nodiscard]] bool forwarded() const noexcept { return is_set(); }

    /** The last record has left it, so that others are to be asked. */
    bool to_ask = false;
    /** Queries that are still to be sent about it. */
    std::uint8_t queries_left = 0;

   private:
    friend class SourceFilter;
    SourceFilter& filter_;
    codec::IpAddress address_;
    /** The last record that names it. */
    std::uint64_t named_ = 0;
  };
  using Sources = std::map<codec::IpAddress, Source>;

  /** What a record leaves to be asked about. */
  struct Asked {
    bool group = false;
    bool sources = false;
  };

  SourceFilter(QuerierCommons& commons, SourceFilterOwner& owner) noexcept
      : commons_(commons), owner_(owner) {}
  SourceFilter(const SourceFilter&) = delete;
  SourceFilter& operator=(const SourceFilter&) = delete;
  ~SourceFilter() { commons_.sources -= sources_.size(); }

  /** A record of a host. */
  Asked take(codec::RecordType type, const codec::SourceList& sources, Nanos now) noexcept;

  /** Somebody wants this source until then at least. */
  void keep(const codec::IpAddress& source, Nanos until) noexcept;

  [[nodiscard]] bool excludes() const noexcept { return excludes_; }
  /** Nothing is forwarded, and nothing is to be kept. */
  [[nodiscard]] bool empty() const noexcept { return !excludes_ && sources_.empty(); }
  [[nodiscard]] bool forwards(const codec::IpAddress& source) const noexcept;
  [[nodiscard]] const Deadline& group_timer() const noexcept { return group_timer_; }
  [[nodiscard]] const Sources& sources() const noexcept { return sources_; }
  [[nodiscard]] Sources& sources() noexcept { return sources_; }

  /** Timers go down to `at`, never up (RFC 9776 section 6.6.1). */
  void lower_group(Nanos at) noexcept;
  void lower(Source& source, Nanos at) noexcept;
  void lower(const codec::SourceList& sources, Nanos at) noexcept;
  /** As if the group's timer had run out: nobody is in EXCLUDE mode any more (6.5). */
  void end_exclude() noexcept;
  /** As if its timer had run out. Gives the one after it. */
  Sources::iterator end(Sources::iterator source) noexcept;

  /** Whether what is forwarded may have changed since it was asked last. */
  [[nodiscard]] bool take_changed() noexcept { return std::exchange(changed_, false); }

 private:
  void group_expired(Nanos now) noexcept;
  void source_expired(Source& source, Nanos now) noexcept;
  Source* find(const codec::IpAddress& address) noexcept;
  Source* add(const codec::IpAddress& address) noexcept;
  Sources::iterator erase(Sources::iterator source) noexcept;
  void run(Source& source, Nanos until) noexcept;
  void want(const codec::SourceList& sources, Nanos until) noexcept;
  void exclude(const codec::SourceList& sources, Nanos until_of_new, Nanos now) noexcept;
  void block(const codec::SourceList& sources) noexcept;
  bool mark(bool named) noexcept;

  QuerierCommons& commons_;
  SourceFilterOwner& owner_;
  Sources sources_;
  bool excludes_ = false;
  bool changed_ = false;
  /** Numbers records. */
  std::uint64_t record_ = 0;
  Timer<&SourceFilter::group_expired> group_timer_{*this};
};

}  // namespace sluice::membership
