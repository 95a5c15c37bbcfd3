#include "membership/pim_outbox.h"

#include <algorithm>

namespace sluice::membership {

using codec::Sequence;
using codec::pim::JoinPruneGroup;
using codec::pim::JoinPruneSource;

void PimOutbox::take() noexcept {
  leaving_.swap(entries_);
  std::stable_sort(leaving_.begin(), leaving_.end(),
                   [](const PimEntry& a, const PimEntry& b) { return a.key() < b.key(); });
  // From behind, so that the last of those alike is the one that unique() keeps.
  const auto kept = std::unique(leaving_.rbegin(), leaving_.rend(),
                                [](const PimEntry& a, const PimEntry& b) { return a.key() == b.key(); });
  leaving_.erase(leaving_.begin(), kept.base());
}

/** Makes groups_ of all entries for the same neighbour; their end. */
std::size_t PimOutbox::groups_from(std::size_t at) {
  const auto same_neighbour = [&](const PimEntry& one) {
    return one.interface == leaving_[at].interface && one.neighbour == leaving_[at].neighbour;
  };
  std::size_t end = at;
  while (end < leaving_.size() && same_neighbour(leaving_[end])) end++;
  sources_.clear();
  sources_.reserve(end - at);
  groups_.clear();
  while (at < end) {
    std::size_t past = at;
    while (past < end && leaving_[past].group == leaving_[at].group) past++;
    JoinPruneGroup& group = groups_.emplace_back();
    group.group = leaving_[at].group;
    for (const bool prune : {false, true}) {
      const std::size_t first = sources_.size();
      for (std::size_t i = at; i < past; i++)
        if (leaving_[i].prune == prune) sources_.push_back(leaving_[i].source);
      const auto part = Sequence<JoinPruneSource>(std::span<const JoinPruneSource>(sources_).subspan(first));
      (prune ? group.prunes : group.joins) = part;
    }
    at = past;
  }
  return end;
}

}  // namespace sluice::membership
