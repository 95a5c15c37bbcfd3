// Networks of a test's own, joined by virtual cables: a router with hosts around it, each with its own kernel
// state.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "kernel/address.h"
#include "kernel/fd.h"
#include "kernel/reactor.h"
#include "kernel/udp_rx.h"

namespace sluice::test {

/** Polls until it holds, for five seconds at most. */
inline bool eventually(const std::function<bool()>& holds) {
  const kernel::Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
  while (!holds()) {
    if (kernel::monotonic_now() > end) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

inline kernel::AddressBytes bytes_of(const std::string& text) {
  return kernel::Address::parse(text, 0)->bytes();
}

/** A network namespace. Sockets that are opened inside stay in it. */
class Network {
 public:
  Network() {
    const kernel::Fd outside = current();
    if (!outside || unshare(CLONE_NEWNET) != 0) return;
    inside_ = current();
    setns(outside.get(), CLONE_NEWNET);
    // Addresses can be used at once.
    set("ipv6/conf/all/accept_dad", "0");
    set("ipv6/conf/default/accept_dad", "0");
    ip("link set lo up");
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network() = default;

  [[nodiscard]] bool ok() const noexcept { return static_cast<bool>(inside_); }
  /** Runs `what` inside. */
  template <class F>
  auto in(F&& what) const {
    const Inside here(inside_.get());
    return what();
  }
  /** `ip ARGUMENTS`; whether it succeeded. */
  bool ip(const std::string& arguments) const {
    return in([&] { return std::system(("ip " + arguments + " >/dev/null 2>&1").c_str()) == 0; });
  }
  /** Writes a setting below /proc/sys/net. */
  void set(const std::string& name, const std::string& value) const {
    in([&] { std::ofstream("/proc/sys/net/" + name) << value; });
  }
  /** What a file says inside, such as /proc/net/igmp. */
  [[nodiscard]] std::string read(const std::string& path) const {
    return in([&] {
      std::ifstream file(path);
      return std::string(std::istreambuf_iterator<char>(file), {});
    });
  }
  [[nodiscard]] unsigned index(const std::string& name) const {
    return in([&] { return if_nametoindex(name.c_str()); });
  }
  /** A cable to another network; both ends are up. */
  bool connect(const std::string& name, const Network& other, const std::string& there) const {
    const std::string path =
        "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(other.inside_.get());
    return ip("link add " + name + " type veth peer name " + there + " netns " + path) &&
           ip("link set " + name + " up") && other.ip("link set " + there + " up");
  }

 private:
  class Inside {
   public:
    explicit Inside(int there) : back_(current()) { setns(there, CLONE_NEWNET); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { setns(back_.get(), CLONE_NEWNET); }

   private:
    kernel::Fd back_;
  };
  static kernel::Fd current() { return kernel::Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

  kernel::Fd inside_;
};

/** Why networks of a test's own are not to be had here; empty when they are. */
inline std::string no_networks() {
  const Network network;
  if (!network.ok()) return "network namespaces are not allowed here";
  return network.ip("link") ? "" : "iproute2 (ip) is not installed";
}

/** A child process; killed at the end of its life at the latest. */
class Child {
 public:
  /** `work` gives its exit code; it must not use doctest. */
  explicit Child(const std::function<int()>& work) : pid_(fork()) {
    if (pid_ == 0) _exit(work());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }
  /** Its exit code, or -1 when a signal ended it. */
  int wait() {
    int status = 0;
    if (pid_ <= 0 || waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  /** SIGKILL, and gone. */
  void kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    wait();
  }

 private:
  pid_t pid_;
};

/** Both families by one topology: `source` - `router` - `left`, `right`; the router's interfaces are `up0`,
 * `left0` and `right0`, the others' only one `e`. */
struct Star {
  Network source;
  Network router;
  Network left;
  Network right;
  bool ok = false;

  Star() {
    ok = cable("up0", source, 1) && cable("left0", left, 2) && cable("right0", right, 3);
    source.ip("route add default via 10.0.1.1");
    source.ip("route add ff00::/8 dev e table local");
    source.ip("route add 224.0.0.0/4 dev e");
  }
  [[nodiscard]] static std::string group(int family) { return family == AF_INET ? "232.1.1.1" : "ff3e::1:1"; }
  [[nodiscard]] static std::string other_group(int family) {
    return family == AF_INET ? "232.1.1.2" : "ff3e::1:2";
  }
  /** Of the network with that number (1 source, 2 left, 3 right); the router's own in it. */
  [[nodiscard]] static std::string host(int family, int number) {
    return family == AF_INET ? "10.0." + std::to_string(number) + ".2"
                             : "fd00:" + std::to_string(number) + "::2";
  }
  [[nodiscard]] static std::string gateway(int family, int number) {
    return family == AF_INET ? "10.0." + std::to_string(number) + ".1"
                             : "fd00:" + std::to_string(number) + "::1";
  }

 private:
  bool cable(const std::string& name, const Network& other, int number) const {
    return router.connect(name, other, "e") && address(router, name, gateway(AF_INET, number) + "/24") &&
           address(router, name, gateway(AF_INET6, number) + "/64") &&
           address(other, "e", host(AF_INET, number) + "/24") &&
           address(other, "e", host(AF_INET6, number) + "/64");
  }
  static bool address(const Network& network, const std::string& device, const std::string& prefix) {
    return network.ip("addr add " + prefix + " dev " + device);
  }
};

/** Sends numbered datagrams to a group from a network. */
class Talker {
 public:
  Talker(const Network& network, const std::string& group, const std::string& device = "e")
      : to_(*kernel::Address::parse(group, kPort)) {
    network.in([&] {
      const bool v4 = to_.family() == AF_INET;
      socket_ = kernel::Fd(::socket(to_.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ip_mreqn by{};
      by.imr_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
      const int hops = 8;
      const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
      if (v4)
        setsockopt(socket_.get(), level, IP_MULTICAST_IF, &by, sizeof by);
      else
        setsockopt(socket_.get(), level, IPV6_MULTICAST_IF, &by.imr_ifindex, sizeof by.imr_ifindex);
      setsockopt(socket_.get(), level, v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &hops, sizeof hops);
    });
  }
  bool send() {
    const std::uint32_t number = sent_;
    if (::sendto(socket_.get(), &number, sizeof number, 0, to_.get(), to_.size()) != sizeof number)
      return false;
    sent_++;
    return true;
  }
  [[nodiscard]] std::uint32_t sent() const noexcept { return sent_; }
  static constexpr std::uint16_t kPort = 5000;

 private:
  kernel::Address to_;
  kernel::Fd socket_;
  std::uint32_t sent_ = 0;
};

/** A host's program that has joined a group by its kernel, and what it has received. */
class Listener {
 public:
  Listener(const Network& network, const std::string& group, const std::string& source = "",
           const std::string& device = "e") {
    kernel::UdpRxOptions o;
    o.address = group;
    o.port = Talker::kPort;
    o.source = source;
    o.interface_name = device;
    auto opened = network.in([&] { return kernel::UdpRx::open(o); });
    if (opened.ok()) rx_ = std::move(opened.value());
  }
  [[nodiscard]] bool ok() const noexcept { return rx_ != nullptr; }
  /** Datagrams so far. */
  std::size_t count() {
    for (auto got = rx_->receive(); !got.empty(); got = rx_->receive()) count_ += got.size();
    return count_;
  }

 private:
  std::unique_ptr<kernel::UdpRx> rx_;
  std::size_t count_ = 0;
};

}  // namespace sluice::test

/** Ends the test case, with the reason, where it cannot be played. */
#define SLUICE_NEEDS_NETWORKS()                                      \
  do {                                                               \
    if (const std::string why = test::no_networks(); !why.empty()) { \
      MESSAGE("skipped: " << why);                                   \
      return;                                                        \
    }                                                                \
  } while (false)
