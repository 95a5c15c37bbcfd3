// What the kernel can do for batches of datagrams.
#pragma once

namespace sluice::kernel {

struct UdpOffload {
  /** UDP_SEGMENT (Linux 4.18). */
  bool segmentation = false;
  /** UDP_GRO (Linux 5.0). */
  bool coalescing = false;
};

/** Asks the kernel by a socket of its own. */
UdpOffload udp_offload() noexcept;

}  // namespace sluice::kernel
