// A shared UDP socket: tells the flows apart that come in on it, and is what receivers are sent from.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernel/udp_port.h"
#include "plane/flow_counters.h"
#include "plane/flow_sender.h"
#include "plane/overload.h"
#include "plane/sender.h"
#include "plane/sink_table.h"

namespace sluice::plane {

/** Which packets of a port are a flow's. */
struct FlowMatch {
  /** Who sends them; the port means nothing. */
  std::optional<kernel::Address> remote;
  /** 0 for any. */
  std::uint16_t remote_port = 0;
  std::optional<std::uint32_t> ssrc;
};

/** Takes the datagrams of a port that match. */
class DatagramSink {
 public:
  virtual void on_datagram(const kernel::Datagram& datagram, Nanos now) noexcept = 0;
  /** All that came in one call have been given; what datagrams point to is there until this returns. */
  virtual void on_batch_end(Nanos now) noexcept = 0;

 protected:
  ~DatagramSink() = default;

 private:
  friend class Port;
  bool touched_ = false;
};

struct PortOptions {
  kernel::UdpPortOptions socket;
  Batching batching = Batching::automatic;
};

/** Told of all RTCP that comes in on the ports of a loop. */
class RtcpListener {
 public:
  /** True when it came from a receiver. */
  virtual bool on_rtcp(const kernel::Datagram& datagram, Nanos now) noexcept = 0;

 protected:
  ~RtcpListener() = default;
};

/** What the ports of one loop share. */
struct PortBench {
  /** Messages that one call takes from a socket. */
  static constexpr std::size_t kMessages = 64;

  kernel::UdpInbox inbox{kMessages};
  FlowSender sender;
  Overload overload;
  /** Of the next datagrams; null where nobody takes one. */
  std::array<DatagramSink*, 16> sinks{};
  /** Null where nobody has RTCP. */
  RtcpListener* rtcp = nullptr;
};

/** On its loop. Sinks and receivers are gone before it is destroyed. */
class Port final : private kernel::Watcher, private kernel::Timer {
 public:
  /** Errors as of kernel::UdpPort::open(). The arguments outlive the port. */
  static kernel::Result<std::unique_ptr<Port>> open(kernel::Reactor& reactor, PortBench& bench,
                                                    const PortOptions& options, PortCounters& counters);
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  ~Port();

  /** False when another sink has exactly this match. A sink may have several matches. */
  bool add(const FlowMatch& match, DatagramSink& sink);
  void remove(const FlowMatch& match) noexcept;
  /** For each receiver that is sent to from here. */
  void hold() noexcept;
  void let_go() noexcept { users_--; }
  /** Sinks and receivers. */
  [[nodiscard]] std::size_t users() const noexcept { return users_; }

  [[nodiscard]] int fd() const noexcept { return socket_->fd(); }
  /** What is sent from. */
  [[nodiscard]] int send_fd() const noexcept { return send_fd_; }
  [[nodiscard]] int family() const noexcept { return socket_->family(); }
  [[nodiscard]] std::uint16_t number() const noexcept { return socket_->rx().port(); }
  [[nodiscard]] const sockaddr_storage& bound() const noexcept { return socket_->rx().bound(); }
  [[nodiscard]] kernel::Handover handover() const noexcept { return handover_; }
  void count_sends(std::size_t calls) noexcept { kernel::bump(counters_.send_calls, calls); }

 private:
  /** Sinks that ask for the same of address, SSRC and port. */
  struct Table {
    unsigned mask = 0;
    SinkTable sinks;
  };
  /** Of a sink: what every packet touches. */
  static constexpr std::size_t kSinkBytes = 320;

  Port(kernel::Reactor& reactor, PortBench& bench, std::unique_ptr<kernel::UdpPort> socket, Batching batching,
       PortCounters& counters);
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(Nanos now) noexcept override;
  void drain() noexcept;
  void find_only() noexcept;
  void take(std::span<const kernel::Datagram> datagrams) noexcept;
  void hand_on(std::span<const kernel::Datagram> datagrams, Nanos now) noexcept;
  [[nodiscard]] DatagramSink* find(const kernel::Datagram& datagram) const noexcept;
  static unsigned mask_of(const FlowMatch& match) noexcept;
  static SinkKey key_of(const FlowMatch& match) noexcept;

  kernel::UdpRx& rx_;
  /** The one that takes all there is; null where it depends. */
  DatagramSink* only_ = nullptr;
  PortBench& bench_;
  PortCounters& counters_;
  int send_fd_;
  kernel::Handover handover_;
  std::vector<DatagramSink*> touched_;
  /** Most particular first. */
  std::vector<Table> tables_;
  std::unique_ptr<kernel::UdpPort> socket_;
  kernel::Reactor& reactor_;
  std::size_t users_ = 0;
};

}  // namespace sluice::plane
