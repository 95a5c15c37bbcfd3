#include "repair/parity_encoder.h"

#include <utility>

namespace sluice::repair {

ParityEncoder::ParityEncoder(const ParityOptions& options)
    : options_(options),
      size_(options.columns * options.rows),
      filling_(options.columns),
      full_(options.columns),
      released_(options.columns) {}

void ParityEncoder::begin(std::int64_t sequence) noexcept {
  base_ = sequence;
  taken_ = 0;
  for (ParitySum& sum : filling_) sum.clear();
  row_.clear();
}

void ParityEncoder::push(const ProtectedPacket& packet, ParityOutput& output) noexcept {
  release(output);
  if (packet.body.size() > kMostBody) return flush(output);
  if (taken_ == 0 || packet.sequence != base_ + taken_) begin(packet.sequence);
  const unsigned column = taken_ % options_.columns;
  if (options_.row_parity) {
    ParitySum::add(filling_[column], row_, packet);
  } else {
    filling_[column].add(packet);
  }
  taken_++;
  if (options_.row_parity && column + 1 == options_.columns) {
    const auto first = static_cast<std::uint16_t>(base_ + taken_ - options_.columns);
    hand_out(row_, {first, 1, static_cast<std::uint8_t>(options_.columns), true}, output);
    row_.clear();
  }
  if (taken_ < size_) return;
  while (released_ < options_.columns) release(output);
  std::swap(filling_, full_);
  full_base_ = base_;
  released_ = 0;
  taken_ = 0;
}

void ParityEncoder::flush(ParityOutput& output) noexcept {
  while (released_ < options_.columns) release(output);
  taken_ = 0;
}

/** The next column of the full matrix. */
void ParityEncoder::release(ParityOutput& output) noexcept {
  if (released_ == options_.columns) return;
  const auto first = static_cast<std::uint16_t>(full_base_ + released_);
  const auto columns = static_cast<std::uint8_t>(options_.columns);
  hand_out(full_[released_], {first, columns, static_cast<std::uint8_t>(options_.rows), false}, output);
  released_++;
}

void ParityEncoder::hand_out(const ParitySum& sum, const codec::ParityScope& scope,
                             ParityOutput& output) const noexcept {
  const ParityFields& fields = sum.fields();
  output.on_parity({scope, fields.flags, fields.type, fields.length, fields.timestamp, sum.bytes()});
}

}  // namespace sluice::repair
