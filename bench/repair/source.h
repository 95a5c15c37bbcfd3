// The media of the model, and who sends it again.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "codec/nack.h"
#include "codec/retransmission.h"
#include "codec/rtcp.h"
#include "repair/budget.h"

namespace sluice::bench {

using codec::Bytes;
using repair::Nanos;

constexpr std::uint32_t kMediaSsrc = 0xcafe;
constexpr std::uint8_t kMediaType = 33;
constexpr std::uint8_t kResendType = 97;
/** Numbers begin here: they wrap soon. */
constexpr std::int64_t kFirstNumber = 60'000;
constexpr std::size_t kPayload = 7 * 188;
constexpr std::size_t kDatagram = codec::kRtpHeaderSize + kPayload;

/** The last packets of a stream of TS, each of bytes of its own. */
class Media {
 public:
  Media() : bytes_(kKept * kDatagram) {}

  /** The next packet, which is `index`. */
  void make(std::int64_t index) {
    std::uint8_t* const out = bytes_.data() + offset(index);
    const auto number = static_cast<std::uint16_t>(kFirstNumber + index);
    codec::write_rtp_header({false, kMediaType, number, static_cast<std::uint32_t>(index * 118), kMediaSsrc},
                            out);
    std::uint64_t word = static_cast<std::uint64_t>(index) * 0x9e3779b97f4a7c15U;
    std::uint8_t* const payload = out + codec::kRtpHeaderSize;
    for (std::size_t i = 0; i + sizeof word <= kPayload; i += sizeof word) {
      std::memcpy(payload + i, &word, sizeof word);
      word = word * 0xd1342543de82ef95U + 1;
    }
    for (std::size_t i = 0; i < kPayload; i += 188) {
      payload[i] = 0x47;
      payload[i + 1] &= 0x7f;
    }
    next_ = index + 1;
  }
  [[nodiscard]] Bytes datagram(std::int64_t index) const {
    return {bytes_.data() + offset(index), kDatagram};
  }
  [[nodiscard]] std::int64_t next() const noexcept { return next_; }
  /** The newest with this number; before the first where it is not kept any more. */
  [[nodiscard]] std::int64_t find(std::uint16_t number) const noexcept {
    const auto last = static_cast<std::uint16_t>(kFirstNumber + next_ - 1);
    const auto back = static_cast<std::uint16_t>(last - number);
    return back < kKept ? next_ - 1 - back : -1;
  }

 private:
  static constexpr std::int64_t kKept = 2048;
  static std::size_t offset(std::int64_t index) {
    return static_cast<std::size_t>(index % kKept) * kDatagram;
  }
  std::vector<std::uint8_t> bytes_;
  std::int64_t next_ = 0;
};

/** What the daemon's retransmission server answers, with its bytes and its default budget for one receiver.
 */
class Resender {
 public:
  /** `rate` is the media's, in bytes of payload a second. */
  Resender(const Media& media, std::uint64_t rate) : media_(media), budget_(rate / 2, rate / 2) {}

  /** Calls `send` with each retransmission that a compound of RTCP asks for. */
  template <typename F>
  void on_feedback(Bytes datagram, Nanos now, F&& send) {
    const auto compound = codec::RtcpCompound::parse(datagram);
    if (!compound) return;
    for (const codec::RtcpPacket& packet : *compound) {
      const auto feedback = codec::feedback_packet(packet);
      if (!feedback || feedback->format != codec::rtcp_feedback::kNack || feedback->media != kMediaSsrc)
        continue;
      codec::each_nacked(feedback->control, [&](std::uint16_t number) { resend(number, now, send); });
    }
  }

 private:
  template <typename F>
  void resend(std::uint16_t number, Nanos now, F&& send) {
    const std::int64_t index = media_.find(number);
    if (index < 0) return;
    std::array<std::uint8_t, kDatagram + codec::kOriginalNumberSize> out;
    if (!budget_.take(out.size(), now)) return;
    const Bytes original = media_.datagram(index);
    codec::write_retransmission_header(original.data(), kMediaSsrc, kResendType, sequence_++, out.data());
    codec::store16(out.data() + codec::kRtpHeaderSize, number);
    std::memcpy(out.data() + codec::kRtpHeaderSize + codec::kOriginalNumberSize,
                original.data() + codec::kRtpHeaderSize, kPayload);
    send(Bytes(out));
  }

  const Media& media_;
  repair::Budget budget_;
  std::uint16_t sequence_ = 0;
};

}  // namespace sluice::bench
