#include "plane/worker.h"

#include <algorithm>
#include <new>

namespace sluice::plane {

using kernel::gauge;
using kernel::read;

namespace {

/** Viewers of segments count while they fetched within so many target durations. */
constexpr int kSegmentedDurations = 3;

std::uint32_t own_slot(CounterTable& table) {
  const auto slot = table.take();
  if (!slot) throw std::bad_alloc();
  return *slot;
}

}  // namespace

Worker::Worker(std::uint32_t index, CounterTable& counters, MemoryBudget& memory,
               std::function<void(Nanos)> housekeeping)
    : index_(index),
      table_(counters),
      slot_(own_slot(counters)),
      counters_(counters.as<LoopCounters>(slot_)),
      housekeeping_(std::move(housekeeping)),
      loop_("sluice-loop" + std::to_string(index), counters_, [this](Nanos now) { keep_house(now); }),
      routes_([this](Handle handle) -> Stream* {
        auto* const entry = find<StreamEntry>(handle);
        return entry != nullptr ? entry->stream.get() : nullptr;
      }),
      flows_(std::make_unique<Flows>(loop_.reactor(), memory)) {}

Worker::~Worker() {
  table_.give_back(slot_);
}

void Worker::close(const std::function<void()>& last) {
  call([&] {
    flows_.reset();
    std::vector<Handle> streams;
    std::vector<Handle> others;
    for (const auto& [handle, entry] : entries_)
      (as<StreamEntry>(*entry) != nullptr ? streams : others).push_back(handle);
    for (const Handle handle : others) erase(handle);
    for (const Handle handle : streams) erase(handle);
    last();
  });
  loop_.stop();
}

void Worker::erase(Handle handle) {
  const auto at = entries_.find(handle);
  if (at == entries_.end()) return;
  // What its end calls must not find it any more.
  const std::unique_ptr<Entry> entry = std::move(at->second);
  entries_.erase(at);
}

LoopLoad Worker::load() noexcept {
  const std::uint64_t seconds = read(counters_.measured);
  if (std::exchange(measured_second_, seconds) != seconds) measured_placed_ = placed_;
  return {read(counters_.busy_permille), measured_placed_, placed_};
}

void Worker::keep_house(Nanos now) {
  gauge(counters_.timer_late_ns_max, 0);
  if (housekeeping_) housekeeping_(now);
  if (flows_) flows_->housekeeping(now);
  int longest = 1;
  each<StreamEntry>([&](StreamEntry& entry) {
    entry.stream->housekeeping(now);
    longest = std::max(longest, entry.stream->segmenter().target_duration());
  });
  count_viewers(now - kSegmentedDurations * longest * kernel::kSecond);
}

/** Those of segments, who come and go. */
void Worker::count_viewers(Nanos since) {
  std::unordered_map<std::uint64_t, std::uint64_t> counts;
  each<ListenerEntry>([&](ListenerEntry& entry) { entry.it->count_segmented(counts, since); });
  each<StreamEntry>(
      [&](StreamEntry& entry) { gauge(entry.counters.viewers_segmented, counts[entry.handle]); });
}

}  // namespace sluice::plane
