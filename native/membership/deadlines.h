// Timers of the membership machines: many deadlines, of which their owner watches only the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace sluice::membership {

/** Of a monotonic clock. */
using Nanos = std::int64_t;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1000 * kMillisecond;
/** The time of what never comes. */
inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

/** Interfaces of one router are numbered from 0 to 31, and sets of them have a bit for each. */
using Interface = std::uint8_t;
using InterfaceSet = std::uint32_t;
inline constexpr unsigned kInterfaces = 32;

class Deadlines;

/** Something that is to happen once. It does not move; destroying it clears it. */
class Deadline {
 public:
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /** It is not set any more when this is called; it may be set again, or destroyed, from within. */
  virtual void on_deadline(Nanos now) noexcept = 0;

  [[nodiscard]] bool is_set() const noexcept { return owner_ != nullptr; }
  /** kNever when it is not set. */
  [[nodiscard]] Nanos at() const noexcept { return at_; }
  /** How long until then; 0 when it is due or not set. */
  [[nodiscard]] Nanos remaining(Nanos now) const noexcept {
    return is_set() && at_ > now ? at_ - now : Nanos{0};
  }
  /** Nothing when it is not set. */
  inline void clear() noexcept;

 protected:
  Deadline() = default;
  ~Deadline() { clear(); }

 private:
  friend class Deadlines;
  Deadlines* owner_ = nullptr;
  std::size_t place_ = 0;
  Nanos at_ = kNever;
};

/**
 * A heap of deadlines, none of which it owns: setting, moving and clearing one takes O(log n), next()
 * nothing.
 */
class Deadlines {
 public:
  Deadlines() = default;
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines() {
    for (Deadline* one : heap_) forget(*one);
  }

  /** Sets it anew where it was set before; kNever clears it. */
  void set(Deadline& one, Nanos at) {
    if (at == kNever) return clear(one);
    if (running_ && at <= running_until_) at = running_until_ + 1;
    if (!one.is_set()) {
      heap_.push_back(&one);
      one.owner_ = this;
      one.place_ = heap_.size() - 1;
    }
    one.at_ = at;
    settle(one.place_);
  }
  void clear(Deadline& one) noexcept {
    if (one.owner_ != this) return;
    const std::size_t place = one.place_;
    forget(one);
    Deadline* const last = heap_.back();
    heap_.pop_back();
    if (place == heap_.size()) return;
    put(place, last);
    settle(place);
  }

  /** kNever when none is set. */
  [[nodiscard]] Nanos next() const noexcept { return heap_.empty() ? kNever : heap_.front()->at_; }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

  /**
   * Calls those that are due, earliest first. One that is set meanwhile for a time that has come is called by
   * the next run, so that a run always ends.
   */
  void run(Nanos now) noexcept {
    running_ = true;
    running_until_ = now;
    while (next() <= now) {
      Deadline& due = *heap_.front();
      clear(due);
      due.on_deadline(now);
    }
    running_ = false;
  }

 private:
  static void forget(Deadline& one) noexcept {
    one.owner_ = nullptr;
    one.at_ = kNever;
  }
  void put(std::size_t place, Deadline* one) noexcept {
    heap_[place] = one;
    one->place_ = place;
  }
  void exchange(std::size_t a, std::size_t b) noexcept {
    Deadline* const was = heap_[a];
    put(a, heap_[b]);
    put(b, was);
  }
  /** Moves what is there up or down to where it belongs. */
  void settle(std::size_t place) noexcept {
    for (; place > 0 && heap_[place]->at_ < heap_[(place - 1) / 2]->at_; place = (place - 1) / 2)
      exchange(place, (place - 1) / 2);
    for (;;) {
      std::size_t least = place;
      for (const std::size_t below : {2 * place + 1, 2 * place + 2})
        if (below < heap_.size() && heap_[below]->at_ < heap_[least]->at_) least = below;
      if (least == place) return;
      exchange(place, least);
      place = least;
    }
  }

  std::vector<Deadline*> heap_;
  bool running_ = false;
  Nanos running_until_ = 0;
};

inline void Deadline::clear() noexcept {
  if (owner_ != nullptr) owner_->clear(*this);
}

/** A deadline that calls a member of its owner, which outlives it: `Timer<&Group::expire> timer_{*this}`. */
template <auto Member>
class Timer;
template <class Owner, void (Owner::*Member)(Nanos) noexcept>
class Timer<Member> final : public Deadline {
 public:
  explicit Timer(Owner& owner) noexcept : owner_(owner) {}
  void on_deadline(Nanos now) noexcept override { (owner_.*Member)(now); }

 private:
  Owner& owner_;
};

}  // namespace sluice::membership
