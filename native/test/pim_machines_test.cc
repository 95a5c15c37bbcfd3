#include "membership/pim_machines.h"

#include <doctest/doctest.h>

#include <vector>

using namespace sluice;
using namespace sluice::membership;
using codec::IpAddress;

namespace {

constexpr Nanos kNow = 1000 * kSecond;
constexpr Nanos kHold = 210 * kSecond;

Downstream downstream(Downstream::State state) {
  Downstream made;
  if (state != Downstream::State::no_info) made.on_join(kNow + kHold);
  if (state == Downstream::State::prune_pending) made.on_prune(kNow + 3 * kSecond);
  return made;
}

RptDownstream rpt(RptDownstream::State state) {
  RptDownstream made;
  if (state == RptDownstream::State::no_info) return made;
  made.on_prune(kNow + kHold, state == RptDownstream::State::prune ? kNow : kNow + 3 * kSecond);
  made.run(kNow);
  return made;
}

constexpr AssertMachine::Times kTimes;
constexpr IpAddress kMe = IpAddress::v4(0x0a000005);
constexpr IpAddress kOther = IpAddress::v4(0x0a000006);
constexpr IpAddress kThird = IpAddress::v4(0x0a000007);

AssertMetric metric(std::uint32_t value, const IpAddress& from, bool is_rpt = false) {
  return {is_rpt, 10, value, from};
}
AssertView view(bool could, bool tracking, const AssertMetric& mine) {
  return {could, tracking, mine};
}
constexpr AssertMetric kCancel{true, codec::pim::kInfinitePreference, codec::pim::kInfiniteMetric, kOther};

AssertMachine winner(bool is_rpt = false) {
  AssertMachine made;
  made.on_data(view(true, true, metric(20, kMe, is_rpt)), kTimes, kNow);
  return made;
}
AssertMachine loser(bool is_rpt = false) {
  AssertMachine made;
  made.on_assert(metric(10, kOther, is_rpt), view(true, true, metric(20, kMe, is_rpt)), is_rpt, kTimes, kNow);
  return made;
}

}  // namespace

TEST_CASE("pim machines: downstream (*,G) and (S,G), figures 2 and 3") {
  using State = Downstream::State;
  using End = Downstream::End;
  for (const State state : {State::no_info, State::join, State::prune_pending}) {
    CAPTURE(static_cast<int>(state));
    {
      INFO("a join");
      Downstream one = downstream(state);
      one.on_join(kNow + kHold + kSecond);
      CHECK(one.state == State::join);
      CHECK(one.expires == kNow + kHold + kSecond);
      CHECK(one.pruned_at == kNever);
    }
    {
      INFO("a join never shortens another");
      Downstream one = downstream(state);
      one.on_join(kNow + kSecond);
      CHECK(one.expires == (state == State::no_info ? kNow + kSecond : kNow + kHold));
      one.on_join(kNever);
      CHECK(one.expires == kNever);
      CHECK(one.run(kNow + 100 * kHold) == End::none);
    }
    {
      INFO("a prune");
      Downstream one = downstream(state);
      one.on_prune(kNow + 5 * kSecond);
      CHECK(one.state == (state == State::no_info ? State::no_info : State::prune_pending));
      if (state == State::join) CHECK(one.pruned_at == kNow + 5 * kSecond);
      if (state == State::prune_pending) CHECK(one.pruned_at == kNow + 3 * kSecond);
      CHECK(one.joined() == (state != State::no_info));
    }
    {
      INFO("the prune takes effect");
      Downstream one = downstream(state);
      CHECK(one.run(kNow + 3 * kSecond - 1) == End::none);
      CHECK(one.run(kNow + 3 * kSecond) == (state == State::prune_pending ? End::pruned : End::none));
      CHECK(one.joined() == (state == State::join));
    }
    {
      INFO("the join expires");
      Downstream one = downstream(state);
      one.pruned_at = kNever;
      CHECK(one.run(kNow + kHold - 1) == End::none);
      CHECK(one.run(kNow + kHold) == (state == State::no_info ? End::none : End::expired));
      CHECK(one.state == State::no_info);
      CHECK(one.next() == kNever);
    }
  }
}

TEST_CASE("pim machines: downstream (S,G,rpt), figure 4") {
  using State = RptDownstream::State;
  const Nanos later = kNow + kHold + kSecond;
  for (const State state : {State::no_info, State::prune, State::prune_pending}) {
    CAPTURE(static_cast<int>(state));
    {
      INFO("Join(*,G), and nothing of the source");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_star_join();
      CHECK(one.pruned() == (state == State::prune));
      one.on_end_of_message();
      CHECK(one.idle());
      CHECK(one.next() == kNever);
    }
    {
      INFO("Join(*,G) and a prune");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_star_join();
      one.on_prune(later, kNow + 9 * kSecond);
      one.on_end_of_message();
      CHECK(one.state == (state == State::no_info ? State::prune_pending : state));
      CHECK(one.expires == later);
      CHECK(one.prunes_at ==
            (state == State::prune ? kNever : kNow + (state == State::no_info ? 9 : 3) * kSecond));
    }
    {
      INFO("Join(*,G) and Join(S,G,rpt)");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_star_join();
      one.on_join();
      CHECK(one.state == state);
      one.on_end_of_message();
      CHECK(one.idle());
    }
    {
      INFO("Join(S,G,rpt)");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_join();
      CHECK(one.idle());
      CHECK(one.next() == kNever);
    }
    {
      INFO("a prune");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_prune(later, kNow + 9 * kSecond);
      CHECK(one.state == (state == State::no_info ? State::prune_pending : state));
      CHECK(one.expires == (state == State::prune_pending ? kNow + kHold : later));
    }
    {
      INFO("its time");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      CHECK(one.run(kNow + 3 * kSecond) == (state == State::prune_pending));
      CHECK(one.pruned() == (state != State::no_info));
    }
    {
      INFO("its end");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.run(kNow + 3 * kSecond);
      CHECK(one.run(kNow + kHold) == (state != State::no_info));
      CHECK(one.idle());
    }
    {
      INFO("an end without a message changes nothing");
      RptDownstream one = rpt(state);
      CHECK(one.state == state);
      one.on_end_of_message();
      CHECK(one.state == state);
    }
  }
}

TEST_CASE("pim machines: metrics compare by RPT bit, preference, metric and address") {
  const AssertMetric one{false, 10, 20, kMe};
  CHECK(one.is_better_than({true, 1, 1, kOther}));
  CHECK(one.is_better_than({false, 11, 1, kOther}));
  CHECK(one.is_better_than({false, 10, 21, kOther}));
  CHECK_FALSE(one.is_better_than({false, 10, 20, kOther}));
  CHECK_FALSE(one.is_better_than(one));
  CHECK(one.is_better_than(kCancel));
  CHECK(kCancel.infinite());
  CHECK(AssertMetric{}.infinite());
}

TEST_CASE("pim machines: assert (S,G), figure 8") {
  using State = AssertMachine::State;
  using Action = AssertMachine::Action;
  const AssertView ours = view(true, true, metric(20, kMe));
  const AssertView listens = view(false, true, {});
  const AssertView deaf = view(false, false, {});

  SUBCASE("no info") {
    AssertMachine one;
    CHECK(one.on_assert(metric(30, kOther), deaf, false, kTimes, kNow) == Action::none);
    CHECK(one.on_assert(metric(30, kOther, true), listens, false, kTimes, kNow) == Action::none);
    CHECK(one.on_data(listens, kTimes, kNow) == Action::none);
    CHECK(one.on_assert(kCancel, listens, false, kTimes, kNow) == Action::none);
    CHECK(one.idle());
    SUBCASE("inferior, RPT bit clear: won") {
      CHECK(one.on_assert(metric(30, kOther), ours, false, kTimes, kNow) == Action::assert);
    }
    SUBCASE("RPT bit set: won") {
      CHECK(one.on_assert(metric(1, kOther, true), ours, false, kTimes, kNow) == Action::assert);
    }
    SUBCASE("data: won") {
      CHECK(one.on_data(ours, kTimes, kNow) == Action::assert);
    }
    if (!one.idle()) {
      CHECK(one.won());
      CHECK(one.winner == ours.mine);
      CHECK(one.until == kNow + kTimes.time - kTimes.override_interval);
    }
  }
  SUBCASE("no info: acceptable, RPT bit clear, is lost to whoever tracks") {
    AssertMachine one;
    CHECK(one.on_assert(metric(30, kOther), listens, false, kTimes, kNow) == Action::lost);
    CHECK(one.lost());
    CHECK(one.winner.address == kOther);
    CHECK(one.until == kNow + kTimes.time);
  }
  SUBCASE("winner") {
    AssertMachine one = winner();
    const Nanos later = kNow + 10 * kSecond;
    SUBCASE("its time: asserts anew") {
      CHECK(one.run(ours, kTimes, one.until - 1) == Action::none);
      const Nanos then = one.until;
      CHECK(one.run(ours, kTimes, then) == Action::assert);
      CHECK(one.until == then + kTimes.time - kTimes.override_interval);
    }
    SUBCASE("inferior: asserts anew") {
      CHECK(one.on_assert(metric(30, kOther), ours, false, kTimes, later) == Action::assert);
      CHECK(one.on_assert(metric(1, kOther, true), ours, false, kTimes, later) == Action::assert);
      CHECK(one.on_assert(kCancel, ours, false, kTimes, later) == Action::assert);
      CHECK(one.won());
      CHECK(one.until == later + kTimes.time - kTimes.override_interval);
    }
    SUBCASE("preferred: lost") {
      CHECK(one.on_assert(metric(10, kOther), ours, false, kTimes, later) == Action::lost);
      CHECK(one.lost());
    }
    SUBCASE("cannot any more: cancels") {
      CHECK(one.on_view(ours) == Action::none);
      CHECK(one.on_view(listens) == Action::cancel);
      CHECK(one.idle());
    }
    SUBCASE("data, or a join for us: nothing") {
      CHECK(one.on_data(ours, kTimes, later) == Action::none);
      CHECK(one.on_release() == Action::none);
      CHECK(one.won());
    }
  }
  SUBCASE("loser") {
    AssertMachine one = loser();
    CHECK(one.lost());
    const Nanos later = kNow + 10 * kSecond;
    SUBCASE("preferred: another winner") {
      CHECK(one.on_assert(metric(5, kThird), ours, false, kTimes, later) == Action::lost);
      CHECK(one.winner.address == kThird);
      CHECK(one.until == later + kTimes.time);
    }
    SUBCASE("acceptable of the winner: goes on, even if worse than before") {
      CHECK(one.on_assert(metric(15, kOther), ours, false, kTimes, later) == Action::lost);
      CHECK(one.winner.metric == 15);
      CHECK(one.until == later + kTimes.time);
    }
    SUBCASE("acceptable of another: nothing") {
      CHECK(one.on_assert(metric(15, kThird), ours, false, kTimes, later) == Action::none);
      CHECK(one.winner.address == kOther);
    }
    SUBCASE("inferior or cancel of the winner: ends") {
      SUBCASE("inferior") {
        CHECK(one.on_assert(metric(30, kOther), ours, false, kTimes, later) == Action::end);
      }
      SUBCASE("cancel") {
        CHECK(one.on_assert(kCancel, listens, false, kTimes, later) == Action::end);
      }
      CHECK(one.state == State::no_info);
    }
    SUBCASE("inferior of another: nothing") {
      CHECK(one.on_assert(metric(30, kThird), ours, false, kTimes, later) == Action::none);
      CHECK(one.lost());
    }
    SUBCASE("ends") {
      SUBCASE("with its time") {
        CHECK(one.run(ours, kTimes, one.until) == Action::end);
      }
      SUBCASE("where nobody tracks any more") {
        CHECK(one.on_view(deaf) == Action::end);
      }
      SUBCASE("when ours is better") {
        CHECK(one.on_view(view(true, true, metric(9, kMe))) == Action::end);
      }
      SUBCASE("with a join for us, or the winner") {
        CHECK(one.on_release() == Action::end);
      }
      CHECK(one.idle());
      CHECK(one.until == kNever);
    }
    SUBCASE("data: nothing") {
      CHECK(one.on_data(ours, kTimes, later) == Action::none);
    }
  }
}

TEST_CASE("pim machines: assert (*,G), figure 9") {
  using Action = AssertMachine::Action;
  const AssertView ours = view(true, true, metric(20, kMe, true));
  const AssertView listens = view(false, true, {});
  const AssertView deaf = view(false, false, {});

  SUBCASE("no info") {
    AssertMachine one;
    CHECK(one.on_assert(metric(1, kOther), ours, true, kTimes, kNow) == Action::none);
    CHECK(one.on_assert(metric(10, kOther, true), deaf, true, kTimes, kNow) == Action::none);
    CHECK(one.on_data(listens, kTimes, kNow) == Action::none);
    CHECK(one.idle());
    SUBCASE("inferior: won") {
      CHECK(one.on_assert(metric(30, kOther, true), ours, true, kTimes, kNow) == Action::assert);
    }
    SUBCASE("data: won") {
      CHECK(one.on_data(ours, kTimes, kNow) == Action::assert);
    }
    SUBCASE("acceptable: lost") {
      CHECK(one.on_assert(metric(10, kOther, true), ours, true, kTimes, kNow) == Action::lost);
    }
    SUBCASE("acceptable where we only listen: lost") {
      CHECK(one.on_assert(metric(30, kOther, true), listens, true, kTimes, kNow) == Action::lost);
    }
  }
  SUBCASE("winner") {
    AssertMachine one = winner(true);
    SUBCASE("of a source's own tree: nothing") {
      CHECK(one.on_assert(metric(1, kOther), ours, true, kTimes, kNow) == Action::none);
      CHECK(one.won());
    }
    SUBCASE("inferior") {
      CHECK(one.on_assert(metric(30, kOther, true), ours, true, kTimes, kNow) == Action::assert);
    }
    SUBCASE("preferred") {
      CHECK(one.on_assert(metric(10, kOther, true), ours, true, kTimes, kNow) == Action::lost);
    }
    SUBCASE("cannot any more") {
      CHECK(one.on_view(listens) == Action::cancel);
    }
    SUBCASE("its time") {
      CHECK(one.run(ours, kTimes, one.until) == Action::assert);
    }
  }
  SUBCASE("loser") {
    AssertMachine one = loser(true);
    SUBCASE("preferred") {
      CHECK(one.on_assert(metric(5, kThird, true), ours, true, kTimes, kNow) == Action::lost);
    }
    SUBCASE("acceptable of the winner") {
      CHECK(one.on_assert(metric(15, kOther, true), ours, true, kTimes, kNow) == Action::lost);
    }
    SUBCASE("inferior of the winner") {
      CHECK(one.on_assert(metric(30, kOther, true), ours, true, kTimes, kNow) == Action::end);
    }
    SUBCASE("cancel of the winner") {
      CHECK(one.on_assert(kCancel, listens, true, kTimes, kNow) == Action::end);
    }
    SUBCASE("of a source's own tree") {
      CHECK(one.on_assert(metric(1, kOther), ours, true, kTimes, kNow) == Action::none);
      CHECK(one.winner.metric == 10);
    }
    SUBCASE("its time") {
      CHECK(one.run(ours, kTimes, one.until) == Action::end);
    }
  }
}

TEST_CASE("pim machines: registers, figure 1") {
  using State = RegisterMachine::State;
  constexpr Nanos kProbe = 5 * kSecond;
  const auto at = [&](State state) {
    RegisterMachine one;
    if (state == State::no_info) return one;
    one.on_could(true);
    if (state == State::join) return one;
    one.on_stop(kNow);
    if (state == State::join_pending) CHECK(one.run(kNow, kProbe));
    return one;
  };
  for (const State state : {State::no_info, State::join, State::prune, State::join_pending}) {
    CAPTURE(static_cast<int>(state));
    {
      INFO("can register");
      RegisterMachine one = at(state);
      CHECK(one.state == state);
      one.on_could(true);
      CHECK(one.state == (state == State::no_info ? State::join : state));
    }
    {
      INFO("cannot");
      RegisterMachine one = at(state);
      CHECK(one.state == state);
      one.on_could(false);
      CHECK(one.state == State::no_info);
      CHECK(one.stop_until == kNever);
    }
    {
      INFO("stop");
      RegisterMachine one = at(state);
      CHECK(one.state == state);
      one.on_stop(kNow + 50 * kSecond);
      CHECK(one.state == (state == State::no_info ? State::no_info : State::prune));
      if (state == State::prune) CHECK(one.stop_until == kNow);
      if (state == State::join || state == State::join_pending) CHECK(one.stop_until == kNow + 50 * kSecond);
    }
    {
      INFO("another RP");
      RegisterMachine one = at(state);
      CHECK(one.state == state);
      one.on_other_rp();
      CHECK(one.state == (state == State::no_info ? State::no_info : State::join));
      CHECK(one.stop_until == kNever);
    }
    {
      INFO("its time");
      RegisterMachine one = at(state);
      CHECK(one.state == state);
      const bool asks = one.run(kNow + kProbe, kProbe);
      CHECK(asks == (state == State::prune));
      if (state == State::prune) {
        CHECK(one.state == State::join_pending);
        CHECK(one.stop_until == kNow + 2 * kProbe);
      }
      if (state == State::join_pending) CHECK(one.registers());
    }
  }
}
