// One loop of the plane and what lives on it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plane/entries.h"
#include "plane/flows.h"
#include "plane/loop.h"
#include "plane/placement.h"
#include "plane/routes.h"

namespace sluice::plane {

/**
 * A loop with its counters, its entries by handle and its table of routes. Whoever has the verbs works on it
 * by call(); everything below "on the loop" is for such commands and for the loop itself.
 */
class Worker {
 public:
  /** `housekeeping` is called on the loop about once a second, before the worker's own. Throws std::bad_alloc
   * where the table of counters is full. The counters and the budget outlive it. */
  Worker(std::uint32_t index, CounterTable& counters, MemoryBudget& memory,
         std::function<void(Nanos)> housekeeping);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  /** Of its LoopCounters. */
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  /** CPU_UNKNOWN, SYSTEM_CALL. */
  std::optional<kernel::Error> start(std::optional<unsigned> cpu) { return loop_.start(cpu); }
  /** Destroys all entries, what is attached before streams, and ends the loop. `last` runs on it in between.
   */
  void close(const std::function<void()>& last);

  /** Runs on the loop and gives back what it returns. From any other thread, while the loop runs. */
  template <class F>
  auto call(F&& f) {
    using R = decltype(f());
    if constexpr (std::is_void_v<R>) {
      loop_.call(f);
    } else {
      std::optional<R> result;
      loop_.call([&] { result.emplace(f()); });
      return std::move(*result);
    }
  }

  /** Runs on the loop, without waiting for it. From any thread, also after the loop has ended. */
  void post(std::function<void()> command) { loop_.post(std::move(command)); }

  // For the thread of the verbs.
  [[nodiscard]] LoopLoad load() noexcept;
  void placed() noexcept { placed_++; }
  void removed() noexcept { placed_--; }

  // On the loop.
  [[nodiscard]] kernel::Reactor& reactor() noexcept { return loop_.reactor(); }
  [[nodiscard]] LoopCounters& counters() noexcept { return counters_; }
  [[nodiscard]] Routes& routes() noexcept { return routes_; }
  [[nodiscard]] Flows& flows() noexcept { return *flows_; }
  void put(Handle handle, std::unique_ptr<Entry> entry) { entries_.emplace(handle, std::move(entry)); }
  /** Null where there is none, or it is of another kind. */
  template <class E>
  [[nodiscard]] E* find(Handle handle) {
    const auto at = entries_.find(handle);
    return at != entries_.end() ? as<E>(*at->second) : nullptr;
  }
  /** Calls `f` with each entry of a kind. */
  template <class E, class F>
  void each(F&& f) {
    for (const auto& [handle, entry] : entries_)
      if (E* const e = as<E>(*entry)) f(*e);
  }
  void erase(Handle handle);

 private:
  /** Node builds addons without RTTI. */
  template <class E>
  static E* as(Entry& entry) noexcept {
    return entry.kind == E::kKind ? static_cast<E*>(&entry) : nullptr;
  }
  void keep_house(Nanos now);
  void count_viewers(Nanos since);

  const std::uint32_t index_;
  CounterTable& table_;
  const std::uint32_t slot_;
  LoopCounters& counters_;
  std::function<void(Nanos)> housekeeping_;
  Loop loop_;
  Routes routes_;
  std::unordered_map<Handle, std::unique_ptr<Entry>> entries_;
  /** Gone before the streams that its flows listen to. */
  std::unique_ptr<Flows> flows_;
  // Of the verbs' thread.
  std::size_t placed_ = 0;
  std::size_t measured_placed_ = 0;
  std::uint64_t measured_second_ = 0;
};

}  // namespace sluice::plane
