// Joins and prunes that are to leave: gathered, so that what is decided within one wake-up leaves in few
// messages.
#pragma once

#include <tuple>
#include <vector>

#include "membership/pim_host.h"

namespace sluice::membership {

struct PimEntry {
  Interface interface = kNoInterface;
  codec::IpAddress neighbour;
  codec::IpAddress group;
  codec::pim::JoinPruneSource source;
  bool prune = false;

  [[nodiscard]] auto key() const noexcept {
    return std::tuple(interface, neighbour, group, !source.wildcard, source.rpt, source.address);
  }
};

/** Of what is said twice of the same tree to the same neighbour, the last holds. */
class PimOutbox {
 public:
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  void add(const PimEntry& entry) { entries_.push_back(entry); }
  /** What is there now, in order of coming. */
  [[nodiscard]] const std::vector<PimEntry>& entries() const noexcept { return entries_; }
  /** Nothing of this goes out there any more. */
  void forget(Interface interface) noexcept {
    std::erase_if(entries_, [&](const PimEntry& entry) { return entry.interface == interface; });
  }

  /** Calls `send(interface, message)` for each neighbour; what is added meanwhile stays. The holdtime is
   * `send`'s part. */
  template <class Send>
  void flush(Send&& send);

 private:
  void take() noexcept;
  [[nodiscard]] std::size_t groups_from(std::size_t at);

  std::vector<PimEntry> entries_;
  std::vector<PimEntry> leaving_;
  std::vector<codec::pim::JoinPruneSource> sources_;
  std::vector<codec::pim::JoinPruneGroup> groups_;
};

template <class Send>
void PimOutbox::flush(Send&& send) {
  take();
  for (std::size_t at = 0; at < leaving_.size();) {
    const PimEntry& first = leaving_[at];
    const std::size_t end = groups_from(at);
    codec::pim::JoinPrune message;
    message.upstream = first.neighbour;
    message.groups = codec::Sequence<codec::pim::JoinPruneGroup>(groups_);
    send(first.interface, message);
    at = end;
  }
  leaving_.clear();
}

}  // namespace sluice::membership
