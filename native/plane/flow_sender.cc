#include "plane/flow_sender.h"

#include <algorithm>

#include "codec/rtp.h"
#include "kernel/counter.h"
#include "plane/port.h"

namespace sluice::plane {

using codec::kRtpHeaderSize;
using kernel::bump;
using kernel::gauge;
using kernel::UdpOutbox;

namespace {

iovec piece_of(const std::uint8_t* bytes, std::size_t size) noexcept {
  return {const_cast<std::uint8_t*>(bytes), size};
}

}  // namespace

FlowSender::FlowSender() : shared_(new iovec[kShared]) {}

void FlowSender::begin(std::span<const FlowPacket> packets, std::uint32_t clock_rate, FlowCounters& counters,
                       Nanos now) noexcept {
  // Two pieces for each packet, in runs and one by one.
  if (shared_used_ + 4 * packets.size() > kShared) flush();
  if (outbox_.empty()) shared_used_ = 0;
  packets_ = packets;
  clock_rate_ = clock_rate;
  counters_ = &counters;
  now_ = now;
  newest_ = 0;
  lowest_ = packets[0].sequence;
  bytes_ = 0;
  for (std::size_t i = 0; i < packets.size(); i++) {
    if (packets[i].sequence > packets[newest_].sequence) newest_ = i;
    lowest_ = std::min(lowest_, packets[i].sequence);
    bytes_ += packets[i].size();
  }
  find_runs();
  singles_known_ = false;
}

void FlowSender::find_runs() noexcept {
  run_count_ = 0;
  for (std::size_t i = 0; i < packets_.size();) {
    const std::size_t segment = packets_[i].size();
    Run run{static_cast<std::uint16_t>(i), 0, 0, 0, 0, 0};
    while (i < packets_.size() && run.count < UdpOutbox::kMostSegments) {
      const std::size_t size = packets_[i].size();
      if (size > segment || (run.count > 0 && run.bytes + size > UdpOutbox::kMostBytes)) break;
      run.bytes += static_cast<std::uint32_t>(size);
      run.count++;
      i++;
      // A shorter datagram can only be the last.
      if (size < segment) break;
    }
    if (run.count > 1) run.segment = static_cast<std::uint16_t>(segment);
    runs_[run_count_++] = run;
  }
}

/** Lists the bytes of a run as they are; what lies together in memory is one piece. */
void FlowSender::share(Run& run) noexcept {
  run.piece = static_cast<std::uint16_t>(shared_used_);
  for (std::size_t i = run.first; i < std::size_t{run.first} + run.count; i++) {
    const FlowPacket& packet = packets_[i];
    if (packet.header != nullptr) share_piece({packet.header, kRtpHeaderSize}, run);
    share_piece(packet.body, run);
  }
}

void FlowSender::share_piece(codec::Bytes bytes, Run& run) noexcept {
  if (run.pieces > 0) {
    iovec& last = shared_[shared_used_ - 1];
    if (static_cast<std::uint8_t*>(last.iov_base) + last.iov_len == bytes.data()) {
      last.iov_len += bytes.size();
      return;
    }
  }
  shared_[shared_used_++] = piece_of(bytes.data(), bytes.size());
  run.pieces++;
}

void FlowSender::use(Port& port) noexcept {
  if (port_ == &port) return;
  flush();
  port_ = &port;
}

void FlowSender::send(FlowReceiver& receiver) noexcept {
  use(receiver.port());
  if (packets_[0].restart) receiver.rejoin();
  if (receiver.rewrites() && !receiver.fits()) receiver.fit(packets_[0], clock_rate_, now_);
  const bool all = !receiver.rewrites() || receiver.wants(lowest_);
  if (all && receiver.port().handover() == kernel::Handover::segmented && receiver.segments()) {
    for (std::size_t i = 0; i < run_count_; i++) send_run(receiver, runs_[i]);
    receiver.sent(packets_[newest_], packets_.size(), bytes_, now_);
    return;
  }
  for (std::size_t i = 0; i < packets_.size(); i++)
    if (all || receiver.wants(packets_[i].sequence)) send_one(receiver, i);
}

void FlowSender::send_one(FlowReceiver& receiver, std::size_t i) noexcept {
  if (!singles_known_) {
    for (std::size_t k = 0; k < packets_.size(); k++)
      singles_[k] = {
          static_cast<std::uint16_t>(k), 1, 0, static_cast<std::uint32_t>(packets_[k].size()), 0, 0};
    singles_known_ = true;
  }
  send_run(receiver, singles_[i]);
  receiver.sent(packets_[i], 1, packets_[i].size(), now_);
}

void FlowSender::send_run(FlowReceiver& receiver, Run& run) noexcept {
  if (receiver.rewrites() && packets_[run.first].header != nullptr) return send_rewritten(receiver, run);
  if (run.pieces == 0) share(run);
  put(receiver, {shared_.get() + run.piece, run.pieces}, run);
}

void FlowSender::send_rewritten(FlowReceiver& receiver, const Run& run) noexcept {
  const std::size_t needed = 2 * std::size_t{run.count};
  if (!outbox_.has_room(needed)) flush();
  const std::span<iovec> pieces = outbox_.pieces(needed);
  for (std::size_t i = 0; i < run.count; i++) {
    const FlowPacket& packet = packets_[run.first + i];
    std::uint8_t* const header = outbox_.header(pieces[2 * i]);
    receiver.rewrite(packet, header);
    pieces[2 * i] = {header, kRtpHeaderSize};
    pieces[2 * i + 1] = piece_of(packet.body.data(), packet.body.size());
  }
  put(receiver, pieces, run);
}

void FlowSender::put(FlowReceiver& receiver, std::span<iovec> pieces, const Run& run) noexcept {
  if (!outbox_.has_room(0)) flush();
  sent_[messages_] = {&receiver, counters_, run.count, run.bytes};
  outbox_.add(receiver.target(), pieces, run.segment, messages_);
  messages_++;
  bump(counters_->packets_out, run.count);
  bump(counters_->bytes_out, run.bytes);
}

void FlowSender::flush() noexcept {
  if (messages_ > 0) port_->count_sends(outbox_.flush(port_->send_fd(), port_->handover(), *this));
  messages_ = 0;
}

void FlowSender::on_refused(std::uint32_t tag, int error) noexcept {
  const Sent& sent = sent_[tag];
  // It went out, but not as a batch: this path takes none.
  if (error == 0) return sent.receiver->send_singly();
  sent.receiver->refused(sent.packets, sent.bytes);
  gauge(sent.counters->packets_out, sent.counters->packets_out - sent.packets);
  gauge(sent.counters->bytes_out, sent.counters->bytes_out - sent.bytes);
  bump(sent.counters->send_errors, sent.packets);
}

}  // namespace sluice::plane
