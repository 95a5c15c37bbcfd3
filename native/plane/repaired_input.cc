#include "plane/repaired_input.h"

#include <sys/epoll.h>

#include "codec/rtcp.h"
#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;
using kernel::Result;

namespace {

// Above the port of the media: design of the ports of a rendition.
constexpr std::uint16_t kColumns = 2;
constexpr std::uint16_t kRows = 4;
constexpr std::uint16_t kBlocks = 6;

constexpr std::size_t kMessages = 32;
/** Batches taken per wake-up, so that one input does not starve the others. */
constexpr int kBatchesPerTurn = 8;

}  // namespace

Result<std::unique_ptr<RepairedInput>> RepairedInput::open(kernel::Reactor& reactor, const RepairedInputOptions& options,
                                                           TsSink& sink, RepairCounters& counters) {
  std::unique_ptr<RepairedInput> input(new RepairedInput(reactor, options, sink, counters));
  if (auto error = input->listen(options, 0, What::media)) return std::move(*error);
  if (options.columns)
    if (auto error = input->listen(options, kColumns, What::parity)) return std::move(*error);
  if (options.rows)
    if (auto error = input->listen(options, kRows, What::parity)) return std::move(*error);
  if (options.recovery.block)
    if (auto error = input->listen(options, kBlocks, What::blocks)) return std::move(*error);
  return input;
}

RepairedInput::RepairedInput(kernel::Reactor& reactor, const RepairedInputOptions& options, TsSink& sink,
                             RepairCounters& counters)
    : reactor_(reactor),
      sink_(sink),
      counters_(counters),
      inbox_(kMessages),
      recovery_(options.recovery, static_cast<repair::RecoveryOutput&>(*this)) {}

RepairedInput::~RepairedInput() {
  for (std::size_t i = 0; i < ear_count_; i++) reactor_.unwatch(ears_[i]->socket->fd(), *ears_[i]);
}

std::optional<kernel::Error> RepairedInput::listen(const RepairedInputOptions& options, std::uint16_t step, What what) {
  kernel::UdpRxOptions socket = options.socket;
  // Where any port will do for the media, parity is beside the one that was found.
  socket.port = static_cast<std::uint16_t>((step == 0 ? socket.port : port()) + step);
  auto opened = kernel::UdpRx::open(socket, &inbox_);
  if (!opened.ok()) return opened.error();
  auto ear = std::make_unique<Ear>(*this, what, std::move(opened.value()));
  if (!reactor_.watch(ear->socket->fd(), EPOLLIN, *ear)) return kernel::system_error("watching a UDP socket");
  ears_[ear_count_++] = std::move(ear);
  return std::nullopt;
}

void RepairedInput::hear(Ear& ear) noexcept {
  int batches = kBatchesPerTurn;
  do {
    for (const kernel::Datagram& datagram : ear.socket->receive()) take(ear.what, datagram);
  } while (ear.socket->more() && --batches > 0);
  go_on(reactor_.now());
}

void RepairedInput::take(What what, const kernel::Datagram& datagram) noexcept {
  if (codec::is_rtcp(datagram.data)) return;
  switch (what) {
    case What::media:
      return recovery_.on_packet(datagram.data, datagram.arrival);
    case What::parity:
      bump(counters_.parity_packets);
      return recovery_.on_parity(datagram.data, datagram.arrival);
    case What::blocks:
      bump(counters_.parity_packets);
      return recovery_.on_block_parity(datagram.data, datagram.arrival);
  }
}

void RepairedInput::go_on(Nanos now) noexcept {
  recovery_.advance(now);
  publish();
  const auto deadline = recovery_.deadline();
  if (deadline) {
    reactor_.arm(*this, *deadline);
  } else {
    reactor_.disarm(*this);
  }
}

void RepairedInput::on_timer(Nanos) noexcept {
  // What is already in the socket may fill the gap: the loop may have come late, not the packet.
  for (std::size_t i = 0; i < ear_count_; i++)
    for (const kernel::Datagram& datagram : ears_[i]->socket->receive()) take(ears_[i]->what, datagram);
  go_on(reactor_.now());
}

void RepairedInput::on_packet(std::int64_t, codec::Bytes datagram, repair::Origin) noexcept {
  if (const auto packet = codec::parse_rtp(datagram)) sink_.write(packet->payload, reactor_.now());
}

void RepairedInput::on_lost(std::int64_t, std::int64_t) noexcept {}

void RepairedInput::on_request(std::span<const std::int64_t>) noexcept {}

void RepairedInput::on_restart() noexcept {
  sink_.splice();
}

void RepairedInput::publish() noexcept {
  const repair::RecoveryCounters& now = recovery_.counters();
  gauge(counters_.received, now.received);
  gauge(counters_.duplicates, now.duplicates);
  gauge(counters_.late, now.late);
  gauge(counters_.damaged, now.damaged);
  gauge(counters_.missing, now.missing);
  gauge(counters_.by_parity, now.by_parity);
  gauge(counters_.by_block, now.by_block);
  gauge(counters_.by_retransmission, now.by_retransmission);
  gauge(counters_.by_fetch, now.by_fetch);
  gauge(counters_.lost, now.lost);
  gauge(counters_.requests, now.requests);
  gauge(counters_.requested, now.requested);
  gauge(counters_.restarts, now.restarts);
  gauge(counters_.round_trip_us, static_cast<std::uint64_t>(recovery_.round_trip() / 1000));
  gauge(counters_.playout_us, static_cast<std::uint64_t>(recovery_.playout() / 1000));
}

}  // namespace sluice::plane
