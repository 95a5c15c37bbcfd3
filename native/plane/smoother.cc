#include "plane/smoother.h"

#include <limits>
#include <utility>

namespace sluice::plane {

namespace {

/** Pacing ends below this share of the threshold. */
constexpr double kLeave = 0.75;
/** Rate over the mean at which what is still held drains when the input has become even. */
constexpr double kDrain = 1.25;
/** A slot that does not end while nothing asks for it. */
constexpr double kLongest = 3600e9;

}  // namespace

Smoother::Smoother(const SmootherOptions& options) noexcept
    : options_(options),
      // One group is being filled, one may be partly taken.
      group_span_((options.max_delay + options.lookahead) / static_cast<Nanos>(kGroups - 2)) {}

/** The rate that takes everything up to the end of `group` away by its deadline. */
double Smoother::needed(const Group& group) const noexcept {
  const Nanos left = group.arrival + options_.max_delay - left_;
  const auto bytes = static_cast<double>(group.end - begun_);
  return left > 0 ? bytes / static_cast<double>(left) : std::numeric_limits<double>::infinity();
}

void Smoother::raise_rate(const Group& group) noexcept {
  const double rate = needed(group);
  if (rate <= rate_) return;
  rate_ = rate;
  rate_until_ = group.end;
}

void Smoother::choose_rate() noexcept {
  rate_ = floor_;
  rate_until_ = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t i = 0; i < count_; i++) raise_rate(group(i));
}

Nanos Smoother::free_at() const noexcept {
  if (slot_ == 0) return left_;
  return left_ + static_cast<Nanos>(std::min(static_cast<double>(slot_) / rate_, kLongest));
}

void Smoother::add_to_groups(std::size_t bytes, Nanos arrival) noexcept {
  pushed_ += bytes;
  const bool joins = count_ > 0 && arrival - group(count_ - 1).arrival < group_span_;
  if (!joins && count_ < kGroups) group(count_++).arrival = arrival;
  group(count_ - 1).end = pushed_;
}

void Smoother::push(std::size_t bytes, Nanos arrival) noexcept {
  const Nanos at = std::max(arrival, last_arrival_);
  last_arrival_ = at;
  while (in_.step(at)) judge();
  in_.add(bytes);
  add_to_groups(bytes, at);
  raise_rate(group(count_ - 1));
}

Nanos Smoother::due(Nanos arrival) const noexcept {
  return active_ ? std::max(arrival, free_at()) : std::max(arrival, left_);
}

void Smoother::take(std::size_t bytes, Nanos arrival) noexcept {
  const Nanos at = due(arrival);
  delay_ = at - arrival;
  delay_max_ = std::max(delay_max_, delay_);
  if (!wanted_ && delay_ == 0) active_ = false;
  // Following the rate keeps it the least one; after a pause of the line the others' deadlines are nearer.
  const bool paused = active_ && at > free_at();
  left_ = at;
  slot_ = bytes;
  begun_ = taken_;
  while (count_ > 0 && group(0).end <= begun_) {
    first_ = (first_ + 1) % kGroups;
    count_--;
  }
  if (paused || (active_ && begun_ >= rate_until_)) choose_rate();
  taken_ += bytes;
  while (out_.step(at)) {
  }
  out_.add(bytes);
}

/** A window has been closed. */
void Smoother::judge() noexcept {
  if (!in_.measured()) return;
  const double variation = in_.variation();
  if (variation > options_.threshold) wanted_ = true;
  if (variation < options_.threshold * kLeave) wanted_ = false;
  active_ = active_ || wanted_;
  floor_ = in_.mean() / static_cast<double>(RateWindows::kWindow) * (wanted_ ? 1 : kDrain);
  choose_rate();
}

SmootherState Smoother::state(Nanos now) noexcept {
  while (in_.step(now)) judge();
  while (out_.step(now)) {
  }
  return {active_,
          RateWindows::bits_a_second(in_.mean()),
          RateWindows::bits_a_second(static_cast<double>(in_.peak())),
          RateWindows::bits_a_second(static_cast<double>(out_.peak())),
          in_.variation(),
          delay_,
          std::exchange(delay_max_, 0)};
}

}  // namespace sluice::plane
