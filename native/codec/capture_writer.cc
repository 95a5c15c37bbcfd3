#include "codec/capture_writer.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::codec {

namespace {

constexpr std::size_t kMostText = 200;

/** Appends little-endian words to a range that is known to be large enough. */
class Cursor {
 public:
  explicit Cursor(MutableBytes out) noexcept : at_(out.data()), begin_(out.data()) {}
  void u16(std::uint16_t v) noexcept {
    *at_++ = static_cast<std::uint8_t>(v);
    *at_++ = static_cast<std::uint8_t>(v >> 8);
  }
  void u32(std::uint32_t v) noexcept {
    u16(static_cast<std::uint16_t>(v));
    u16(static_cast<std::uint16_t>(v >> 16));
  }
  /** pcapng's times: the upper half first. */
  void time(std::int64_t ns) noexcept {
    const auto v = static_cast<std::uint64_t>(ns);
    u32(static_cast<std::uint32_t>(v >> 32));
    u32(static_cast<std::uint32_t>(v));
  }
  void bytes(Bytes b) noexcept { at_ = std::copy(b.begin(), b.end(), at_); }
  void pad() noexcept {
    while (size() % 4 != 0) *at_++ = 0;
  }
  void option(std::uint16_t code, Bytes value) noexcept {
    u16(code);
    u16(static_cast<std::uint16_t>(value.size()));
    bytes(value);
    pad();
  }
  void text(std::uint16_t code, std::string_view value) noexcept {
    value = value.substr(0, kMostText);
    if (!value.empty()) option(code, {reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
  }
  void counter(std::uint16_t code, std::uint64_t value) noexcept {
    u16(code);
    u16(8);
    u32(static_cast<std::uint32_t>(value));
    u32(static_cast<std::uint32_t>(value >> 32));
  }
  /** Begins a block at the present place, which must be a multiple of four. */
  void open(std::uint32_t type) noexcept {
    block_ = at_;
    u32(type);
    u32(0);
  }
  /** Writes the length of the block into both places. */
  void close() noexcept {
    const auto length = static_cast<std::uint32_t>(at_ - block_ + 4);
    u32(length);
    std::uint8_t* const end = std::exchange(at_, block_ + 4);
    u32(length);
    at_ = end;
  }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

 private:
  std::uint8_t* at_;
  std::uint8_t* begin_;
  std::uint8_t* block_ = nullptr;
};

std::size_t write_pcap_header(const CaptureHeader& header, MutableBytes out) noexcept {
  Cursor c(out);
  c.u32(kPcapNanoseconds);
  c.u16(2);
  c.u16(4);
  c.u32(0);
  c.u32(0);
  c.u32(header.snaplen);
  c.u32(header.link_type);
  return c.size();
}

void write_interface(Cursor& c, const CaptureHeader& header) noexcept {
  c.open(kBlockInterface);
  c.u16(static_cast<std::uint16_t>(header.link_type));
  c.u16(0);
  c.u32(header.snaplen);
  c.text(kOptionInterfaceName, header.interface_name);
  constexpr std::array<std::uint8_t, 1> kNanoseconds = {9};
  c.option(kOptionResolution, kNanoseconds);
  c.option(kOptionEnd, {});
  c.close();
}

}  // namespace

std::size_t CaptureWriter::begin(const CaptureHeader& header, MutableBytes out) noexcept {
  if (out.size() < kMostHeader) return 0;
  if (header.format == CaptureFormat::pcap) return write_pcap_header(header, out);
  Cursor c(out);
  c.open(kBlockSection);
  c.u32(kByteOrderMagic);
  c.u16(1);
  c.u16(0);
  c.u32(0xffffffff);  // a section of unknown length
  c.u32(0xffffffff);
  c.text(kOptionComment, header.comment);
  c.text(kOptionApplication, header.application);
  c.option(kOptionEnd, {});
  c.close();
  write_interface(c, header);
  return c.size();
}

std::size_t CaptureWriter::interface(const CaptureHeader& header, MutableBytes out) noexcept {
  if (header.format == CaptureFormat::pcap || out.size() < kMostHeader) return 0;
  Cursor c(out);
  write_interface(c, header);
  return c.size();
}

std::size_t CaptureWriter::packet(std::int64_t time_ns, std::uint32_t original_length, Bytes head, Bytes data,
                                  MutableBytes out, std::uint32_t interface) const noexcept {
  head = head.first(std::min<std::size_t>(head.size(), snaplen_));
  data = data.first(std::min<std::size_t>(data.size(), snaplen_ - head.size()));
  const auto captured = static_cast<std::uint32_t>(head.size() + data.size());
  if (out.size() < captured + 64) return 0;
  Cursor c(out);
  if (format_ == CaptureFormat::pcap) {
    c.u32(static_cast<std::uint32_t>(time_ns / 1'000'000'000));
    c.u32(static_cast<std::uint32_t>(time_ns % 1'000'000'000));
    c.u32(captured);
    c.u32(original_length);
    c.bytes(head);
    c.bytes(data);
    return c.size();
  }
  c.open(kBlockPacket);
  c.u32(interface);
  c.time(time_ns);
  c.u32(captured);
  c.u32(original_length);
  c.bytes(head);
  c.bytes(data);
  c.pad();
  c.close();
  return c.size();
}

std::size_t CaptureWriter::end(const CaptureStatistics& statistics, MutableBytes out,
                               std::uint32_t interface) const noexcept {
  if (format_ == CaptureFormat::pcap || out.size() < kMostHeader) return 0;
  Cursor c(out);
  c.open(kBlockStatistics);
  c.u32(interface);
  c.time(statistics.time_ns);
  c.counter(kOptionReceived, statistics.received);
  c.counter(kOptionDropped, statistics.dropped);
  c.option(kOptionEnd, {});
  c.close();
  return c.size();
}

}  // namespace sluice::codec
