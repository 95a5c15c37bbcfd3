// Packets that many ask for: sent once to all; and an audience behind the same loss, on a clock of its own.
#include "repair/common_losses.h"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>

#include "repair/recovery.h"
#include "test/repair_bed.h"

using namespace sluice;
using repair::CommonLosses;
using repair::kMillisecond;
using repair::Nanos;
using Answer = repair::CommonLosses::Answer;

TEST_CASE("common losses: the third receiver that asks has the packet sent to all, and those after it wait") {
  CommonLosses losses({3, 100 * kMillisecond});
  CHECK(losses.ask(7, 1, 0) == Answer::singly);
  CHECK(losses.ask(7, 2, 10 * kMillisecond) == Answer::singly);
  CHECK(losses.ask(8, 3, 10 * kMillisecond) == Answer::singly);
  CHECK(losses.ask(7, 3, 20 * kMillisecond) == Answer::to_all);
  CHECK(losses.ask(7, 4, 30 * kMillisecond) == Answer::on_its_way);
  CHECK(losses.ask(7, 1, 119 * kMillisecond) == Answer::on_its_way);
  CHECK(losses.asked() == 2);
}

TEST_CASE("common losses: one receiver that asks often is one; receivers far apart in time are not many") {
  CommonLosses losses({3, 100 * kMillisecond});
  for (int i = 0; i < 50; i++) {
    CHECK(losses.ask(7, 1, i) == Answer::singly);
    CHECK(losses.ask(7, 2, i) == Answer::singly);
  }
  CHECK(losses.ask(7, 3, 100 * kMillisecond) == Answer::singly);
  CHECK(losses.ask(7, 1, 110 * kMillisecond) == Answer::singly);
  CHECK(losses.ask(7, 2, 120 * kMillisecond) == Answer::to_all);
}

TEST_CASE(
    "common losses: whoever still asks when it should have come is answered singly, until very many do") {
  CommonLosses losses({2, 100 * kMillisecond});
  losses.ask(7, 1, 0);
  REQUIRE(losses.ask(7, 2, 0) == Answer::to_all);
  for (std::uint16_t i = 1; i < CommonLosses::kMost; i++)
    CHECK(losses.ask(7, i, 100 * kMillisecond) == Answer::singly);
  CHECK(losses.ask(7, 100, 110 * kMillisecond) == Answer::to_all);
  CHECK(losses.ask(7, 101, 209 * kMillisecond) == Answer::on_its_way);
  CHECK(losses.ask(7, 101, 210 * kMillisecond) == Answer::singly);
}

TEST_CASE("common losses: what could not be sent to all is sent when the next one asks") {
  CommonLosses losses({2, 100 * kMillisecond});
  losses.ask(7, 1, 0);
  REQUIRE(losses.ask(7, 2, 0) == Answer::to_all);
  losses.take_back(7);
  losses.take_back(7);
  losses.take_back(8);
  CHECK(losses.ask(7, 1, 0) == Answer::singly);
  CHECK(losses.ask(7, 3, 0) == Answer::to_all);
}

TEST_CASE("common losses: with 0 nothing is sent to all; a newer packet takes the place of an older one") {
  CommonLosses never({0});
  for (std::uint16_t i = 0; i < 100; i++) CHECK(never.ask(7, i, 0) == Answer::singly);
  CHECK(never.asked() == 1);
  CommonLosses losses({2, 100 * kMillisecond});
  for (std::int64_t i = 0; i < 100'000; i++) CHECK(losses.ask(i, 1, 0) == Answer::singly);
  CHECK(losses.ask(0, 2, 0) == Answer::singly);
  CHECK(losses.ask(99'999, 2, 0) == Answer::to_all);
}

namespace {

constexpr Nanos kWay = 5 * kMillisecond;

/** One of an audience. */
struct Listener final : repair::RecoveryOutput {
  Listener(std::uint32_t seed, Nanos dither) : recovery(options(dither), *this, seed) {}
  static repair::RecoveryOptions options(Nanos dither) {
    repair::RecoveryOptions o;
    o.window = 1024;
    o.mpegts = false;
    o.asks = true;
    o.round_trip = 2 * kWay;
    o.dither = dither;
    return o;
  }
  void on_packet(std::int64_t, codec::Bytes, repair::Origin) noexcept override { delivered++; }
  void on_lost(std::int64_t, std::int64_t count) noexcept override { lost += count; }
  void on_request(std::span<const std::int64_t> sequences) noexcept override {
    for (const std::int64_t one : sequences) requests.push_back(static_cast<std::uint16_t>(one));
  }
  void on_restart() noexcept override {}

  std::int64_t delivered = 0;
  std::int64_t lost = 0;
  std::vector<std::uint16_t> requests;
  repair::Recovery recovery;
};

struct Figures {
  std::uint64_t requests = 0;
  std::uint64_t resent = 0;
  std::int64_t lost = 0;
  std::int64_t delivered = 0;
};

/** Receivers behind a link that loses one packet of a hundred for all, and each another of a thousand. */
class Audience {
 public:
  Audience(std::size_t size, unsigned to_all_after, Nanos dither)
      : losses_({to_all_after, 100 * kMillisecond}), packets_(0, kPackets, 100, 100) {
    for (std::size_t i = 0; i < size; i++)
      listeners_.push_back(std::make_unique<Listener>(static_cast<std::uint32_t>(i + 1), dither));
  }

  Figures play() {
    for (; now_ < (kPackets + 500) * kMillisecond; now_ += kMillisecond) {
      const std::int64_t packet = now_ / kMillisecond;
      const bool gone = chance(0.01) && packet > 10;
      for (std::size_t i = 0; i < listeners_.size(); i++) {
        repair::Recovery& one = listeners_[i]->recovery;
        if (packet < kPackets && !gone && (packet < 10 || !chance(0.001)))
          one.on_packet(packets_.datagram(packet), now_);
      }
      hand_over();
      serve();
      for (std::size_t i = 0; i < listeners_.size(); i++) {
        listeners_[i]->recovery.advance(now_);
        for (const std::uint16_t number : listeners_[i]->requests)
          asked_.push_back({now_ + kWay, number, static_cast<std::uint16_t>(i)});
        figures_.requests += listeners_[i]->requests.size();
        listeners_[i]->requests.clear();
      }
    }
    for (const auto& one : listeners_) {
      one->recovery.flush();
      figures_.lost += one->lost;
      figures_.delivered += one->delivered;
    }
    return figures_;
  }
  static constexpr std::int64_t kPackets = 5'000;

 private:
  struct Asked {
    Nanos at;
    std::uint16_t number;
    std::uint16_t who;
  };
  struct Resent {
    Nanos at;
    std::uint16_t number;
    /** None: to all. */
    std::optional<std::uint16_t> who;
  };

  bool chance(double share) { return std::uniform_real_distribution<>()(random_) < share; }
  void serve() {
    for (; !asked_.empty() && asked_.front().at <= now_; asked_.pop_front()) {
      const Asked& one = asked_.front();
      const Answer answer = losses_.ask(one.number, one.who, now_);
      if (answer == Answer::on_its_way) continue;
      figures_.resent++;
      resent_.push_back({now_ + kWay, one.number, {}});
      if (answer == Answer::singly) resent_.back().who = one.who;
    }
  }
  void hand_over() {
    for (; !resent_.empty() && resent_.front().at <= now_; resent_.pop_front()) {
      const Resent& one = resent_.front();
      const auto& datagram = packets_.datagram(one.number);
      if (one.who) {
        listeners_[*one.who]->recovery.on_retransmission(datagram, now_);
      } else {
        for (const auto& each : listeners_)
          if (!chance(0.01)) each->recovery.on_resent_to_all(datagram, now_);
      }
    }
  }

  CommonLosses losses_;
  test::Source packets_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::deque<Asked> asked_;
  std::deque<Resent> resent_;
  std::mt19937 random_{1};
  Nanos now_ = 0;
  Figures figures_;
};

}  // namespace

TEST_CASE(
    "common losses: thirty receivers behind the same loss are sent a quarter of what they would be singly") {
  constexpr std::size_t kAudience = 30;
  constexpr Nanos kDither = 20 * kMillisecond;
  const Figures singly = Audience(kAudience, 0, kDither).play();
  const Figures together = Audience(kAudience, 3, kDither).play();
  MESSAGE("resent singly " << singly.resent << ", together " << together.resent << "; requests "
                           << singly.requests << " and " << together.requests);
  for (const Figures& one : {singly, together}) {
    CHECK(one.lost == 0);
    CHECK(one.delivered == static_cast<std::int64_t>(kAudience) * Audience::kPackets);
  }
  CHECK(singly.resent > kAudience * 40);
  // Each has losses of its own, too, and lost a hundredth of what was sent to all.
  CHECK(together.resent < singly.resent / 4);
  // Those that still wait by chance have no need to ask.
  CHECK(together.requests < singly.requests * 3 / 4);
}
