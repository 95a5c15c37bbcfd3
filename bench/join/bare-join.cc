// bare-join SOURCE-INTERFACE-ADDRESS HOST-INTERFACE-ADDRESS...
//
// A router that does nothing but turn a report into a route of the kernel: no queries, no timers, no state
// but which interfaces want a group. Sources are on the first interface.
#include <cstring>
#include <unordered_map>

#include "../lib/net.h"
#include "igmp.h"

// After the headers of the C library, which it knows of.
#include <linux/mroute.h>

namespace sluice::bench {
namespace {

class Router {
 public:
  Router(int count, char** addresses) : fd_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IGMP)) {
    must(fd_ >= 0, "socket");
    set(fd_, IPPROTO_IP, MRT_INIT, 1, "MRT_INIT");
    set(fd_, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
    set(fd_, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20, "SO_RCVBUFFORCE");
    for (int i = 0; i < count; i++) add(static_cast<vifi_t>(i), addresses[i]);
  }

  [[noreturn]] void run() {
    for (;;) {
      std::array<std::uint8_t, 2048> bytes{};
      const ssize_t size = recv(fd_, bytes.data(), bytes.size(), 0);
      if (size > 0) take(bytes.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  void add(vifi_t number, const char* address) {
    vifctl vif{};
    vif.vifc_vifi = number;
    vif.vifc_threshold = 1;
    must(inet_aton(address, &vif.vifc_lcl_addr) != 0, address);
    set(fd_, IPPROTO_IP, MRT_ADD_VIF, vif, "MRT_ADD_VIF");
    // Reports are sent to a group that only routers listen to.
    ip_mreq all{};
    must(inet_aton("224.0.0.22", &all.imr_multiaddr) != 0, "224.0.0.22");
    all.imr_interface = vif.vifc_lcl_addr;
    set(fd_, IPPROTO_IP, IP_ADD_MEMBERSHIP, all, "IP_ADD_MEMBERSHIP");
    addresses_[number] = ntohl(vif.vifc_lcl_addr.s_addr);
    interfaces_ = number + 1U;
  }

  void take(const std::uint8_t* bytes, std::size_t size) {
    const std::size_t header = static_cast<std::size_t>(bytes[0] & 15) * 4;
    // Protocol 0: the kernel asks for a route.
    if (bytes[9] == 0) return unknown(bytes);
    if (size < header + sizeof(ReportHead) || bytes[header] != kReport) return;
    std::uint32_t from = 0;
    std::memcpy(&from, bytes + 12, sizeof from);
    unsigned interface = 0;
    for (unsigned i = 0; i < interfaces_; i++)
      if ((addresses_[i] ^ ntohl(from)) < 256) interface = i;
    for (std::size_t at = header + sizeof(ReportHead); at + sizeof(Record) <= size; at += sizeof(Record)) {
      Record record;
      std::memcpy(&record, bytes + at, sizeof record);
      change(record, interface);
    }
  }

  void change(const Record& record, unsigned interface) {
    std::uint32_t& wanted = wanted_[record.group.s_addr];
    if (record.type == kAllow)
      wanted |= 1U << interface;
    else if (record.type == kBlock)
      wanted &= ~(1U << interface);
    else
      return;
    route(record.source, record.group, wanted);
  }

  void unknown(const std::uint8_t* bytes) {
    igmpmsg message{};
    std::memcpy(&message, bytes, sizeof message);
    route(message.im_src, message.im_dst, wanted_[message.im_dst.s_addr]);
  }

  void route(in_addr source, in_addr group, std::uint32_t wanted) {
    mfcctl entry{};
    entry.mfcc_origin = source;
    entry.mfcc_mcastgrp = group;
    entry.mfcc_parent = 0;
    for (unsigned i = 1; i < interfaces_; i++) entry.mfcc_ttls[i] = (wanted >> i & 1U) != 0 ? 1 : 0;
    set(fd_, IPPROTO_IP, MRT_ADD_MFC, entry, "MRT_ADD_MFC");
  }

  int fd_;
  unsigned interfaces_ = 0;
  std::array<std::uint32_t, MAXVIFS> addresses_{};
  std::unordered_map<std::uint32_t, std::uint32_t> wanted_;
};

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  if (count < 3) {
    (void)std::fputs("usage: bare-join SOURCE-INTERFACE-ADDRESS HOST-INTERFACE-ADDRESS...\n", stderr);
    return 2;
  }
  sluice::bench::Router router(count - 1, arguments + 1);
  router.run();
}
