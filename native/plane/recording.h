// A capture file that grows: buffered, always cut at a whole packet, limited or rotated.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codec/capture_writer.h"
#include "kernel/file.h"

namespace sluice::plane {

struct RecordingOptions {
  /** `-` is standard output. With `rotate` a number goes before the extension: `a-00001.pcapng`. */
  std::string path;
  codec::CaptureFormat format = codec::CaptureFormat::pcapng;
  std::uint32_t link_type = codec::kLinkEthernet;
  std::uint32_t snaplen = codec::kMaxCaptured;
  /** For the header of a pcapng file; empty for none. */
  std::string interface_name;
  std::string comment;
  std::string application;
  /** 0 for no limit. */
  std::uint64_t max_packets = 0;
  /** Of one file, 0 for no limit; at least 4096. */
  std::uint64_t max_bytes = 0;
  /** At `max_bytes`: whether a next file is begun, or nothing more is written. */
  bool rotate = false;
  /** With `rotate`: older files are deleted so that so many are left; 0 keeps all. */
  std::uint32_t keep = 0;
};

/**
 * Writes on the thread that calls, which waits for the disk where the page cache is full. Packets are
 * gathered and written by flush(), or when the buffer is full: what is in the file ends with a whole packet.
 */
class Recording {
 public:
  /** SYSTEM_CALL where the file cannot be made; its header is written at once. */
  static kernel::Result<std::unique_ptr<Recording>> open(RecordingOptions options);
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  /** What is gathered is written. */
  ~Recording() { flush(); }

  /** One packet of `head` and `data` in a row; `wall` in nanoseconds since 1970. Nothing once ended(). */
  void add(std::int64_t wall, std::uint32_t original_length, codec::Bytes head, codec::Bytes data) noexcept;
  void flush() noexcept;
  /** Writes what the end of a pcapng file tells, and ends. */
  void finish(std::uint64_t received, std::uint64_t dropped) noexcept;

  /** A limit is reached, or writing failed. */
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /** errno of what failed, or 0. */
  [[nodiscard]] int error() const noexcept { return error_; }
  [[nodiscard]] std::uint64_t packets() const noexcept { return packets_; }
  /** On the wire. */
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /** In all files, headers included. */
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
  [[nodiscard]] std::uint64_t files() const noexcept { return files_; }

 private:
  explicit Recording(RecordingOptions options);
  [[nodiscard]] std::string name(std::uint64_t number) const;
  kernel::Result<kernel::File> next_file();
  void begin_file() noexcept;
  [[nodiscard]] bool rotate() noexcept;
  void fail(int error) noexcept;

  const RecordingOptions options_;
  const codec::CaptureWriter writer_;
  kernel::File file_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t files_ = 0;
  bool ended_ = false;
  int error_ = 0;
};

}  // namespace sluice::plane
