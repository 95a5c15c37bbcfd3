#include "plane/pcr_jitter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::plane {

using kernel::Nanos;

namespace {

constexpr Nanos kFitWindow = 4 * kernel::kSecond;
constexpr Nanos kFigureWindow = kernel::kSecond;
constexpr Nanos kMeasureEvery = 200 * kernel::kMillisecond;
constexpr std::size_t kEnough = 5;
constexpr double kOutlier = 2.5;
/** Two PCRs of one programme are at most this far apart (2.7.2); what is nearer continues however late it
 * comes. */
constexpr std::int64_t kInterval = codec::kSystemClock / 10;
/** With packets lost, PCR and arrival still advance alike. */
constexpr Nanos kLossSlack = kernel::kSecond;

constexpr Nanos to_nanos(std::int64_t ticks) noexcept {
  return ticks * 1000 / 27;
}

bool continues(std::int64_t step, Nanos elapsed) noexcept {
  if (step >= 0 && step <= kInterval) return true;
  return std::abs(to_nanos(step) - elapsed) < kLossSlack && step > 0;
}

}  // namespace

void PcrJitter::reset() noexcept {
  begun_ = false;
  count_ = 0;
  deviation_ = 0;
}

void PcrJitter::begin(const Sample& sample) noexcept {
  reset();
  begun_ = true;
  last_ = sample;
  origin_ = sample.arrival;
  ticks_ = 0;
  ns_per_byte_ = 0;
  measured_at_ = sample.arrival;
}

bool PcrJitter::push(const Sample& sample) noexcept {
  if (!begun_) {
    begin(sample);
    return true;
  }
  const std::int64_t step = codec::pcr_difference(sample.pcr, last_.pcr);
  if (sample.announced || !continues(step, sample.arrival - last_.arrival)) {
    begin(sample);
    return false;
  }
  if (step == 0) return true;
  ticks_ += step;
  ns_per_byte_ = static_cast<double>(to_nanos(step)) / static_cast<double>(sample.position - last_.position);
  last_ = sample;
  add(static_cast<double>(ticks_) * 1000.0 / 27.0 - static_cast<double>(sample.offset) * ns_per_byte_,
      sample.arrival);
  if (sample.arrival - measured_at_ >= kMeasureEvery) measure(sample.arrival);
  return true;
}

void PcrJitter::add(double clock, Nanos arrival) noexcept {
  while (count_ > 0 && (count_ == kPoints || arrival - point(0).arrival > kFitWindow)) {
    first_ = (first_ + 1) % kPoints;
    count_--;
  }
  points_[(first_ + count_++) % kPoints] = {clock, static_cast<double>(arrival - origin_) - clock, arrival};
}

PcrJitter::Line PcrJitter::fit(const Line& line, double limit) const noexcept {
  double n = 0, x = 0, y = 0;
  for (std::size_t i = 0; i < count_; i++) {
    if (std::abs(line.off(point(i))) > limit) continue;
    n += 1;
    x += point(i).clock;
    y += point(i).transit;
  }
  if (n < 1) return line;
  x /= n;
  y /= n;
  double xx = 0, xy = 0;
  for (std::size_t i = 0; i < count_; i++) {
    if (std::abs(line.off(point(i))) > limit) continue;
    const double dx = point(i).clock - x;
    xx += dx * dx;
    xy += dx * (point(i).transit - y);
  }
  const double slope = xx > 0 ? xy / xx : 0;
  return {y - slope * x, slope};
}

double PcrJitter::rms(const Line& line) const noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < count_; i++) sum += line.off(point(i)) * line.off(point(i));
  return std::sqrt(sum / static_cast<double>(count_));
}

void PcrJitter::measure(Nanos now) noexcept {
  measured_at_ = now;
  if (count_ < kEnough) return;
  const Line rough = fit({}, std::numeric_limits<double>::infinity());
  const Line line = fit(rough, std::max(kOutlier * rms(rough), 1.0));
  double largest = 0;
  for (std::size_t i = 0; i < count_; i++) {
    if (now - point(i).arrival <= kFigureWindow) largest = std::max(largest, std::abs(line.off(point(i))));
  }
  deviation_ = static_cast<Nanos>(largest);
}

}  // namespace sluice::plane
