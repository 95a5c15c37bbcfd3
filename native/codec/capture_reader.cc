#include "codec/capture_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <limits>

namespace sluice::codec {

namespace {

constexpr std::size_t kBlockFrame = 12;
constexpr std::size_t kPacketBlockHead = 28;
constexpr std::uint64_t kNanos = 1'000'000'000;
__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

std::uint64_t power_of_ten(unsigned exponent) noexcept {
  std::uint64_t power = 1;
  for (; exponent > 0; exponent--) power *= 10;
  return power;
}

std::int64_t clamped(SignedWide ns) noexcept {
  using Limits = std::numeric_limits<std::int64_t>;
  return static_cast<std::int64_t>(std::clamp<SignedWide>(ns, Limits::min(), Limits::max()));
}

}  // namespace

std::string CaptureDamage::text() const {
  return "at byte " + std::to_string(offset) + ": expected " + expected + ", got " + got.data();
}

CaptureReader::Step CaptureReader::next(Bytes& window, bool last, CapturePacket& out) noexcept {
  window_ = window;
  last_ = last;
  Taken step;
  while (!step) {
    if (damage_)
      step = Step::damage;
    else if (format_ == Format::unknown)
      step = read_begin();
    else
      step = format_ == Format::pcap ? read_record(out) : read_block(out);
  }
  window = window_;
  return *step;
}

std::uint16_t CaptureReader::half(std::size_t at) const noexcept {
  const std::uint16_t v = load16(window_.data() + at);
  return big_endian_ ? v : __builtin_bswap16(v);
}

std::uint32_t CaptureReader::word(std::size_t at) const noexcept {
  const std::uint32_t v = load32(window_.data() + at);
  return big_endian_ ? v : __builtin_bswap32(v);
}

void CaptureReader::consume(std::size_t size) noexcept {
  window_ = window_.subspan(size);
  offset_ += size;
}

CaptureReader::Step CaptureReader::fail(std::size_t at, const char* expected, const char* format,
                                        std::uint64_t a, std::uint64_t b) noexcept {
  CaptureDamage damage;
  damage.offset = offset_ + at;
  damage.expected = expected;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(damage.got.data(), damage.got.size(), format, a, b);
#pragma GCC diagnostic pop
  damage_ = damage;
  return Step::damage;
}

/** What to answer while the window is shorter than `size`; none when it is not. */
CaptureReader::Taken CaptureReader::lack(std::size_t size, const char* what) noexcept {
  if (window_.size() >= size) return std::nullopt;
  if (last_) return fail(0, what, "the end of the file after %" PRIu64 " bytes", window_.size());
  needed_ = size;
  return Step::more;
}

CaptureReader::Taken CaptureReader::read_begin() noexcept {
  if (const Taken short_of = lack(4, "a file header of at least 24 bytes")) return short_of;
  const std::uint32_t magic = load32(window_.data());
  if (magic != kBlockSection) return read_file_header(magic);
  format_ = Format::pcapng;
  return std::nullopt;
}

CaptureReader::Taken CaptureReader::read_file_header(std::uint32_t magic) noexcept {
  big_endian_ = magic == kPcapMicroseconds || magic == kPcapNanoseconds;
  nanoseconds_ = magic == kPcapNanoseconds || magic == __builtin_bswap32(kPcapNanoseconds);
  if (!big_endian_ && !nanoseconds_ && magic != __builtin_bswap32(kPcapMicroseconds)) {
    return fail(0,
                "the magic number of a pcap (a1b2c3d4 or a1b23c4d in either byte order) or pcapng (0a0d0d0a) "
                "file",
                "%08" PRIx64, magic);
  }
  if (const Taken short_of = lack(kPcapFileHeader, "a file header of 24 bytes")) return short_of;
  const std::uint16_t major = half(4);
  const std::uint16_t minor = half(6);
  if (major != 2 || minor != 4) return fail(4, "format version 2.4", "%" PRIu64 ".%" PRIu64, major, minor);
  // The upper bits tell of a frame check sequence at the end of each packet; IP's own length makes it
  // harmless.
  interfaces_[0].link_type = word(20) & 0x03ffffff;
  interface_count_ = 1;
  format_ = Format::pcap;
  consume(kPcapFileHeader);
  return std::nullopt;
}

CaptureReader::Step CaptureReader::read_record(CapturePacket& out) noexcept {
  if (window_.empty() && last_) return Step::end;
  if (const Taken short_of = lack(kPcapRecordHeader, "a record header of 16 bytes")) return *short_of;
  const std::uint32_t fraction = word(4);
  const std::uint32_t captured = word(8);
  if (fraction >= (nanoseconds_ ? 1'000'000'000U : 1'000'000U))
    return fail(4, "a fraction of a second", "%" PRIu64, fraction);
  if (captured > kMaxCaptured)
    return fail(8, "a captured length of at most 262144 bytes", "%" PRIu64, captured);
  if (last_ && captured > window_.size() - kPcapRecordHeader) {
    return fail(8, "a packet that ends before the file does", "%" PRIu64 " bytes announced, %" PRIu64 " left",
                captured, window_.size() - kPcapRecordHeader);
  }
  if (const Taken short_of = lack(kPcapRecordHeader + captured, "a whole packet")) return *short_of;
  out.time_ns = std::int64_t{word(0)} * 1'000'000'000 + std::int64_t{fraction} * (nanoseconds_ ? 1 : 1000);
  out.timed = true;
  out.offset = offset_;
  out.link_type = interfaces_[0].link_type;
  out.interface = 0;
  out.original_length = word(12);
  out.data = window_.subspan(kPcapRecordHeader, captured);
  consume(kPcapRecordHeader + captured);
  return Step::packet;
}

CaptureReader::Taken CaptureReader::read_block(CapturePacket& out) noexcept {
  if (skip_ > 0 || trailer_ != 0) return finish_skipping();
  if (window_.empty() && last_) return Step::end;
  if (const Taken short_of = lack(kBlockFrame, "a block of at least 12 bytes")) return short_of;
  const std::uint32_t type = word(0);
  // The type of a section header reads the same in both byte orders, so it is known before the order is.
  if (type == kBlockSection) return read_section();
  const std::uint32_t length = word(4);
  if (length < kBlockFrame || length % 4 != 0)
    return fail(4, "the length of a block: 12 or more, a multiple of 4", "%" PRIu64, length);
  switch (type) {
    case kBlockInterface:
      return read_interface(length);
    case kBlockPacket:
    case kBlockPacketObsolete:
      return read_packet(type, length, out);
    case kBlockSimplePacket:
      return read_simple_packet(length, out);
    default:
      skip_block(8, length);
      return std::nullopt;
  }
}

/** Takes `head` bytes off that were looked at, and lets the rest of the block be passed over. */
void CaptureReader::skip_block(std::size_t head, std::size_t length) noexcept {
  consume(head);
  skip_ = length - head - 4;
  trailer_ = static_cast<std::uint32_t>(length);
}

CaptureReader::Taken CaptureReader::finish_skipping() noexcept {
  const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, window_.size()));
  consume(step);
  skip_ -= step;
  if (skip_ > 0) {
    if (last_) return fail(0, "the rest of a block", "the end of the file, %" PRIu64 " bytes early", skip_);
    needed_ = 1;
    return Step::more;
  }
  if (const Taken short_of = lack(4, "the length of the block at its end")) return short_of;
  if (word(0) != trailer_)
    return fail(0, "the length of the block again at its end", "%" PRIu64 " in place of %" PRIu64, word(0),
                trailer_);
  trailer_ = 0;
  consume(4);
  return std::nullopt;
}

/** byte-order magic(32) major(16) minor(16) section length(64) */
CaptureReader::Taken CaptureReader::read_section() noexcept {
  if (const Taken short_of = lack(kPacketBlockHead, "a section header of 28 bytes")) return short_of;
  const std::uint32_t magic = load32(window_.data() + 8);
  if (magic != kByteOrderMagic && magic != __builtin_bswap32(kByteOrderMagic))
    return fail(8, "the byte order of a section (1a2b3c4d or 4d3c2b1a)", "%08" PRIx64, magic);
  big_endian_ = magic == kByteOrderMagic;
  const std::uint32_t length = word(4);
  if (length < kPacketBlockHead || length % 4 != 0)
    return fail(4, "the length of a section header: 28 or more, a multiple of 4", "%" PRIu64, length);
  if (half(12) != 1) return fail(12, "pcapng version 1", "%" PRIu64 ".%" PRIu64, half(12), half(14));
  interface_count_ = 0;
  skip_block(kPacketBlockHead - 4, length);
  return std::nullopt;
}

/** Wants a block in the window from its begin to its end, and its length there again. */
CaptureReader::Taken CaptureReader::whole_block(std::size_t length, std::size_t least,
                                                const char* what) noexcept {
  if (length < least || length > kMostNeeded) return fail(4, what, "%" PRIu64, length);
  if (const Taken short_of = lack(length, "a block that ends before the file does")) return short_of;
  if (word(length - 4) == length) return std::nullopt;
  return fail(length - 4, "the length of the block again at its end", "%" PRIu64 " in place of %" PRIu64,
              word(length - 4), length);
}

/** link type(16) reserved(16) snaplen(32) options */
CaptureReader::Taken CaptureReader::read_interface(std::size_t length) noexcept {
  const Taken fault = whole_block(length, 20, "the length of an interface description: 20 to 1048576");
  if (fault) return fault;
  if (interface_count_ == kMostInterfaces)
    return fail(0, "at most 1024 interfaces in a section", "one more", 0);
  Interface described;
  described.link_type = half(8);
  described.snaplen = word(12);
  const std::size_t end = length - 4;
  for (std::size_t at = 16; at + 4 <= end;) {
    const std::uint16_t code = half(at);
    const std::uint16_t size = half(at + 2);
    if (code == kOptionEnd) break;
    if (size > end - at - 4)
      return fail(at + 2, "an option that ends before its block does",
                  "%" PRIu64 " bytes announced, %" PRIu64, size, end - at - 4);
    if (const Taken refused = read_option(at + 4, code, size, described)) return refused;
    at += 4 + (size + 3U) / 4U * 4U;
  }
  interfaces_[interface_count_++] = described;
  consume(length);
  return std::nullopt;
}

CaptureReader::Taken CaptureReader::read_option(std::size_t at, std::uint16_t code, std::uint16_t length,
                                                Interface& out) noexcept {
  if (code == kOptionResolution && length >= 1) {
    out.binary = (window_[at] & 0x80U) != 0;
    out.exponent = window_[at] & 0x7fU;
    if (out.exponent > (out.binary ? 63 : 19))
      return fail(at, "a resolution of at most 10^-19 or 2^-63 s", "exponent %" PRIu64, out.exponent);
  } else if (code == kOptionTimeOffset && length >= 8) {
    const std::uint64_t first = word(at);
    const std::uint64_t second = word(at + 4);
    out.offset_s = static_cast<std::int64_t>(big_endian_ ? first << 32 | second : second << 32 | first);
  }
  return std::nullopt;
}

/**
 * Enhanced: interface(32); obsolete: interface(16) drops(16). Both: time(64, upper half first) captured(32)
 * original(32), then the packet, options.
 */
CaptureReader::Taken CaptureReader::read_packet(std::uint32_t type, std::size_t length,
                                                CapturePacket& out) noexcept {
  const Taken fault =
      whole_block(length, kPacketBlockHead + 4, "the length of a packet block: 32 to 1048576");
  if (fault) return fault;
  const std::uint32_t number = type == kBlockPacket ? word(8) : half(8);
  if (number >= interface_count_) {
    return fail(8, "an interface that this section has described",
                "number %" PRIu64 " of %" PRIu64 ", counted from 0", number, interface_count_);
  }
  const std::uint32_t captured = word(20);
  if (captured > length - kPacketBlockHead - 4 || captured > kMaxCaptured) {
    return fail(20, "a captured length that fits into the block, at most 262144",
                "%" PRIu64 " bytes in a block of %" PRIu64, captured, length);
  }
  const Interface& from = interfaces_[number];
  const Wide ticks = static_cast<Wide>(word(12)) << 32 | word(16);
  const Wide ns = from.binary          ? (ticks * kNanos) >> from.exponent
                  : from.exponent <= 9 ? ticks * power_of_ten(9U - from.exponent)
                                       : ticks / power_of_ten(from.exponent - 9U);
  out.time_ns = clamped(static_cast<SignedWide>(ns) + static_cast<SignedWide>(from.offset_s) * kNanos);
  out.timed = true;
  out.offset = offset_;
  out.link_type = from.link_type;
  out.interface = number;
  out.original_length = word(24);
  out.data = window_.subspan(kPacketBlockHead, captured);
  consume(length);
  return Step::packet;
}

/** original(32), then the packet, cut at the snap length of the section's first interface. */
CaptureReader::Taken CaptureReader::read_simple_packet(std::size_t length, CapturePacket& out) noexcept {
  const Taken fault = whole_block(length, 16, "the length of a simple packet block: 16 to 1048576");
  if (fault) return fault;
  if (interface_count_ == 0)
    return fail(0, "an interface that this section has described", "a simple packet before any", 0);
  const std::uint32_t original = word(8);
  const std::uint32_t snaplen = interfaces_[0].snaplen;
  const std::uint32_t captured = snaplen == 0 ? original : std::min(original, snaplen);
  if (captured > length - 16 || captured > kMaxCaptured) {
    return fail(8, "a length that fits into the block, at most 262144",
                "%" PRIu64 " bytes in a block of %" PRIu64, captured, length);
  }
  out.time_ns = 0;
  out.timed = false;
  out.offset = offset_;
  out.link_type = interfaces_[0].link_type;
  out.interface = 0;
  out.original_length = original;
  out.data = window_.subspan(12, captured);
  consume(length);
  return Step::packet;
}

}  // namespace sluice::codec
