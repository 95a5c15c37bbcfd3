// Captures in pieces: pcap with microseconds or nanoseconds, and pcapng, in either byte order.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "codec/bytes.h"
#include "codec/capture_format.h"

namespace sluice::codec {

/** What is wrong with a capture and where. `expected` is static; `got` is what stands there, in words. */
struct CaptureDamage {
  std::uint64_t offset = 0;
  const char* expected = "";
  std::array<char, 96> got{};
  /** `at byte 24: expected …, got …` */
  [[nodiscard]] std::string text() const;
};

/** One packet; `data` points into the window that it was read from. */
struct CapturePacket {
  /** Nanoseconds since 1970, UTC; 0 where `timed` is false. */
  std::int64_t time_ns = 0;
  /** False for simple packet blocks, which have no time. */
  bool timed = true;
  /** Offset of the record or block in the file. */
  std::uint64_t offset = 0;
  /** LINKTYPE_ value; any, not only those of LinkType. */
  std::uint32_t link_type = 0;
  /** Number of the interface within its section; 0 in pcap. */
  std::uint32_t interface = 0;
  /** Length on the wire; `data` is shorter where the snap length cut it. */
  std::uint32_t original_length = 0;
  Bytes data;
};

/**
 * Reads a capture of any size from a window on it. Blocks that hold no packet are passed over without being
 * in the window as a whole. Allocates nothing; about 24 KiB.
 */
class CaptureReader {
 public:
  /** packet: `out` is set. more: the window must grow to needed() bytes, or be called the last. end: nothing
   * follows. damage: damage() tells; every later step is the same. */
  enum class Step : std::uint8_t { packet, more, end, damage };

  /** The largest window that is ever needed. */
  static constexpr std::size_t kMostNeeded = std::size_t{1} << 20;

  /**
   * The next packet. What was read is taken off the front of `window`; the rest must be at the front of the
   * next one.
   * @param last whether the file ends with the window
   */
  Step next(Bytes& window, bool last, CapturePacket& out) noexcept;
  /** After Step::more: how large the window must be. */
  [[nodiscard]] std::size_t needed() const noexcept { return needed_; }
  /** What stopped the reading; everything before it stays valid. */
  [[nodiscard]] const std::optional<CaptureDamage>& damage() const noexcept { return damage_; }
  /** Offset in the file of what comes next. */
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  enum class Format : std::uint8_t { unknown, pcap, pcapng };
  using Taken = std::optional<Step>;
  struct Interface {
    std::uint32_t link_type = 0;
    std::uint32_t snaplen = 0;
    /** Ticks a second are 10^exponent, or 2^exponent. */
    std::uint8_t exponent = 6;
    bool binary = false;
    std::int64_t offset_s = 0;
  };
  static constexpr std::size_t kMostInterfaces = 1024;

  [[nodiscard]] std::uint16_t half(std::size_t at) const noexcept;
  [[nodiscard]] std::uint32_t word(std::size_t at) const noexcept;
  [[nodiscard]] Taken lack(std::size_t size, const char* what) noexcept;
  void consume(std::size_t size) noexcept;
  Step fail(std::size_t at, const char* expected, const char* format, std::uint64_t a,
            std::uint64_t b = 0) noexcept;

  Taken read_begin() noexcept;
  Taken read_file_header(std::uint32_t magic) noexcept;
  Step read_record(CapturePacket& out) noexcept;
  Taken read_block(CapturePacket& out) noexcept;
  Taken finish_skipping() noexcept;
  Taken read_section() noexcept;
  Taken read_interface(std::size_t length) noexcept;
  Taken read_option(std::size_t at, std::uint16_t code, std::uint16_t length, Interface& out) noexcept;
  Taken read_packet(std::uint32_t type, std::size_t length, CapturePacket& out) noexcept;
  Taken read_simple_packet(std::size_t length, CapturePacket& out) noexcept;
  Taken whole_block(std::size_t length, std::size_t least, const char* what) noexcept;
  void skip_block(std::size_t head, std::size_t length) noexcept;

  Bytes window_;
  bool last_ = false;
  std::size_t needed_ = 0;
  std::uint64_t offset_ = 0;
  Format format_ = Format::unknown;
  bool big_endian_ = false;
  bool nanoseconds_ = false;
  /** Bytes of a block that are passed over, then its total length is expected again. */
  std::uint64_t skip_ = 0;
  std::uint32_t trailer_ = 0;
  std::size_t interface_count_ = 0;
  /** pcap: only the first. */
  std::array<Interface, kMostInterfaces> interfaces_{};
  std::optional<CaptureDamage> damage_;
};

}  // namespace sluice::codec
