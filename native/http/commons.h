// What the servers of one listener have in common, each on a loop of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "http/limits.h"

namespace sluice::http {

/** The limits that hold for all connections of a listener together. Any thread. */
class Commons {
 public:
  explicit Commons(ClientLimitOptions clients) : clients_(std::move(clients)) {}
  Commons(const Commons&) = delete;
  Commons& operator=(const Commons&) = delete;

  [[nodiscard]] ClientLimits& clients() noexcept { return clients_; }
  /** Connections that are admitted. */
  [[nodiscard]] std::size_t admitted() const noexcept { return admitted_.load(std::memory_order_relaxed); }
  /** A number that no other connection of the listener has. */
  [[nodiscard]] std::uint64_t next_id() noexcept { return next_id_.fetch_add(1, std::memory_order_relaxed); }

 private:
  friend class Admission;
  ClientLimits clients_;
  std::atomic<std::size_t> admitted_{0};
  std::atomic<std::uint64_t> next_id_{1};
};

/** One connection counts, as the listener's and as its client's, for as long as this lives; wherever it goes.
 */
class Admission {
 public:
  Admission() noexcept = default;
  Admission(std::shared_ptr<Commons> commons, ClientLimits::Place place) noexcept
      : commons_(std::move(commons)), place_(std::move(place)) {
    commons_->admitted_.fetch_add(1, std::memory_order_relaxed);
  }
  Admission(Admission&&) noexcept = default;
  Admission& operator=(Admission&& other) noexcept {
    std::swap(commons_, other.commons_);
    std::swap(place_, other.place_);
    return *this;
  }
  ~Admission() {
    if (commons_) commons_->admitted_.fetch_sub(1, std::memory_order_relaxed);
  }

  [[nodiscard]] const ClientLimits::Place& place() const noexcept { return place_; }

 private:
  /** Outlives the place. */
  std::shared_ptr<Commons> commons_;
  ClientLimits::Place place_;
};

}  // namespace sluice::http
