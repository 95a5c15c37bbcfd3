// Rapid acquisition at the server (RFC 6285): a unicast burst from the last random access point, faster than
// the stream until it has caught up, then with it until the receiver has joined.
#pragma once

#include <optional>
#include <vector>

#include "codec/rams.h"
#include "kernel/udp_outbox.h"
#include "plane/stream.h"
#include "repair/budget.h"

namespace sluice::plane {

struct AcquisitionOptions {
  /** Rate of a burst, in percent of the stream's: 105 to 1,000. */
  unsigned rate = 200;
  /** Bursts at a time, 1 to 10,000, and bytes a second of all of them. */
  std::size_t most = 100;
  std::uint64_t most_rate = 62'500'000;
  /** DSCP of its packets. */
  std::uint8_t dscp = 0;
  /** How long a burst goes with the stream once it has caught up, so that the receiver can join. */
  Nanos overlap = kernel::kSecond;
};

/** One burst, from its acceptance to its end. */
struct Burst {
  kernel::Address to;
  kernel::UdpTarget target;
  /** The receiver's number, of which only the output knows more. */
  std::size_t receiver = 0;
  /** The next packet, and the first that comes by multicast. */
  std::int64_t next = 0;
  std::int64_t end = INT64_MAX;
  /** Bytes a second; its own, and the stream's when it began. */
  std::uint64_t rate = 0;
  std::uint64_t pace_of_stream = 0;
  repair::Budget pace{0, 0};
  Nanos until = 0;
  codec::rams::Information information;
  /** How often it was told, and when again: the message may be lost (section 6.2, step 3). */
  unsigned tells = 0;
  Nanos tell_at = 0;
  bool running = false;
};

/** What carries bursts. */
class BurstOutput {
 public:
  virtual void send_burst(const Burst& burst, std::int64_t sequence) noexcept = 0;
  virtual void inform(const Burst& burst, const codec::rams::Information& information) noexcept = 0;

 protected:
  ~BurstOutput() = default;
};

/**
 * The bursts of one stream. Whoever asks has proved its address before; time is an argument, nothing is
 * allocated after it was made. On the stream's loop.
 */
class BurstSource {
 public:
  /** The references outlive it. */
  BurstSource(Stream& stream, const AcquisitionOptions& options, BurstOutput& output);

  /** Begins a burst and tells of it, or tells again of the one that runs to `from` (updated). Anything else
   * is a refusal, which the caller has to tell. */
  codec::rams::Response request(const kernel::Address& from, std::size_t receiver,
                                const codec::rams::Request& request, Nanos now) noexcept;
  [[nodiscard]] bool runs_to(const kernel::Address& to) const noexcept;
  /** Ends the burst to `from` before the first packet that came by multicast, or at once. */
  void terminate(const kernel::Address& from, const codec::rams::Termination& termination,
                 Nanos now) noexcept;
  /** Sends what may leave. */
  void advance(Nanos now) noexcept;
  /** When advance() is to be called next; none while no burst runs. */
  [[nodiscard]] std::optional<Nanos> deadline() const noexcept;
  [[nodiscard]] std::size_t running() const noexcept { return running_; }

 private:
  [[nodiscard]] std::vector<Burst>::iterator find(const kernel::Address& to) noexcept;
  /** What speaks against a burst at its rate; if nothing does, it knows where to begin. */
  [[nodiscard]] codec::rams::Response decide(const codec::rams::Request& request,
                                             Burst& burst) const noexcept;
  [[nodiscard]] Nanos catch_up(const Burst& burst) const noexcept;
  void begin(Burst& burst, Nanos now) noexcept;
  void go_on(Burst& burst, Nanos now) noexcept;
  void send(Burst& burst, Nanos now) noexcept;
  void finish(Burst& burst) noexcept;

  Stream& stream_;
  const AcquisitionOptions options_;
  BurstOutput& output_;
  std::vector<Burst> bursts_;
  std::size_t running_ = 0;
  std::uint64_t reserved_ = 0;
  Nanos advanced_ = 0;
};

}  // namespace sluice::plane
