// RTCP compound packets (RFC 3550 section 6, RFC 4585 section 6.1, RFC 3611), read without copying.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |V=2|P|  count  |      PT       | length: 32-bit words, less 1  |   count: report blocks, chunks,
//   sources,
//   +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+   subtype or FMT
//   |                     SSRC of the one who sends                 |
//   +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//   |              NTP timestamp, most significant word             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |             NTP timestamp, least significant word             |   sender information: SR only
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         RTP timestamp                         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                     sender's packet count                     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      sender's octet count                     |
//   +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//   |                SSRC of the source that it is about            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   | fraction lost |       cumulative number of packets lost       |   report block: SR and RR, `count`
//   times
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |           extended highest sequence number received           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      interarrival jitter                      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         last SR (LSR)                         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                   delay since last SR (DLSR)                  |
//   +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
#pragma once

#include <optional>

#include "codec/bytes.h"

namespace sluice::codec {

constexpr std::size_t kRtcpHeaderSize = 4;
constexpr std::size_t kRtcpSenderInfoSize = 20;
constexpr std::size_t kRtcpReportBlockSize = 24;
/** What five bits of count can tell. */
constexpr std::size_t kMostReportBlocks = 31;

/** Packet types (RFC 3550 section 12.1, RFC 4585, RFC 3611, RFC 6284). Others exist and are passed through.
 */
namespace rtcp_type {
constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;
constexpr std::uint8_t kBye = 203;
constexpr std::uint8_t kApplication = 204;
constexpr std::uint8_t kTransportFeedback = 205;
constexpr std::uint8_t kPayloadFeedback = 206;
constexpr std::uint8_t kExtendedReport = 207;
constexpr std::uint8_t kToken = 210;
}  // namespace rtcp_type

/** Kinds of feedback, FMT (RFC 4585 sections 6.2 and 6.3, RFC 5104 section 4.3). */
namespace rtcp_feedback {
constexpr std::uint8_t kNack = 1;                  // transport
constexpr std::uint8_t kPictureLoss = 1;           // payload
constexpr std::uint8_t kSliceLoss = 2;             // payload
constexpr std::uint8_t kReferencePicture = 3;      // payload
constexpr std::uint8_t kFullIntra = 4;             // payload
constexpr std::uint8_t kApplicationFeedback = 15;  // payload
}  // namespace rtcp_feedback

/** Items of a source description (RFC 3550 section 6.5). */
namespace sdes_item {
constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kCname = 1;
}  // namespace sdes_item

/** Payload types that RTP must not use where RTCP shares its port (RFC 5761 section 4): with the marker they
 * look like RTCP's types 192 to 223. */
constexpr bool collides_with_rtcp(std::uint8_t payload_type) noexcept {
  return payload_type >= 64 && payload_type <= 95;
}

/** Tells RTCP from RTP on one port (RFC 5761 section 4): the type stands where RTP has marker and payload
 * type. */
constexpr bool is_rtcp(Bytes datagram) noexcept {
  return datagram.size() >= kRtcpHeaderSize && datagram[0] >> 6 == 2 && datagram[1] >= 192 &&
         datagram[1] <= 223;
}

/** One packet of a compound; points into the datagram. */
struct RtcpPacket {
  /** Number of blocks, chunks or sources; subtype; or FMT. */
  std::uint8_t count = 0;
  std::uint8_t type = 0;
  /** Behind the first four bytes, without padding. */
  Bytes body;

  /** SSRC of the one who sends; 0 for what has none (SDES, BYE and types unknown have their own views). */
  [[nodiscard]] std::uint32_t ssrc() const noexcept { return body.size() < 4 ? 0 : load32(body.data()); }
  [[nodiscard]] bool is_report() const noexcept {
    return type == rtcp_type::kSenderReport || type == rtcp_type::kReceiverReport;
  }
};

/** Whether a datagram must begin with a report (RFC 3550 section 6.1) or need not (RFC 5506). */
enum class RtcpForm : std::uint8_t { full, reduced_too };

/**
 * A datagram of RTCP whose every length has been checked (RFC 3550 A.2, and the contents of the types known
 * here): what its packets are read with below does not reach past their ends.
 */
class RtcpCompound {
 public:
  class Iterator {
   public:
    explicit Iterator(Bytes rest) noexcept : rest_(rest) {}
    RtcpPacket operator*() const noexcept;
    Iterator& operator++() noexcept;
    bool operator==(const Iterator& other) const noexcept { return rest_.size() == other.rest_.size(); }

   private:
    Bytes rest_;
  };

  /** None for what is not whole. It points into `datagram`. */
  static std::optional<RtcpCompound> parse(Bytes datagram, RtcpForm form = RtcpForm::full) noexcept;
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(bytes_); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(bytes_.last(0)); }
  [[nodiscard]] Bytes bytes() const noexcept { return bytes_; }

 private:
  explicit RtcpCompound(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;
};

/** What a sender says of itself (RFC 3550 section 6.4.1). */
struct SenderInfo {
  /** Wall clock, 32.32 seconds since 1900 (codec/ntp.h). */
  std::uint64_t ntp = 0;
  /** The same moment on the RTP clock. */
  std::uint32_t timestamp = 0;
  std::uint32_t packets = 0;
  /** Of payload, without headers and padding. */
  std::uint32_t octets = 0;
};

/** What a receiver says of one source (RFC 3550 section 6.4.1). */
struct ReportBlock {
  std::uint32_t ssrc = 0;
  /** Of 256, since the report before. */
  std::uint8_t fraction_lost = 0;
  /** Since it began, -2^23 to 2^23-1; negative where duplicates came. */
  std::int32_t lost = 0;
  std::uint32_t highest_sequence = 0;
  /** In units of the RTP clock. */
  std::uint32_t jitter = 0;
  /** Middle 32 bits of the NTP timestamp of the last SR, 0 before one came. */
  std::uint32_t last_report = 0;
  /** Since that came, 1/65536 s. */
  std::uint32_t delay = 0;
};

/** None when the packet is not an SR. */
std::optional<SenderInfo> sender_info(const RtcpPacket& packet) noexcept;
/** Blocks of an SR or RR, 0 for other types. */
std::size_t report_block_count(const RtcpPacket& packet) noexcept;
/** `index` is below report_block_count(). */
ReportBlock report_block(const RtcpPacket& packet, std::size_t index) noexcept;
ReportBlock load_report_block(const std::uint8_t* p) noexcept;
/** `lost` outside its 24 bits is clamped. */
void store_report_block(const ReportBlock& block, std::uint8_t* p) noexcept;

/** One item of a source description. */
struct SdesItem {
  std::uint8_t type = 0;
  /** UTF-8, not terminated, up to 255 bytes. */
  Bytes text;
};

/** What is said of one source (RFC 3550 section 6.5); items are read in turn. */
class SdesChunk {
 public:
  SdesChunk(std::uint32_t ssrc, Bytes items) noexcept : ssrc_(ssrc), items_(items) {}
  [[nodiscard]] std::uint32_t ssrc() const noexcept { return ssrc_; }
  /** All items, with the zero bytes that fill the last word. */
  [[nodiscard]] Bytes items() const noexcept { return items_; }
  /** The first item of a type; none when there is none. */
  [[nodiscard]] std::optional<SdesItem> item(std::uint8_t type) const noexcept;

 private:
  std::uint32_t ssrc_;
  Bytes items_;
};

/** The chunks of an SDES packet in turn; none at all for other types. */
class SdesChunks {
 public:
  explicit SdesChunks(const RtcpPacket& packet) noexcept;
  /** None behind the last. */
  std::optional<SdesChunk> next() noexcept;

 private:
  Bytes rest_;
  std::size_t left_;
};

/** Sources that leave, 0 for other types (RFC 3550 section 6.6). */
std::size_t bye_count(const RtcpPacket& packet) noexcept;
/** `index` is below bye_count(). */
std::uint32_t bye_source(const RtcpPacket& packet, std::size_t index) noexcept;
/** Empty when none is given. */
Bytes bye_reason(const RtcpPacket& packet) noexcept;

/** APP (RFC 3550 section 6.7). */
struct ApplicationPacket {
  std::uint8_t subtype = 0;
  std::uint32_t ssrc = 0;
  /** Four bytes of ASCII. */
  Bytes name;
  Bytes data;
};
/** None when the packet is not an APP. */
std::optional<ApplicationPacket> application_packet(const RtcpPacket& packet) noexcept;

/** RTPFB or PSFB (RFC 4585 section 6.1). */
struct FeedbackPacket {
  std::uint8_t format = 0;
  std::uint32_t sender = 0;
  std::uint32_t media = 0;
  /** Feedback control information. */
  Bytes control;
};
/** None when the packet is neither. */
std::optional<FeedbackPacket> feedback_packet(const RtcpPacket& packet) noexcept;

}  // namespace sluice::codec
