// Datagrams of a socket into a capture file, with headers made from what the socket told.
#pragma once

#include <memory>

#include "plane/input_counters.h"
#include "plane/recording.h"
#include "plane/udp_input.h"

namespace sluice::plane {

/**
 * Needs no privilege, unlike a capture of the device: raw IP packets whose IP and UDP headers carry the
 * addresses, ports, TTL and traffic class that came. Not known are IP options, identification and
 * fragmentation; checksums are computed.
 */
class DatagramRecorder final : public DatagramTap {
 public:
  /** The file that the recorder writes; its link type becomes raw IP. Errors as of Recording::open(). */
  static kernel::Result<std::unique_ptr<Recording>> open(RecordingOptions options);
  DatagramRecorder(std::unique_ptr<Recording> recording, InputCounters& counters) noexcept
      : recording_(std::move(recording)), counters_(counters) {}
  DatagramRecorder(const DatagramRecorder&) = delete;
  DatagramRecorder& operator=(const DatagramRecorder&) = delete;
  ~DatagramRecorder();

  void on_datagram(const kernel::Datagram& datagram) noexcept override;
  void on_pause() noexcept override;

 private:
  std::unique_ptr<Recording> recording_;
  InputCounters& counters_;
};

}  // namespace sluice::plane
