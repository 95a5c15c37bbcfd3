#include "plane/acquisition_client.h"

#include <algorithm>

namespace sluice::plane {

namespace {

/** RAMS-T may be lost: as long as the burst goes on all the same, it is said again. */
constexpr unsigned kMostTerminations = 5;
constexpr Nanos kTerminationPause = 50 * kernel::kMillisecond;

}  // namespace

bool AcquisitionClient::asks(Nanos now) const noexcept {
  return !joined_ && !first_ && !accepted_ && !over_ && now >= ask_at_;
}

void AcquisitionClient::on_information(const codec::rams::Information& information) noexcept {
  using codec::rams::Response;
  response_ = information.response;
  const auto response = static_cast<Response>(information.response);
  if (response == Response::accepted || response == Response::updated) {
    accepted_ = true;
    if (information.earliest_join) earliest_join_ = *information.earliest_join * kernel::kMillisecond;
  } else {
    over_ = true;
    unknown_ = information.response < 100 || information.response >= 600;
  }
}

void AcquisitionClient::on_burst(std::int64_t sequence, Nanos now) noexcept {
  if (!first_) first_ = now;
  last_ = now;
  burst_next_ = std::max(burst_next_, sequence + 1);
}

void AcquisitionClient::on_multicast(std::int64_t sequence) noexcept {
  if (joined_ && !multicast_) multicast_ = sequence;
}

Nanos AcquisitionClient::join_at() const noexcept {
  if (over_) return began_;
  if (!first_) return began_ + kPatience;
  return std::min(*first_ + (accepted_ ? earliest_join_ : kUntold), last_ + kSilence);
}

bool AcquisitionClient::joins(Nanos now) const noexcept {
  return !joined_ && now >= join_at();
}

bool AcquisitionClient::terminates(Nanos now) const noexcept {
  if (unknown_ && terminations_ == 0) return true;
  if (!multicast_ || over_ || !(first_ || accepted_)) return false;
  if (terminations_ == 0) return true;
  return terminations_ < kMostTerminations && now >= terminate_at_ && burst_next_ > *multicast_ &&
         now - last_ < kTerminationPause;
}

void AcquisitionClient::terminated(Nanos now) noexcept {
  terminations_++;
  terminate_at_ = now + kTerminationPause;
}

bool AcquisitionClient::fills(Nanos now) const noexcept {
  if (over_ || (joined_ && (!first_ || now - last_ >= kSilence))) return false;
  if (!first_ && !accepted_) return false;
  return !multicast_ || burst_next_ < *multicast_;
}

AcquisitionClient::State AcquisitionClient::state(Nanos now) const noexcept {
  if (!joined_) return first_ || accepted_ ? State::bursting : State::asking;
  return fills(now) || (!multicast_ && !over_) ? State::joined : State::done;
}

std::optional<Nanos> AcquisitionClient::due(Nanos now, bool can_ask) const noexcept {
  const bool asking = can_ask && !first_ && !accepted_ && !over_;
  if (!joined_) return asking ? std::min(ask_at_, join_at()) : join_at();
  if (fills(now)) return last_ + kSilence;
  return std::nullopt;
}

}  // namespace sluice::plane
