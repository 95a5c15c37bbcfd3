#include "plane/port.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>

#include "codec/rtcp.h"
#include "codec/rtp.h"
#include "kernel/counter.h"
#include "kernel/prefetch.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

// What a match asks for; the larger value is the more particular.
constexpr unsigned kPort = 1;
constexpr unsigned kSsrc = 2;
constexpr unsigned kAddress = 4;

/** A port with so many receivers and flows sends from a socket of its own; with few, a second socket that is
 * cold costs more. */
constexpr std::size_t kMany = 8;
/** Calls per wake-up, so that one port does not starve the others. */
constexpr int kCallsPerTurn = 8;

kernel::Handover handover_of(Batching batching, bool segments) noexcept {
  if (batching == Batching::plain) return kernel::Handover::one_by_one;
  if (batching == Batching::many || !segments) return kernel::Handover::many;
  return kernel::Handover::segmented;
}

}  // namespace

kernel::Result<std::unique_ptr<Port>> Port::open(kernel::Reactor& reactor, PortBench& bench,
                                                 const PortOptions& options, PortCounters& counters) {
  kernel::UdpPortOptions socket = options.socket;
  socket.socket.coalesce = options.batching == Batching::automatic || options.batching == Batching::segment;
  auto opened = kernel::UdpPort::open(socket, bench.inbox);
  if (!opened.ok()) return opened.error();
  std::unique_ptr<Port> port(new Port(reactor, bench, std::move(opened.value()), options.batching, counters));
  // Told once of what has come: it is read until nothing is left, and the kernel need not look again.
  if (!reactor.watch(port->fd(), EPOLLIN | EPOLLET, *port))
    return kernel::system_error("watching a UDP socket");
  return port;
}

Port::Port(kernel::Reactor& reactor, PortBench& bench, std::unique_ptr<kernel::UdpPort> socket,
           Batching batching, PortCounters& counters)
    : rx_(socket->rx()),
      bench_(bench),
      counters_(counters),
      send_fd_(socket->send_fd()),
      handover_(handover_of(batching, socket->segments())),
      socket_(std::move(socket)),
      reactor_(reactor) {
  gauge(counters_.segmentation, handover_ == kernel::Handover::segmented ? 1 : 0);
  gauge(counters_.coalescing, socket_->coalesces() ? 1 : 0);
}

Port::~Port() {
  reactor_.unwatch(fd(), *this);
}

unsigned Port::mask_of(const FlowMatch& match) noexcept {
  return (match.remote ? kAddress : 0) | (match.ssrc ? kSsrc : 0) | (match.remote_port != 0 ? kPort : 0);
}

SinkKey Port::key_of(const FlowMatch& match) noexcept {
  SinkKey key;
  if (match.remote) key.address = match.remote->bytes();
  key.ssrc = match.ssrc.value_or(0);
  key.port = match.remote_port;
  return key;
}

bool Port::add(const FlowMatch& match, DatagramSink& sink) {
  const unsigned mask = mask_of(match);
  auto at = std::find_if(tables_.begin(), tables_.end(), [mask](const Table& t) { return t.mask <= mask; });
  if (at == tables_.end() || at->mask != mask) at = tables_.insert(at, Table{mask, {}});
  if (!at->sinks.add(key_of(match), sink)) return false;
  users_++;
  touched_.reserve(users_);
  find_only();
  return true;
}

void Port::hold() noexcept {
  if (++users_ < kMany) return;
  socket_->send_apart();
  send_fd_ = socket_->send_fd();
}

void Port::remove(const FlowMatch& match) noexcept {
  const unsigned mask = mask_of(match);
  const auto at =
      std::find_if(tables_.begin(), tables_.end(), [mask](const Table& t) { return t.mask == mask; });
  if (at == tables_.end() || !at->sinks.remove(key_of(match))) return;
  users_--;
  if (at->sinks.size() == 0) tables_.erase(at);
  find_only();
}

void Port::find_only() noexcept {
  only_ = tables_.size() == 1 && tables_[0].mask == 0 ? tables_[0].sinks.find({}) : nullptr;
}

DatagramSink* Port::find(const kernel::Datagram& datagram) const noexcept {
  if (only_ != nullptr) return only_;
  for (const Table& table : tables_) {
    SinkKey key;
    if ((table.mask & (kAddress | kPort)) != 0) {
      const auto sender = kernel::Address::from(*datagram.sender);
      if (!sender) continue;
      if ((table.mask & kAddress) != 0) key.address = sender->bytes();
      if ((table.mask & kPort) != 0) key.port = sender->port();
    }
    if ((table.mask & kSsrc) != 0) {
      if (datagram.data.size() < codec::kRtpHeaderSize) continue;
      key.ssrc = codec::load32(datagram.data.data() + (codec::is_rtcp(datagram.data) ? 4 : 8));
    }
    if (DatagramSink* const sink = table.sinks.find(key)) return sink;
  }
  return nullptr;
}

void Port::on_ready(std::uint32_t) noexcept {
  drain();
}

void Port::on_timer(Nanos) noexcept {
  drain();
}

void Port::drain() noexcept {
  if (only_ != nullptr) kernel::prefetch(only_, kSinkBytes);
  kernel::prefetch(&counters_, sizeof counters_);
  bool some = false;
  int calls = kCallsPerTurn;
  do {
    const auto datagrams = rx_.receive();
    some = !datagrams.empty();
    if (!some) continue;
    bump(counters_.receive_calls);
    take(datagrams);
  } while (rx_.more() && --calls > 0);
  gauge(counters_.kernel_drops, rx_.drops());
  // The others have their turn first.
  if (rx_.more() && some) reactor_.arm(*this, reactor_.now());
}

void Port::take(std::span<const kernel::Datagram> datagrams) noexcept {
  const Nanos now = rx_.received_at();
  bench_.overload.observe(now - datagrams.front().arrival, now);
  bump(counters_.packets, datagrams.size());
  for (auto rest = datagrams; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), bench_.sinks.size()));
    hand_on(some, now);
    rest = rest.subspan(some.size());
  }
  for (DatagramSink* sink : touched_) {
    sink->touched_ = false;
    sink->on_batch_end(now);
  }
  touched_.clear();
  // What is to be sent points into the inbox.
  bench_.sender.flush();
}

/** Finds all sinks before the first is called, so that what is cold of one is loaded while others work. */
void Port::hand_on(std::span<const kernel::Datagram> datagrams, Nanos now) noexcept {
  for (std::size_t i = 0; i < datagrams.size(); i++) {
    DatagramSink* const sink = bench_.sinks[i] = find(datagrams[i]);
    if (sink != nullptr && sink != only_) kernel::prefetch(sink, kSinkBytes);
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < datagrams.size(); i++) {
    const kernel::Datagram& datagram = datagrams[i];
    bytes += datagram.data.size();
    const bool heard =
        bench_.rtcp != nullptr && codec::is_rtcp(datagram.data) && bench_.rtcp->on_rtcp(datagram, now);
    DatagramSink* const sink = bench_.sinks[i];
    if (sink == nullptr) {
      if (!heard) bump(counters_.unmatched);
      continue;
    }
    if (!sink->touched_) {
      sink->touched_ = true;
      touched_.push_back(sink);
    }
    sink->on_datagram(datagram, now);
  }
  bump(counters_.bytes, bytes);
}

}  // namespace sluice::plane
