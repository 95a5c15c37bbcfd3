// A network of a test's own, with a loopback interface as it wants it.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "kernel/fd.h"

namespace sluice::test {

/** The calling thread is in it until this is destroyed; only root can have one. */
class OwnNetwork {
 public:
  explicit OwnNetwork(int mtu) : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    entered_ = before_ && unshare(CLONE_NEWNET) == 0;
    if (entered_) ok_ = set_loopback(mtu);
  }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;
  ~OwnNetwork() {
    if (entered_) setns(before_.get(), CLONE_NEWNET);
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  /** IPv6 groups are sent to by way of the loopback interface; IPv4 ones are without. */
  static bool route_groups() {
    const kernel::Fd control(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    in6_rtmsg route{};
    route.rtmsg_dst.s6_addr[0] = 0xff;
    route.rtmsg_dst_len = 8;
    route.rtmsg_metric = 256;
    route.rtmsg_flags = RTF_UP;
    route.rtmsg_ifindex = static_cast<int>(if_nametoindex("lo"));
    return ioctl(control.get(), SIOCADDRT, &route) == 0;
  }

 private:
  static bool set_loopback(int mtu) {
    const kernel::Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_mtu = mtu;
    if (ioctl(control.get(), SIOCSIFMTU, &request) != 0) return false;
    request.ifr_flags = IFF_UP;
    return ioctl(control.get(), SIOCSIFFLAGS, &request) == 0;
  }

  kernel::Fd before_;
  bool entered_ = false;
  bool ok_ = false;
};

}  // namespace sluice::test
