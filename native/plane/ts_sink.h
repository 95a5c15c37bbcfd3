// Where MPEG-TS bytes go, whichever way they came.
#pragma once

#include "codec/bytes.h"
#include "kernel/reactor.h"

namespace sluice::plane {

/** Takes the MPEG-TS of one source. All calls come from the loop thread. */
class TsSink {
 public:
  /** Bytes in arrival order; need not be aligned to TS packets. `arrival` is when they came. */
  virtual void write(codec::Bytes ts, kernel::Nanos arrival) noexcept = 0;
  /** What comes next does not continue what came: partial packets are dropped, clocks start anew. */
  virtual void splice() noexcept = 0;
  /** False while the source should stop reading (the ring is far enough ahead); see Upstream. */
  [[nodiscard]] virtual bool wants_more() const noexcept = 0;
  /** How long input may be gathered before it is written, ns; 0 where the time of every packet counts. May
   * change. */
  [[nodiscard]] virtual kernel::Nanos patience() const noexcept { return 0; }

 protected:
  ~TsSink() = default;
};

}  // namespace sluice::plane
