// The smoother on a fake clock: what must hold for every input, and what the best plan would have needed.
#include "plane/smoother.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "test/allocations.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::Nanos;
using plane::RateWindows;
using plane::Smoother;
using plane::SmootherOptions;

namespace {

struct Packet {
  Nanos arrival;
  std::size_t size;
};
using Input = std::vector<Packet>;

struct Departure {
  Nanos due;
  bool paced;
};

/** An input written as rates over times; packets of 1,316 bytes unless said otherwise. */
class Maker {
 public:
  explicit Maker(Nanos begin = 7 * kSecond) : now_(static_cast<double>(begin)) {}
  Maker& rate(double megabits, Nanos length, std::size_t size = 1316) {
    const double end = now_ + static_cast<double>(length);
    const double gap = static_cast<double>(size) * 8e3 / megabits;
    for (; now_ < end; now_ += gap) input.push_back({static_cast<Nanos>(now_), size});
    now_ = end;
    return *this;
  }
  Maker& burst(std::size_t packets, std::size_t size = 1316) {
    input.insert(input.end(), packets, {static_cast<Nanos>(now_), size});
    return *this;
  }
  Maker& silence(Nanos length) {
    now_ += static_cast<double>(length);
    return *this;
  }
  Input input;

 private:
  double now_;
};

/** Packets become known `lookahead` before they arrive, and leave when they are due. */
std::vector<Departure> play(Smoother& smoother, const Input& input, Nanos lookahead = 0) {
  std::vector<Departure> out;
  auto leave = [&] {
    const Packet& head = input[out.size()];
    out.push_back({smoother.due(head.arrival), smoother.active()});
    smoother.take(head.size, head.arrival);
  };
  for (std::size_t i = 0; i < input.size(); i++) {
    while (out.size() < i && smoother.due(input[out.size()].arrival) <= input[i].arrival - lookahead) leave();
    smoother.push(input[i].size, input[i].arrival);
  }
  while (out.size() < input.size()) leave();
  return out;
}

/** Bytes a nanosecond that the best plan needs: what arrives in an interval must leave max_delay after it. */
double best_rate(const Input& input, Nanos max_delay) {
  double best = 0;
  for (std::size_t i = 0; i < input.size(); i++) {
    double bytes = 0;
    for (std::size_t j = i; j < input.size() && input[j].arrival - input[i].arrival < 3 * kSecond; j++) {
      bytes += static_cast<double>(input[j].size);
      best = std::max(best, bytes / static_cast<double>(input[j].arrival + max_delay - input[i].arrival));
    }
  }
  return best;
}

/** A line of constant rate: how late its last byte of a packet comes at worst. */
Nanos latest_at(const Input& input, double rate) {
  double free = 0;
  double worst = 0;
  for (const Packet& p : input) {
    free = std::max(free, static_cast<double>(p.arrival)) + static_cast<double>(p.size) / rate;
    worst = std::max(worst, free - static_cast<double>(p.arrival));
  }
  return static_cast<Nanos>(worst);
}

/** Most bytes of any 100 ms in which all departures were paced, as a rate. */
double paced_peak(const Input& input, const std::vector<Departure>& out) {
  std::size_t first = 0;
  double bytes = 0;
  double peak = 0;
  for (std::size_t i = 0; i < out.size(); i++) {
    if (!out[i].paced) {
      first = i + 1;
      bytes = 0;
      continue;
    }
    bytes += static_cast<double>(input[i].size);
    while (out[i].due - out[first].due >= RateWindows::kWindow)
      bytes -= static_cast<double>(input[first++].size);
    // A packet leaves at the begin of its slot, so one stands beyond what the rate gives.
    peak = std::max(peak, bytes - static_cast<double>(input[i].size));
  }
  return peak / static_cast<double>(RateWindows::kWindow);
}

double peak_of(const Input& input) {
  std::vector<Departure> as_it_came;
  for (const Packet& p : input) as_it_came.push_back({p.arrival, true});
  return paced_peak(input, as_it_came);
}

void check_bounds(const Input& input, const std::vector<Departure>& out, Nanos max_delay) {
  REQUIRE(out.size() == input.size());
  Nanos before = 0;
  Nanos arrival = 0;
  bool kept = true;
  for (std::size_t i = 0; i < out.size(); i++) {
    arrival = std::max(arrival, input[i].arrival);
    kept =
        kept && out[i].due >= before && out[i].due >= input[i].arrival && out[i].due <= arrival + max_delay;
    before = out[i].due;
  }
  CHECK(kept);
}

struct Random {
  explicit Random(unsigned seed) : engine(seed) {}
  /** `low` up to and including `high`. */
  int of(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); }
  std::mt19937 engine;
};

/** Pictures of a film: sizes about a level that changes with the scene, a large one twelve times a group. */
void film(Maker& maker, Random& random, Nanos length) {
  double level = random.of(2, 20);
  for (Nanos t = 0; t < length; t += 40 * kMillisecond) {
    if (random.of(0, 50) == 0) level = random.of(2, 40);
    const bool entry = (t / (40 * kMillisecond)) % 25 == 0;
    maker.burst(static_cast<std::size_t>(level * (entry ? 5 : 1)) + 1).silence(40 * kMillisecond);
  }
}

Input random_input(Random& random) {
  Maker maker;
  const int parts = random.of(2, 6);
  for (int part = 0; part < parts; part++) {
    const Nanos length = random.of(100, 3000) * kMillisecond;
    switch (random.of(0, 5)) {
      case 0:
        maker.rate(random.of(1, 10), length, static_cast<std::size_t>(random.of(160, 1316)));
        break;
      case 1:
        film(maker, random, length);
        break;
      case 2:
        maker.silence(length);
        break;
      case 3:
        for (Nanos t = 0; t < length; t += kSecond / 4)
          maker.burst(static_cast<std::size_t>(random.of(1, 120))).silence(random.of(1, 500) * kMillisecond);
        break;
      case 4:
        maker.rate(1, length).rate(10, length / 2).rate(1, length);
        break;
      default:
        for (Nanos t = 0; t < length; t += 2 * kMillisecond)
          maker.burst(random.of(0, 3) == 0 ? 4 : 0).silence(2 * kMillisecond);
    }
  }
  return maker.input;
}

SmootherOptions options(Nanos max_delay, Nanos lookahead = 0, double threshold = 0.2) {
  return {threshold, max_delay, lookahead};
}

}  // namespace

TEST_CASE("smoother: the best plan's rate is what a line needs, and no line of less keeps the bound") {
  Random random(5);
  for (int i = 0; i < 20; i++) {
    const Input input = random_input(random);
    const Nanos bound = random.of(20, 500) * kMillisecond;
    const double best = best_rate(input, bound);
    CHECK(latest_at(input, best * 1.001) <= bound + kMillisecond);
    CHECK(latest_at(input, best * 0.97) > bound);
  }
}

TEST_CASE("smoother: whatever comes: in order, within the bound, complete, and at most twice the best rate") {
  Random random(1);
  for (int i = 0; i < 150; i++) {
    CAPTURE(i);
    const Input input = random_input(random);
    const Nanos bound = random.of(5, 800) * kMillisecond;
    const Nanos lookahead = random.of(0, 1) * random.of(10, 1000) * kMillisecond;
    Smoother smoother(options(bound, lookahead));
    const auto out = play(smoother, input, lookahead);
    check_bounds(input, out, bound);
    CHECK(smoother.held() == 0);
    const auto known = static_cast<double>(bound + lookahead);
    // Groups share the deadline of their first packet.
    const Nanos least = bound - (bound + lookahead) / 62;
    const double factor = 1 + static_cast<double>(bound) / known;
    // What still drains goes at 1.25 of a mean over 4 s, which the best plan may deliver `bound` later.
    const double drain = 1.25 * (1 + static_cast<double>(bound) / 4e9);
    CHECK(paced_peak(input, out) <= std::max(factor, drain) * best_rate(input, std::max<Nanos>(least, 1)));
  }
}

TEST_CASE("smoother: an owner that comes late takes what was due; the bound holds all the same") {
  Random random(2);
  for (int i = 0; i < 50; i++) {
    const Input input = random_input(random);
    const Nanos bound = random.of(50, 400) * kMillisecond;
    Smoother smoother(options(bound));
    std::vector<Departure> out;
    std::size_t pushed = 0;
    for (Nanos now = 7 * kSecond; out.size() < input.size(); now += random.of(1, 20) * kMillisecond) {
      while (pushed < input.size() && input[pushed].arrival <= now) {
        smoother.push(input[pushed].size, input[pushed].arrival);
        pushed++;
      }
      while (out.size() < pushed && smoother.due(input[out.size()].arrival) <= now) {
        const Packet& head = input[out.size()];
        out.push_back({smoother.due(head.arrival), smoother.active()});
        smoother.take(head.size, head.arrival);
      }
    }
    check_bounds(input, out, bound);
  }
}

TEST_CASE("smoother: a constant rate is untouched, with jitter, in batches, and at every size") {
  Random random(3);
  for (const std::size_t size : {160U, 200U, 1316U}) {
    for (const double megabits : {0.064, 0.3, 1.0, 8.0, 50.0}) {
      for (const int jitter : {0, 1, 8}) {
        Input input = Maker().rate(megabits, 12 * kSecond, size).input;
        Nanos before = 0;
        for (Packet& p : input) {
          p.arrival = std::max(before, p.arrival + random.of(0, jitter * 1'000'000));
          before = p.arrival;
        }
        Smoother smoother(options(200 * kMillisecond));
        bool untouched = true;
        const auto out = play(smoother, input);
        for (std::size_t i = 0; i < input.size(); i++)
          untouched = untouched && out[i].due == input[i].arrival && !out[i].paced;
        CAPTURE(size);
        CAPTURE(megabits);
        CAPTURE(jitter);
        CHECK(untouched);
      }
    }
  }
}

TEST_CASE("smoother: bursts twice a second leave over the whole bound, no faster") {
  Maker maker;
  for (int i = 0; i < 40; i++) maker.burst(100).silence(500 * kMillisecond);
  Smoother smoother(options(250 * kMillisecond));
  const auto out = play(smoother, maker.input);
  check_bounds(maker.input, out, 250 * kMillisecond);
  const double burst = 100 * 1316.0;
  CHECK(paced_peak(maker.input, out) < burst / 250e6 * 1.03);
  CHECK(paced_peak(maker.input, out) > burst / 250e6 * 0.9);
  CHECK(out.back().due - maker.input.back().arrival > 230 * kMillisecond);
}

TEST_CASE("smoother: after a burst the rate falls to what the rest needs") {
  Maker maker;
  for (int i = 0; i < 10; i++) {
    maker.burst(100);
    for (int k = 0; k < 20; k++) maker.silence(2 * kMillisecond).burst(1);
    maker.silence(1960 * kMillisecond);
  }
  Smoother smoother(options(40 * kMillisecond));
  const auto out = play(smoother, maker.input);
  // The last of the burst leaves at its deadline, and so does the last of the twenty after it.
  const Nanos burst = maker.input[std::size_t{9} * 120].arrival;
  CHECK(out[9 * 120 + 99].due - burst > 38 * kMillisecond);
  CHECK(out.back().due - burst > 70 * kMillisecond);
}

TEST_CASE("smoother: what is known before it comes makes room for itself") {
  // Two bursts that overlap within the bound: unannounced, the second finds half of the first.
  Maker maker;
  for (int i = 0; i < 20; i++)
    maker.burst(100).silence(100 * kMillisecond).burst(100).silence(900 * kMillisecond);
  const Nanos bound = 200 * kMillisecond;
  auto peak = [&](Nanos lookahead) {
    Smoother smoother(options(bound, lookahead));
    const auto out = play(smoother, maker.input, lookahead);
    check_bounds(maker.input, out, bound);
    return paced_peak(maker.input, out) / best_rate(maker.input, bound);
  };
  CHECK(peak(0) > 1.08);
  CHECK(peak(150 * kMillisecond) < 1.05);
}

TEST_CASE("smoother: ten times the rate, and back: the bound holds, and afterwards nothing is delayed") {
  const Input input = Maker().rate(2, 6 * kSecond).rate(20, 10 * kSecond).rate(2, 10 * kSecond).input;
  Smoother smoother(options(200 * kMillisecond));
  const auto out = play(smoother, input);
  check_bounds(input, out, 200 * kMillisecond);
  int changes = 0;
  for (std::size_t i = 1; i < out.size(); i++) changes += out[i].paced != out[i - 1].paced ? 1 : 0;
  CHECK(changes == 4);
  CHECK_FALSE(smoother.active());
  CHECK(out.back().due == input.back().arrival);
}

TEST_CASE("smoother: at the threshold pacing begins once, and ends when the input has calmed down") {
  Maker maker;
  maker.rate(10, 2 * kSecond);
  // Windows about the mean by 25 %, then by 17 %, which is above three quarters of the threshold.
  for (int i = 0; i < 40; i++) maker.rate(12.6, 100 * kMillisecond).rate(7.4, 100 * kMillisecond);
  for (int i = 0; i < 40; i++) maker.rate(11.8, 100 * kMillisecond).rate(8.2, 100 * kMillisecond);
  Smoother smoother(options(200 * kMillisecond));
  const auto restless = play(smoother, maker.input);
  int begins = 0;
  for (std::size_t i = 1; i < restless.size(); i++)
    begins += restless[i].paced && !restless[i - 1].paced ? 1 : 0;
  CHECK(begins == 1);
  CHECK(smoother.active());
  const Nanos end = maker.input.back().arrival;
  play(smoother, Maker(end).rate(10, 6 * kSecond).input);
  CHECK_FALSE(smoother.active());
}

TEST_CASE("smoother: a jump of the clock, forwards by a day or backwards by a minute") {
  const Nanos bound = 100 * kMillisecond;
  Random random(4);
  for (const Nanos jump : {86'400 * kSecond, -60 * kSecond}) {
    Smoother smoother(options(bound));
    Maker maker;
    film(maker, random, 5 * kSecond);
    const std::size_t before = maker.input.size();
    film(maker, random, 5 * kSecond);
    for (std::size_t i = before; i < maker.input.size(); i++) maker.input[i].arrival += jump;
    const auto out = play(smoother, maker.input);
    CHECK(smoother.held() == 0);
    Nanos arrival = 0;
    bool kept = true;
    for (std::size_t i = 0; i < out.size(); i++) {
      arrival = std::max(arrival, maker.input[i].arrival);
      kept = kept && out[i].due <= arrival + bound && (i == 0 || out[i].due >= out[i - 1].due);
    }
    CHECK(kept);
  }
}

TEST_CASE("smoother: a pause that is announced is no variation") {
  Smoother smoother(options(200 * kMillisecond));
  play(smoother, Maker().rate(5, 5 * kSecond).input);
  smoother.restart();
  play(smoother, Maker(14 * kSecond).rate(5, 5 * kSecond).input);
  CHECK_FALSE(smoother.active());
  play(smoother, Maker(21 * kSecond).rate(5, 2 * kSecond).input);
  CHECK(smoother.active());
}

TEST_CASE("smoother: tells rates, variation and delay") {
  Maker maker;
  for (int i = 0; i < 20; i++) maker.burst(100).silence(500 * kMillisecond);
  Smoother smoother(options(200 * kMillisecond));
  play(smoother, maker.input);
  const Nanos end = maker.input.back().arrival;
  const auto state = smoother.state(end + 300 * kMillisecond);
  CHECK(state.active);
  CHECK(state.mean > 2'000'000);
  CHECK(state.mean < 2'300'000);
  CHECK(state.peak_in == 100 * 1316 * 8 * 10);
  CHECK(state.peak_out < state.peak_in * 11 / 20);
  CHECK(state.variation > 3);
  CHECK(state.delay_max > 180 * kMillisecond);
  CHECK(state.delay_max <= 200 * kMillisecond);
  CHECK(smoother.state(end + 400 * kMillisecond).delay_max == 0);
  const auto silent = smoother.state(end + 20 * kSecond);
  CHECK(silent.mean == 0);
  CHECK(silent.peak_out == 0);
}

TEST_CASE("smoother: a film's peaks are lowered, and nothing is taken from the heap") {
  Random random(6);
  Maker maker;
  film(maker, random, 60 * kSecond);
  const Nanos bound = 200 * kMillisecond;
  Smoother smoother(options(bound));
  const auto before = test::allocations();
  std::size_t head = 0;
  for (const Packet& p : maker.input) {
    while (smoother.held() > 0 && smoother.due(maker.input[head].arrival) <= p.arrival) {
      smoother.take(maker.input[head].size, maker.input[head].arrival);
      head++;
    }
    smoother.push(p.size, p.arrival);
  }
  CHECK(test::allocations() == before);
  Smoother again(options(bound));
  const auto out = play(again, maker.input);
  CHECK(paced_peak(maker.input, out) < peak_of(maker.input) * 0.8);
}
