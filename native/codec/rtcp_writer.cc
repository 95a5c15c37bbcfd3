#include "codec/rtcp_writer.h"

#include <algorithm>
#include <cstring>

namespace sluice::codec {

namespace {

constexpr std::size_t kMostWords = 0xffff;

std::uint8_t* put(Bytes bytes, std::uint8_t* p) noexcept {
  return std::copy(bytes.begin(), bytes.end(), p);
}

std::uint8_t* put(std::string_view text, std::uint8_t* p) noexcept {
  return std::copy(text.begin(), text.end(), p);
}

std::uint8_t* put(std::span<const ReportBlock> blocks, std::uint8_t* p) noexcept {
  for (const ReportBlock& block : blocks) {
    store_report_block(block, p);
    p += kRtcpReportBlockSize;
  }
  return p;
}

}  // namespace

/** Writes the header of a packet with `body` bytes, rounded up to words and zeroed; null when it does not
 * fit. */
std::uint8_t* RtcpWriter::begin(std::uint8_t type, std::size_t count, std::size_t body) noexcept {
  const std::size_t words = (body + 3) / 4;
  const std::size_t size = kRtcpHeaderSize + 4 * words;
  if (count > kMostReportBlocks || words > kMostWords || size > out_.size() - size_) return nullptr;
  std::uint8_t* p = out_.data() + size_;
  p[0] = static_cast<std::uint8_t>(0x80 | count);
  p[1] = type;
  store16(p + 2, static_cast<std::uint16_t>(words));
  std::memset(p + kRtcpHeaderSize, 0, 4 * words);
  size_ += size;
  return p + kRtcpHeaderSize;
}

bool RtcpWriter::sender_report(std::uint32_t ssrc, const SenderInfo& info,
                               std::span<const ReportBlock> blocks) noexcept {
  std::uint8_t* p = begin(rtcp_type::kSenderReport, blocks.size(),
                          4 + kRtcpSenderInfoSize + blocks.size() * kRtcpReportBlockSize);
  if (p == nullptr) return false;
  store32(p, ssrc);
  store32(p + 4, static_cast<std::uint32_t>(info.ntp >> 32));
  store32(p + 8, static_cast<std::uint32_t>(info.ntp));
  store32(p + 12, info.timestamp);
  store32(p + 16, info.packets);
  store32(p + 20, info.octets);
  put(blocks, p + 24);
  return true;
}

bool RtcpWriter::receiver_report(std::uint32_t ssrc, std::span<const ReportBlock> blocks) noexcept {
  std::uint8_t* p =
      begin(rtcp_type::kReceiverReport, blocks.size(), 4 + blocks.size() * kRtcpReportBlockSize);
  if (p == nullptr) return false;
  store32(p, ssrc);
  put(blocks, p + 4);
  return true;
}

bool RtcpWriter::cname(std::uint32_t ssrc, std::string_view name) noexcept {
  if (name.size() > kMostRtcpText) return false;
  // The item's end takes a byte at least (RFC 3550 section 6.5).
  std::uint8_t* p = begin(rtcp_type::kSourceDescription, 1, 4 + 2 + name.size() + 1);
  if (p == nullptr) return false;
  store32(p, ssrc);
  p[4] = sdes_item::kCname;
  p[5] = static_cast<std::uint8_t>(name.size());
  put(name, p + 6);
  return true;
}

bool RtcpWriter::description(std::uint32_t ssrc, Bytes items) noexcept {
  return packet(rtcp_type::kSourceDescription, 1, ssrc, items);
}

bool RtcpWriter::bye(std::uint32_t ssrc, std::string_view reason) noexcept {
  if (reason.size() > kMostRtcpText) return false;
  std::uint8_t* p = begin(rtcp_type::kBye, 1, 4 + (reason.empty() ? 0 : 1 + reason.size()));
  if (p == nullptr) return false;
  store32(p, ssrc);
  if (reason.empty()) return true;
  p[4] = static_cast<std::uint8_t>(reason.size());
  put(reason, p + 5);
  return true;
}

bool RtcpWriter::packet(std::uint8_t type, std::uint8_t count, std::uint32_t ssrc, Bytes rest) noexcept {
  if (rest.size() % 4 != 0) return false;
  std::uint8_t* p = begin(type, count, 4 + rest.size());
  if (p == nullptr) return false;
  store32(p, ssrc);
  put(rest, p + 4);
  return true;
}

bool RtcpWriter::feedback(std::uint8_t type, std::uint8_t format, std::uint32_t sender, std::uint32_t media,
                          Bytes control) noexcept {
  if (control.size() % 4 != 0) return false;
  std::uint8_t* p = begin(type, format, 8 + control.size());
  if (p == nullptr) return false;
  store32(p, sender);
  store32(p + 4, media);
  put(control, p + 8);
  return true;
}

}  // namespace sluice::codec
