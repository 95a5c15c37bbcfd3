// One HTTP object: a head, and bytes that may still be growing.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "codec/bytes.h"
#include "kernel/reactor.h"
#include "objects/link.h"

namespace sluice::objects {

class Store;

/** Waits for an object. Told once for each time that it waits, by the event, on the loop thread. */
class Reader : public Link {
 public:
  virtual void on_object_progress() noexcept = 0;

 protected:
  ~Reader() = default;
};

/** What stands in front of the bytes. */
struct Head {
  unsigned status = 200;
  /** Further field lines as they go out, each ended by CRLF; neither framing nor hop-by-hop fields. */
  std::string fields;
  /** Validators (RFC 9110 section 8.8), empty where there is none. */
  std::string etag;
  std::string last_modified;
  /** Size of the whole, where it is known before the end. */
  std::optional<std::uint64_t> length;
};

/** For how long an object may be used. All in ns from when its head came. */
struct Freshness {
  /** Answered without asking; what is fresh for no time serves those who waited for it only. */
  kernel::Nanos fresh = 0;
  /** For so long after that, in the place of an origin that fails (RFC 5861 section 4). */
  kernel::Nanos stale_if_error = 0;
  /** Age that it had when it came (RFC 9111 section 4.2.3). */
  kernel::Nanos age = 0;
};

/** Why there is no object. */
struct Refusal {
  unsigned status = 502;
  /** Seconds, or 0. */
  unsigned retry_after = 0;
  /** One sentence. */
  std::string message;
};

/**
 *   wanted -> growing -> complete
 *      |         `-----> failed      cut short: what came was served, and ended honestly
 *      |-------> refused             no head came: waiters get the refusal
 *      `-------> replaced            waiters get another object: the one before, still good or good enough
 */
enum class Phase : std::uint8_t { wanted, growing, complete, failed, refused, replaced };

/**
 * Written by one, read by many, on one loop thread. Shared: by the store's index, the one who fills it and
 * the readers. Its memory is given back with the last of them, so a reader is never cut by eviction.
 */
class Object final : private kernel::Timer {
 public:
  Object(Store& store, std::string key, std::uint64_t ticket);
  ~Object();

  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] std::uint64_t ticket() const noexcept { return ticket_; }
  [[nodiscard]] kernel::Nanos wanted_at() const noexcept { return wanted_at_; }
  /** From Phase::growing on. */
  [[nodiscard]] const Head& head() const noexcept { return head_; }
  /** Bytes that have come. */
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /** What has come from `position` on; stays as it is while the object lives. */
  [[nodiscard]] codec::Bytes bytes_from(std::uint64_t position) const noexcept;
  /** In Phase::refused. */
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }
  /** In Phase::replaced; before, what could stand in for it: the complete object that it is to replace. */
  [[nodiscard]] const std::shared_ptr<Object>& instead() const noexcept { return instead_; }
  /** Time since the origin made it (RFC 9111 section 4.2.3). */
  [[nodiscard]] kernel::Nanos age(kernel::Nanos now) const noexcept { return now - born_; }
  [[nodiscard]] bool fresh(kernel::Nanos now) const noexcept { return now < fresh_until_; }
  [[nodiscard]] bool usable_on_error(kernel::Nanos now) const noexcept { return now < usable_until_; }
  /** `reader` is told of the next progress. */
  void wait(Reader& reader) noexcept;

 private:
  friend class Store;
  void on_timer(kernel::Nanos now) noexcept override;
  /** Tells those who wait: at once, or, where more of the same will follow, as seldom as their number asks
   * for. */
  void signal(bool at_once) noexcept;
  void set_freshness(const Freshness& freshness, kernel::Nanos now) noexcept;

  Store& store_;
  const std::string key_;
  const std::uint64_t ticket_;
  const kernel::Nanos wanted_at_;
  Phase phase_ = Phase::wanted;
  Head head_;
  Refusal refusal_;
  std::shared_ptr<Object> instead_;
  kernel::Nanos born_ = 0;
  kernel::Nanos fresh_until_ = 0;
  kernel::Nanos usable_until_ = 0;

  std::uint64_t offset_ = 0;
  std::size_t reserved_ = 0;
  std::uint64_t size_ = 0;
  /** Counted against the budget. */
  std::size_t charged_ = 0;
  /** Place in the order of eviction, while the index holds the complete object. */
  std::optional<std::list<Object*>::iterator> place_;

  List<Reader> waiting_;
  std::size_t waiters_ = 0;
  kernel::Nanos last_wake_ = 0;
};

}  // namespace sluice::objects
