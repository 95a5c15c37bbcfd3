#include "kernel/udp_offload.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "kernel/fd.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace sluice::kernel {

UdpOffload udp_offload() noexcept {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  int value = 0;
  socklen_t size = sizeof value;
  UdpOffload found;
  found.segmentation = fd && getsockopt(fd.get(), IPPROTO_UDP, UDP_SEGMENT, &value, &size) == 0;
  size = sizeof value;
  found.coalescing = fd && getsockopt(fd.get(), IPPROTO_UDP, UDP_GRO, &value, &size) == 0;
  return found;
}

}  // namespace sluice::kernel
