// Queries out of turn: hosts are asked at once about what was taken from them, or is theirs after it was
// refused, since by themselves they say again what they want only with the next general query.
#pragma once

#include <map>

#include "membership/querier_commons.h"

namespace sluice::membership {

/** They change nothing of what is there. Part of a Querier. */
class ExtraQueries {
 public:
  /** Groups asked about at a time; rather than about more, hosts are asked about all. */
  static constexpr std::size_t kMostGroups = 64;

  explicit ExtraQueries(QuerierCommons& commons) noexcept : commons_(commons) {}

  /** As soon as time runs, and again as a lost query needs it; the group of any() is every group. */
  void ask(const codec::IpAddress& group, Nanos now) noexcept;
  void stop() noexcept { asks_.clear(); }

 private:
  class Ask final : public Deadline {
   public:
    Ask(ExtraQueries& queries, const codec::IpAddress& group) noexcept : queries_(queries), group_(group) {}
    void on_deadline(Nanos now) noexcept override { queries_.send(*this, now); }
    [[nodiscard]] const codec::IpAddress& group() const noexcept { return group_; }

    unsigned left = 0;

   private:
    ExtraQueries& queries_;
    const codec::IpAddress group_;
  };

  void send(Ask& ask, Nanos now) noexcept;

  QuerierCommons& commons_;
  std::map<codec::IpAddress, Ask> asks_;
};

}  // namespace sluice::membership
