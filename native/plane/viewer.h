// How viewers read a ring: continuously from an access point, or one segment.
#pragma once

#include <array>

#include "http/body.h"
#include "plane/stream.h"

namespace sluice::plane {

/**
 * Continuous MPEG-TS: the tables, then everything from the newest access point on. A viewer that is overtaken
 * by the ring, or is later than `lag`, finishes the TS packet it is in and goes on at the newest access
 * point.
 */
class FollowerBody final : public http::Body, private ByteReader {
 public:
  /** The stream has an access point. */
  FollowerBody(Stream& stream, std::uint64_t id, Nanos lag);
  ~FollowerBody() override;

  Piece peek() noexcept override;
  void consume(std::size_t n) noexcept override;
  void listen(http::AnswerListener& listener) noexcept override { listener_ = &listener; }
  [[nodiscard]] std::optional<http::FollowerState> follower() const noexcept override;

 private:
  void on_bytes() noexcept override;
  void on_stream_gone() noexcept override;
  void enter(const AccessPoint& point) noexcept;
  void skip_if_late() noexcept;
  void put_first(codec::Bytes bytes) noexcept;
  void keep_rest_of_packet() noexcept;
  /** The ring has passed the position, and there is no later access point yet. */
  [[nodiscard]] bool overtaken() const noexcept { return position_ < stream_->ring().oldest_position(); }

  Stream* stream_;
  const std::uint64_t id_;
  const Nanos lag_;
  http::AnswerListener* listener_ = nullptr;
  std::uint64_t position_ = 0;
  std::uint64_t drops_ = 0;
  /** Sent before what the ring holds: the rest of a TS packet, then tables. */
  std::array<std::uint8_t, (PsiPackets::kMaxPackets + 1) * codec::kTsPacketSize> first_{};
  std::size_t first_begin_ = 0;
  std::size_t first_end_ = 0;
  /** Bytes of the TS packet in sending that are already out. */
  std::size_t packet_sent_ = 0;
};

/** One HLS segment: its tables, then a range of the ring. Broken when the ring passes the reader. */
class SegmentBody final : public http::Body, private ByteReader {
 public:
  SegmentBody(Stream& stream, const Segment& segment);
  ~SegmentBody() override;

  Piece peek() noexcept override;
  void consume(std::size_t n) noexcept override;
  void listen(http::AnswerListener&) noexcept override {}

 private:
  void on_bytes() noexcept override {}
  void on_stream_gone() noexcept override { stream_ = nullptr; }

  Stream* stream_;
  const Segment segment_;
  std::size_t psi_sent_ = 0;
  std::uint64_t position_;
};

}  // namespace sluice::plane
