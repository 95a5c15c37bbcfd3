// Packets that many ask for: sent once to all, and not again to each.
//
//   asked by 1st     2nd      3rd: to all     4th, 5th …       still asked for
//   |----------------|--------|-------- hold --------|-------- hold --------|…
//   singly           singly   once     on its way    singly, until kMost have asked: to all
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "repair/round_trip.h"

namespace sluice::repair {

struct CommonLossOptions {
  /** So many different receivers ask for a packet until it is sent to all, 1 to CommonLosses::kMost; 0:
   * never.
   */
  unsigned receivers = 3;
  /** Within this time they ask; and for so long an answer to all is on its way. About a round trip. */
  Nanos hold = 100 * kMillisecond;
};

/**
 * Who has asked for which packets of late. A packet has one place, which a newer one takes; nothing is
 * allocated after it was made. Time is an argument.
 */
class CommonLosses {
 public:
  /** Different receivers of one packet that are told apart. */
  static constexpr std::size_t kMost = 16;

  /** How a request is answered. */
  enum class Answer : std::uint8_t { singly, to_all, on_its_way };

  explicit CommonLosses(const CommonLossOptions& options) : options_(options), packets_(kPackets) {}

  /**
   * `receiver` asks for the packet with this extended sequence number. After Answer::to_all it has been sent
   * to all, unless take_back() says that it was not. Whoever asks when that should have come may not have
   * heard it, or cannot: then it takes kMost of them.
   */
  Answer ask(std::int64_t sequence, std::uint16_t receiver, Nanos now) noexcept {
    Packet& packet = place(sequence);
    if (packet.sequence != sequence) {
      packet = {sequence, now};
      asked_++;
    }
    if (options_.receivers == 0) return Answer::singly;
    if (now - packet.since >= options_.hold) packet.renew(now);
    if (packet.sent) return Answer::on_its_way;
    if (!packet.add(receiver) || packet.count < (packet.before ? kMost : options_.receivers))
      return Answer::singly;
    packet.sent = true;
    packet.since = now;
    return Answer::to_all;
  }
  /** It was not sent to all: the next who asks may have it sent. */
  void take_back(std::int64_t sequence) noexcept {
    Packet& packet = place(sequence);
    if (packet.sequence != sequence || !packet.sent) return;
    packet.sent = false;
    packet.count--;
  }
  /** Different packets that were asked for. */
  [[nodiscard]] std::uint64_t asked() const noexcept { return asked_; }

 private:
  /** A second of a fast stream, and a power of two. */
  static constexpr std::size_t kPackets = 4096;

  struct Packet {
    std::int64_t sequence = -1;
    /** The first request, or when it was sent to all. */
    Nanos since = 0;
    std::array<std::uint16_t, kMost> receivers{};
    std::uint8_t count = 0;
    /** To all, within the hold time; and before. */
    bool sent = false;
    bool before = false;

    void renew(Nanos now) noexcept {
      before = before || sent;
      sent = false;
      count = 0;
      since = now;
    }
    /** False for one that has asked already. */
    bool add(std::uint16_t receiver) noexcept {
      const auto end = receivers.begin() + count;
      if (std::find(receivers.begin(), end, receiver) != end) return false;
      receivers[count++] = receiver;
      return true;
    }
  };

  Packet& place(std::int64_t sequence) noexcept {
    return packets_[static_cast<std::size_t>(sequence) & (kPackets - 1)];
  }

  const CommonLossOptions options_;
  std::vector<Packet> packets_;
  std::uint64_t asked_ = 0;
};

}  // namespace sluice::repair
