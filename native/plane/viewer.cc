#include "plane/viewer.h"

#include <algorithm>
#include <cstring>

namespace sluice::plane {

using codec::kTsPacketSize;
using http::Body;
using kernel::bump;

namespace {

/** As much as a crowd is told of at once. */
constexpr std::uint64_t kMostPerSend = 2 * kBytePiece;

}  // namespace

FollowerBody::FollowerBody(Stream& stream, std::uint64_t id, Nanos lag)
    : stream_(&stream), id_(id), lag_(lag) {
  if (const AccessPoint* point = stream.newest_access_point()) enter(*point);
  stream.attach(*this);
}

FollowerBody::~FollowerBody() {
  if (stream_ != nullptr) stream_->detach(*this);
}

void FollowerBody::put_first(codec::Bytes bytes) noexcept {
  if (bytes.size() > first_.size() - first_end_) return;
  std::memcpy(first_.data() + first_end_, bytes.data(), bytes.size());
  first_end_ += bytes.size();
}

void FollowerBody::enter(const AccessPoint& point) noexcept {
  position_ = point.position;
  if (!point.tables_in_place) put_first({point.psi.bytes.data(), point.psi.size});
}

void FollowerBody::skip_if_late() noexcept {
  if (!overtaken() && position_ >= stream_->edge_before(lag_)) return;
  const AccessPoint* point = stream_->newest_access_point();
  if (point == nullptr || point->position <= position_) return;
  bump(stream_->counters().viewer_drops);
  bump(stream_->counters().viewer_drop_bytes, point->position - position_);
  drops_++;
  keep_rest_of_packet();
  enter(*point);
}

/** Of what waits in first_, tables not yet begun are overtaken by those of the new point; a packet begun is
 * finished. */
void FollowerBody::keep_rest_of_packet() noexcept {
  const std::size_t rest = packet_sent_ > 0 ? kTsPacketSize - packet_sent_ : 0;
  const std::size_t kept = std::min(rest, first_end_ - first_begin_);
  std::memmove(first_.data(), first_.data() + first_begin_, kept);
  first_begin_ = 0;
  first_end_ = kept;
}

Body::Piece FollowerBody::peek() noexcept {
  if (stream_ == nullptr) return {Next::broken, {}};
  skip_if_late();
  if (first_begin_ < first_end_)
    return {Next::bytes, {first_.data() + first_begin_, first_end_ - first_begin_}};
  const std::uint64_t edge = stream_->edge();
  if (position_ >= edge || overtaken()) return {Next::wait, {}};
  return {Next::bytes, {stream_->ring().at(position_), std::min(edge - position_, kMostPerSend)}};
}

void FollowerBody::consume(std::size_t n) noexcept {
  if (n == 0 || stream_ == nullptr) return;
  packet_sent_ = (packet_sent_ + n) % kTsPacketSize;
  if (first_begin_ < first_end_) {
    first_begin_ += n;
    if (first_begin_ == first_end_) first_begin_ = first_end_ = 0;
    return;
  }
  position_ += n;
  if (packet_sent_ == 0) return;
  // The packet begun is kept apart: the ring may be elsewhere when the viewer reads on.
  const std::size_t rest = kTsPacketSize - packet_sent_;
  put_first({stream_->ring().at(position_), rest});
  position_ += rest;
}

std::optional<http::FollowerState> FollowerBody::follower() const noexcept {
  if (stream_ == nullptr) return std::nullopt;
  return http::FollowerState{
      id_, drops_,
      stream_->ring().released_position() - std::min(position_, stream_->ring().released_position())};
}

void FollowerBody::on_bytes() noexcept {
  if (listener_ != nullptr) listener_->on_answer_progress();
}

void FollowerBody::on_stream_gone() noexcept {
  stream_ = nullptr;
  if (listener_ != nullptr) listener_->on_answer_progress();
}

SegmentBody::SegmentBody(Stream& stream, const Segment& segment)
    : stream_(&stream), segment_(segment), position_(segment.begin) {
  stream.hold(*this);
}

SegmentBody::~SegmentBody() {
  if (stream_ != nullptr) stream_->let_go(*this);
}

Body::Piece SegmentBody::peek() noexcept {
  if (stream_ == nullptr) return {Next::broken, {}};
  if (position_ == segment_.end) return {Next::end, {}};
  if (position_ < stream_->ring().oldest_position()) {
    bump(stream_->counters().segment_overruns);
    return {Next::broken, {}};
  }
  if (psi_sent_ < segment_.psi.size)
    return {Next::bytes, {segment_.psi.bytes.data() + psi_sent_, segment_.psi.size - psi_sent_}};
  return {Next::bytes, {stream_->ring().at(position_), std::min(segment_.end - position_, kBytePiece)}};
}

void SegmentBody::consume(std::size_t n) noexcept {
  if (psi_sent_ < segment_.psi.size)
    psi_sent_ += n;
  else
    position_ += n;
}

}  // namespace sluice::plane
