#include "plane/port.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>

#include "codec/rtcp.h"
#include "codec/rtp.h"
#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

// What a match asks for; the larger value is the more particular.
constexpr unsigned kPort = 1;
constexpr unsigned kSsrc = 2;
constexpr unsigned kAddress = 4;

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
  if (!reactor.watch(port->fd(), EPOLLIN, *port)) return kernel::system_error("watching a UDP socket");
  return port;
}

Port::Port(kernel::Reactor& reactor, PortBench& bench, std::unique_ptr<kernel::UdpPort> socket,
           Batching batching, PortCounters& counters)
    : reactor_(reactor),
      bench_(bench),
      socket_(std::move(socket)),
      counters_(counters),
      handover_(handover_of(batching, socket_->segments())) {
  gauge(counters_.segmentation, handover_ == kernel::Handover::segmented ? 1 : 0);
  gauge(counters_.coalescing, socket_->coalesces() ? 1 : 0);
}

Port::~Port() {
  reactor_.unwatch(fd(), *this);
}

/** Who chooses keys is the operator: what a sender chooses can only miss. */
std::size_t Port::Hash::operator()(const Key& key) const noexcept {
  std::array<std::uint64_t, 2> address{};
  std::memcpy(address.data(), key.address.data(), sizeof key.address);
  std::uint64_t hash = (std::uint64_t{key.ssrc} << 16 | key.port) ^ address[0] ^ (address[1] << 1);
  // The finaliser of splitmix64.
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

unsigned Port::mask_of(const FlowMatch& match) noexcept {
  return (match.remote ? kAddress : 0) | (match.ssrc ? kSsrc : 0) | (match.remote_port != 0 ? kPort : 0);
}

Port::Key Port::key_of(const FlowMatch& match) noexcept {
  Key key;
  if (match.remote) key.address = match.remote->bytes();
  key.ssrc = match.ssrc.value_or(0);
  key.port = match.remote_port;
  return key;
}

bool Port::add(const FlowMatch& match, DatagramSink& sink) {
  const unsigned mask = mask_of(match);
  auto at = std::find_if(tables_.begin(), tables_.end(), [mask](const Table& t) { return t.mask <= mask; });
  if (at == tables_.end() || at->mask != mask) at = tables_.insert(at, Table{mask, {}});
  if (!at->sinks.emplace(key_of(match), &sink).second) return false;
  users_++;
  touched_.reserve(users_);
  return true;
}

void Port::remove(const FlowMatch& match) noexcept {
  const unsigned mask = mask_of(match);
  const auto at =
      std::find_if(tables_.begin(), tables_.end(), [mask](const Table& t) { return t.mask == mask; });
  if (at == tables_.end() || at->sinks.erase(key_of(match)) == 0) return;
  users_--;
  if (at->sinks.empty()) tables_.erase(at);
}

DatagramSink* Port::find(const kernel::Datagram& datagram) const noexcept {
  for (const Table& table : tables_) {
    if (table.mask == 0) return table.sinks.begin()->second;
    Key key;
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
    const auto at = table.sinks.find(key);
    if (at != table.sinks.end()) return at->second;
  }
  return nullptr;
}

void Port::on_ready(std::uint32_t) noexcept {
  int calls = kCallsPerTurn;
  do {
    const auto datagrams = socket_->rx().receive();
    if (datagrams.empty()) break;
    bump(counters_.receive_calls);
    take(datagrams);
  } while (socket_->rx().more() && --calls > 0);
  gauge(counters_.kernel_drops, socket_->rx().drops());
}

void Port::take(std::span<const kernel::Datagram> datagrams) noexcept {
  const Nanos now = socket_->rx().received_at();
  bench_.overload.observe(now - datagrams.front().arrival, now);
  std::size_t bytes = 0;
  for (const kernel::Datagram& datagram : datagrams) {
    bytes += datagram.data.size();
    const bool heard =
        bench_.rtcp != nullptr && codec::is_rtcp(datagram.data) && bench_.rtcp->on_rtcp(datagram, now);
    DatagramSink* const sink = find(datagram);
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
  bump(counters_.packets, datagrams.size());
  bump(counters_.bytes, bytes);
  for (DatagramSink* sink : touched_) {
    sink->touched_ = false;
    sink->on_batch_end(now);
  }
  touched_.clear();
  // What is to be sent points into the inbox.
  bench_.sender.flush();
}

}  // namespace sluice::plane
