// Frames of a device into a capture file.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "codec/packet_filter.h"
#include "kernel/packet_socket.h"
#include "kernel/reactor.h"
#include "plane/counters.h"
#include "plane/recording.h"

namespace sluice::plane {

/** Told once when something ends by itself: `code` is null when all went well. */
using EndHandler = std::function<void(const char* code, std::string detail)>;

struct PacketCaptureOptions {
  kernel::PacketRxOptions socket;
  codec::PacketFilter filter;
  /** Link type and snap length are the socket's. */
  RecordingOptions recording;
};

class PacketCapture final : private kernel::Watcher {
 public:
  /** Errors as of kernel::PacketRx::open() and Recording::open(). `counters` must outlive it. */
  static kernel::Result<std::unique_ptr<PacketCapture>> open(kernel::Reactor& reactor,
                                                             PacketCaptureOptions options,
                                                             CaptureCounters& counters, EndHandler on_end);
  PacketCapture(const PacketCapture&) = delete;
  PacketCapture& operator=(const PacketCapture&) = delete;
  /** What the socket still holds is written, then the file is finished. */
  ~PacketCapture();

 private:
  PacketCapture(kernel::Reactor& reactor, codec::PacketFilter filter,
                std::unique_ptr<kernel::PacketRx> socket, std::unique_ptr<Recording> recording,
                CaptureCounters& counters, EndHandler on_end);
  void on_ready(std::uint32_t events) noexcept override;
  void read(int batches) noexcept;
  void take(const kernel::Frame& frame) noexcept;
  void finish() noexcept;

  kernel::Reactor& reactor_;
  const codec::PacketFilter filter_;
  std::unique_ptr<kernel::PacketRx> socket_;
  std::unique_ptr<Recording> recording_;
  CaptureCounters& counters_;
  const EndHandler on_end_;
  bool finished_ = false;
};

}  // namespace sluice::plane
