#include "repair/audience.h"

#include "codec/nack.h"

namespace sluice::repair {

namespace {

/** Receivers known at a time, in sets of which one belongs to one. */
constexpr std::size_t kMembers = 4096;
constexpr std::size_t kSet = 8;
constexpr Nanos kSecond = 1000 * kMillisecond;
constexpr Nanos kIdle = 10 * kSecond;
/** What was counted a second ago counts for so much now. */
constexpr double kStays = 0.75;
/** Fewer packets than that say nothing of a share. */
constexpr double kFewest = 50;
/** More between two reports are no progress but another count. */
constexpr std::uint32_t kMostStep = 1U << 24;

}  // namespace

Audience::Audience() : members_(kMembers) {
  shares_.reserve(kMembers);
}

/** None while its set is full of others that are heard. */
Audience::Member* Audience::member(std::uint64_t receiver, Nanos now) noexcept {
  const std::span<Member> set(
      members_.data() + (receiver * 0x9e3779b97f4a7c15U >> 32) % (kMembers / kSet) * kSet, kSet);
  Member* free = nullptr;
  for (Member& one : set) {
    if (one.used && one.receiver == receiver) {
      one.seen = now;
      return &one;
    }
    if (free == nullptr && (!one.used || now - one.seen > kIdle)) free = &one;
  }
  if (free == nullptr) return nullptr;
  *free = {receiver, now, true};
  return free;
}

void Audience::report(std::uint64_t receiver, const codec::ReportBlock& block, Nanos now) noexcept {
  reports_++;
  if (Member* const one = member(receiver, now)) add(*one, block);
  if (now - looked_ >= kSecond) look(now);
}

void Audience::add(Member& member, const codec::ReportBlock& block) noexcept {
  const std::uint32_t step = block.highest_sequence - member.highest;
  const bool goes_on = member.reported && step < kMostStep;
  if (goes_on) {
    const auto lost =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(std::int64_t{block.lost} - member.lost, 0, step));
    expected_ += step;
    lost_ += lost;
    member.recent_expected += step;
    member.recent_lost += lost;
  }
  member.reported = true;
  member.highest = block.highest_sequence;
  member.lost = block.lost;
}

void Audience::report(std::uint64_t receiver, const codec::LossRuns& runs, Nanos now) noexcept {
  Member* const one = member(receiver, now);
  if (one == nullptr) return;
  one->tells_runs = true;
  for (std::size_t i = 0; i < runs.size(); i++) runs_[i] += runs[i];
}

void Audience::nacked(std::uint64_t receiver, codec::Bytes control, Nanos now) noexcept {
  const Member* const one = member(receiver, now);
  if (one == nullptr || one->tells_runs) return;
  std::uint32_t length = 0;
  std::uint16_t next = 0;
  codec::each_nacked(control, [&](std::uint16_t number) {
    if (length > 0 && number != next) {
      runs_[codec::run_class(length)]++;
      length = 0;
    }
    length++;
    next = static_cast<std::uint16_t>(number + 1);
  });
  if (length > 0) runs_[codec::run_class(length)]++;
}

void Audience::look(Nanos now) noexcept {
  looked_ = now;
  size_ = 0;
  shares_.clear();
  for (Member& one : members_) {
    if (!one.used || now - one.seen > kIdle) continue;
    size_++;
    if (one.recent_expected >= kFewest)
      shares_.push_back(static_cast<std::uint32_t>(one.recent_lost * 1e6 / one.recent_expected));
    one.recent_expected *= kStays;
    one.recent_lost *= kStays;
  }
  tail_loss_ppm_ = 0;
  if (shares_.empty()) return;
  const auto at = shares_.begin() + static_cast<std::ptrdiff_t>((shares_.size() * 19 + 19) / 20 - 1);
  std::nth_element(shares_.begin(), at, shares_.end());
  tail_loss_ppm_ = *at;
}

}  // namespace sluice::repair
