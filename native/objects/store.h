// HTTP objects by name: one flight for each, whoever asks.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kernel/arena.h"
#include "objects/object.h"
#include "objects/ranges.h"

namespace sluice::objects {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_OBJECT_COUNTERS(X)                                                                               \
  X(hits) X(misses) X(joined) X(stale) X(revalidated) X(refused) X(failed) X(evicted) X(bytes_in) X(objects)    \
  X(growing) X(used_bytes) X(budget_bytes) X(wakes)
// clang-format on

/** In the order of OBJECT_COUNTERS in daemon/plane/contract-counters.ts. */
struct ObjectCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name = 0;
  SLUICE_OBJECT_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct StoreOptions {
  /** Bytes of all objects together. */
  std::size_t budget = std::size_t{256} << 20;
  /** Largest object. */
  std::size_t largest = std::size_t{64} << 20;
};

/** What a name leads to. */
struct Found {
  /** Never null; may be in any phase but failed. */
  std::shared_ptr<Object> object;
  /** Nobody had asked: the caller sees to it that `object` (Phase::wanted) gets what it waits for. */
  bool first = false;
};

/**
 * The index and the memory. For the reactor's thread only.
 *
 * A name has a current object (growing or complete) and, while one is fetched anew, a wanted one beside it.
 * Objects whose flight has ended leave by age, by budget (least recently used first) or by purge(); readers
 * that hold one go on.
 */
class Store final : private kernel::Timer {
 public:
  static kernel::Result<std::unique_ptr<Store>> create(kernel::Reactor& reactor, const StoreOptions& options,
                                                       ObjectCounters& counters);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  /** All objects must have gone, save those that the index holds. */
  ~Store();

  /** Looks a name up; where there is nothing fresh and nobody is fetching, a flight begins. */
  Found want(std::string_view key);
  /** The wanted object of a ticket, or null when its flight has ended. */
  [[nodiscard]] std::shared_ptr<Object> flight(std::uint64_t ticket) const;
  /** What is there of the same name, fresh or not, for conditional requests; null when there is nothing. */
  [[nodiscard]] std::shared_ptr<Object> current(std::string_view key) const;

  /**
   * wanted -> growing. OBJECT_TOO_LARGE when `head.length` says so, OBJECT_STORE_FULL when there is no room,
   * UPSTREAM_TIMEOUT when the flight has ended; the object stays as it is then.
   */
  [[nodiscard]] std::optional<kernel::Error> begin(const std::shared_ptr<Object>& object, Head head,
                                                   const Freshness& freshness);
  /** Null, or why the bytes find no room (OBJECT_TOO_LARGE, OBJECT_STORE_FULL): the object is then failed. */
  const char* append(const std::shared_ptr<Object>& object, codec::Bytes bytes) noexcept;
  /** growing -> complete. */
  void complete(const std::shared_ptr<Object>& object) noexcept;
  /** growing -> failed; wanted -> refused, or replaced by what was there before and is good enough. */
  void fail(const std::shared_ptr<Object>& object, Refusal refusal);
  /** wanted -> replaced by what was there before, which is fresh again (RFC 9111 section 4.3.4). False when
   * there was nothing. */
  bool revalidate(const std::shared_ptr<Object>& object, const Freshness& freshness);
  /**
   * Forgets the objects whose name begins with `prefix`; how many. Those that grow, and flights, serve
   * whoever waits for them already; who asks from now on gets what the origin has now.
   */
  std::size_t purge(std::string_view prefix);
  /** Ends flights that are wanted since before `since` with `refusal`: nobody cared for them. */
  void expire_wanted(kernel::Nanos since, const Refusal& refusal);
  /** Ends the flights to names that begin with `prefix`. */
  void refuse_wanted(std::string_view prefix, const Refusal& refusal);

  [[nodiscard]] kernel::Reactor& reactor() noexcept { return reactor_; }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  friend class Object;
  struct Name {
    std::shared_ptr<Object> current;
    std::shared_ptr<Object> wanted;
  };
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
  };
  using Index = std::unordered_map<std::string, Name, KeyHash, std::equal_to<>>;

  Store(kernel::Reactor& reactor, const StoreOptions& options, ObjectCounters& counters, kernel::Arena arena);
  void on_timer(kernel::Nanos now) noexcept override;
  void touch(Object& object) noexcept;
  void land(const std::shared_ptr<Object>& object);
  void replace(const std::shared_ptr<Object>& object);
  void refuse_if(const std::function<bool(const Object&)>& meant, const Refusal& refusal);
  void forget(Object& object) noexcept;
  bool charge(Object& object, std::size_t bytes) noexcept;
  bool evict_one() noexcept;
  void release(Object& object) noexcept;
  void wake(List<Reader>& readers) noexcept;

  kernel::Reactor& reactor_;
  const StoreOptions options_;
  ObjectCounters& counters_;
  kernel::Arena arena_;
  Ranges ranges_;
  Index index_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Object>> flights_;
  std::list<Object*> by_use_;
  std::size_t used_ = 0;
  std::uint64_t next_ticket_ = 1;
  List<Reader> woken_;
};

}  // namespace sluice::objects
