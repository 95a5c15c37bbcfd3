#include "membership/source_filter.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::RecordType;
using codec::SourceList;

/**
 * In every row, what is queried is of those sources whose timers run: after IS and ALLOW none; after TO_EX
 * and BLOCK those that the record names (of others TO_EX leaves none); after TO_IN those that it does not
 * name, and the group in EXCLUDE mode.
 */
SourceFilter::Asked SourceFilter::take(RecordType type, const SourceList& sources, Nanos now) noexcept {
  record_++;
  const Nanos gmi = now + commons_.election.timing().group_membership();
  switch (type) {
    case RecordType::is_include:
    case RecordType::allow:
      want(sources, gmi);
      return {};
    case RecordType::is_exclude:
      exclude(sources, gmi, now);
      return {};
    case RecordType::to_exclude:
      exclude(sources, group_timer_.at(), now);
      return {false, mark(true)};
    case RecordType::to_include:
      want(sources, gmi);
      return {excludes_, mark(false)};
    case RecordType::block:
      block(sources);
      return {false, mark(true)};
  }
  return {};
}

void SourceFilter::keep(const IpAddress& address, Nanos until) noexcept {
  Source* source = find(address);
  if (source == nullptr) source = add(address);
  if (source != nullptr && (!source->forwarded() || source->at() < until)) run(*source, until);
}

bool SourceFilter::forwards(const IpAddress& source) const noexcept {
  const auto found = sources_.find(source);
  return found == sources_.end() ? excludes_ : found->second.forwarded();
}

SourceFilter::Source* SourceFilter::find(const IpAddress& address) noexcept {
  const auto found = sources_.find(address);
  if (found == sources_.end()) return nullptr;
  found->second.named_ = record_;
  return &found->second;
}

/** None beyond the limits. */
SourceFilter::Source* SourceFilter::add(const IpAddress& address) noexcept {
  if (!commons_.room_for_source(sources_.size())) {
    commons_.counters.sources_refused++;
    return nullptr;
  }
  Source& added = sources_.try_emplace(address, *this, address).first->second;
  added.named_ = record_;
  commons_.sources++;
  changed_ = true;
  return &added;
}

SourceFilter::Sources::iterator SourceFilter::erase(Sources::iterator source) noexcept {
  commons_.sources--;
  changed_ = true;
  return sources_.erase(source);
}

void SourceFilter::run(Source& source, Nanos until) noexcept {
  changed_ = changed_ || !source.forwarded();
  commons_.deadlines.set(source, until);
}

/** A+B, X+A and Y-A: they all run. */
void SourceFilter::want(const SourceList& sources, Nanos until) noexcept {
  for (const IpAddress& address : sources) {
    Source* source = find(address);
    if (source == nullptr) source = add(address);
    if (source != nullptr) run(*source, until);
  }
}

/**
 * Of what there is only what is named stays, as it is. New ones do not run in INCLUDE mode, where nobody
 * wanted them; in EXCLUDE mode they run until `until_of_new`, because somebody may.
 */
void SourceFilter::exclude(const SourceList& sources, Nanos until_of_new, Nanos now) noexcept {
  for (const IpAddress& address : sources) find(address);
  for (auto at = sources_.begin(); at != sources_.end();)
    at = at->second.named_ == record_ ? std::next(at) : erase(at);
  for (const IpAddress& address : sources) {
    if (find(address) != nullptr) continue;
    Source* const added = add(address);
    if (added != nullptr && excludes_) run(*added, until_of_new);
  }
  changed_ = changed_ || !excludes_;
  excludes_ = true;
  commons_.deadlines.set(group_timer_, now + commons_.election.timing().group_membership());
}

/** In EXCLUDE mode new ones run as long as the group does: others may want them. */
void SourceFilter::block(const SourceList& sources) noexcept {
  for (const IpAddress& address : sources) {
    if (find(address) != nullptr || !excludes_) continue;
    Source* const added = add(address);
    if (added != nullptr) run(*added, group_timer_.at());
  }
}

/** Those that run and that the record names, or does not name, are to be asked about; whether there are any.
 */
bool SourceFilter::mark(bool named) noexcept {
  bool any = false;
  for (auto& [address, source] : sources_) {
    source.to_ask = source.forwarded() && (source.named_ == record_) == named;
    any = any || source.to_ask;
  }
  return any;
}

void SourceFilter::lower_group(Nanos at) noexcept {
  if (group_timer_.is_set() && group_timer_.at() > at) commons_.deadlines.set(group_timer_, at);
}

void SourceFilter::lower(Source& source, Nanos at) noexcept {
  if (source.is_set() && source.at() > at) commons_.deadlines.set(source, at);
}

void SourceFilter::lower(const SourceList& sources, Nanos at) noexcept {
  for (const IpAddress& address : sources) {
    const auto found = sources_.find(address);
    if (found != sources_.end()) lower(found->second, at);
  }
}

void SourceFilter::end_exclude() noexcept {
  if (!excludes_) return;
  group_timer_.clear();
  excludes_ = false;
  changed_ = true;
  for (auto at = sources_.begin(); at != sources_.end();)
    at = at->second.forwarded() ? std::next(at) : erase(at);
}

/** In EXCLUDE mode it stays, as one that is not forwarded. */
SourceFilter::Sources::iterator SourceFilter::end(Sources::iterator source) noexcept {
  if (!excludes_) return erase(source);
  source->second.clear();
  source->second.queries_left = 0;
  changed_ = true;
  return std::next(source);
}

void SourceFilter::group_expired(Nanos now) noexcept {
  end_exclude();
  owner_.filter_expired(now);
}

void SourceFilter::source_expired(Source& source, Nanos now) noexcept {
  end(sources_.find(source.address()));
  owner_.filter_expired(now);
}

}  // namespace sluice::membership
