// Messages about groups and routes, received and sent, as they are on the wire: read piece by piece as a
// pcapng by whoever asked for them, who may be slow. They wait in the sockets' own buffers; what does not fit
// is counted there, and no thread of the router knows of it.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "codec/capture_writer.h"
#include "kernel/packet_socket.h"

namespace sluice::plane {

struct ControlCaptureOptions {
  /** Devices, each an interface of the file; those that are not there are left out unless none is. */
  std::vector<std::string> interfaces;
  /** Ends after so many; 0 for no limit. */
  std::uint64_t max_packets = 0;
  /** Of the file, its end not counted; at least kLeastBytes. */
  std::uint64_t max_bytes = 64 << 20;
  /** For the header. */
  std::string application;
};

struct ControlCaptureCounters {
  std::uint64_t packets = 0;
  /** On the wire. */
  std::uint64_t bytes = 0;
  /** Frames that a socket's buffer had no room for. */
  std::uint64_t dropped = 0;
};

/** For one thread, any. */
class ControlCapture {
 public:
  static constexpr std::uint64_t kLeastBytes = 65'536;

  /** USAGE for none or too many interfaces, else errors as of kernel::PacketRx::open(). */
  static kernel::Result<std::unique_ptr<ControlCapture>> open(const ControlCaptureOptions& options);

  /** Whole blocks of the file: its beginning, then what has come since, each device's as the kernel gave it
   * and all of them merged by their time. Valid until the next call; empty when there is nothing. Does not
   * wait. */
  [[nodiscard]] codec::Bytes read() noexcept;
  /** What comes from now on is not taken any more. */
  void stop() noexcept;
  /** As read(), with what came last and the end of the file. Nothing comes after it. */
  [[nodiscard]] codec::Bytes finish() noexcept;
  /** A limit is reached: only finish() is left. */
  [[nodiscard]] bool full() const noexcept { return full_; }
  [[nodiscard]] ControlCaptureCounters counters() noexcept;

 private:
  /** A socket, and what of its last batch is not written yet. */
  struct Source {
    std::string name;
    std::unique_ptr<kernel::PacketRx> socket;
    std::span<const kernel::Frame> frames = {};
    bool dry = false;
    std::uint64_t packets = 0;
  };
  ControlCapture(const ControlCaptureOptions& options, std::vector<Source> sources);
  void begin(const std::string& application) noexcept;
  void take(std::int64_t until) noexcept;
  [[nodiscard]] Source* earliest() noexcept;
  void write(Source& source) noexcept;
  [[nodiscard]] codec::Bytes piece() noexcept;

  std::vector<Source> sources_;
  const codec::CaptureWriter writer_;
  const std::uint64_t max_packets_;
  const std::uint64_t max_bytes_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  /** Nanoseconds since 1970. */
  std::int64_t until_ = std::numeric_limits<std::int64_t>::max();
  ControlCaptureCounters counters_;
  bool full_ = false;
  bool finished_ = false;
};

}  // namespace sluice::plane
