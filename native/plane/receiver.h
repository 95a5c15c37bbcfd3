// A measuring receiver: joins, reorders, measures, and writes the MPEG-TS to a file descriptor.
#pragma once

#include <memory>
#include <optional>

#include "plane/datagram_recorder.h"
#include "plane/input.h"
#include "plane/ts_monitor.h"
#include "plane/ts_output.h"

namespace sluice::plane {

struct ReceiverOptions {
  UdpInputOptions input;
  /** Where the MPEG-TS goes, or none. The caller keeps it open until the receiver is destroyed. */
  std::optional<int> output_fd;
  /** Where every datagram is recorded as it came, or none. */
  std::optional<RecordingOptions> recording;
};

class Receiver final : private TsSink {
 public:
  /** Errors as of kernel::UdpRx::open() and Recording::open(). `counters` must outlive the receiver.
   * Datagrams are never coalesced.
   */
  static kernel::Result<std::unique_ptr<Receiver>> open(kernel::Reactor& reactor,
                                                        const ReceiverOptions& options,
                                                        InputCounters& counters);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  /** Leaves the group; what was held for reordering is measured and written first. */
  ~Receiver();
  /** The port bound. */
  [[nodiscard]] std::uint16_t port() const noexcept { return input_->port(); }

 private:
  explicit Receiver(InputCounters& counters) noexcept : monitor_(counters) {}
  void write(codec::Bytes ts, Nanos arrival) noexcept override;
  void splice() noexcept override { monitor_.splice(); }
  [[nodiscard]] bool wants_more() const noexcept override { return true; }

  TsMonitor monitor_;
  std::optional<TsOutput> output_;
  std::optional<DatagramRecorder> recorder_;
  std::unique_ptr<Input> input_;
};

}  // namespace sluice::plane
