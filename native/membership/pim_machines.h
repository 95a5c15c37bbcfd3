// The state machines of RFC 7761 that a tree has on each of its interfaces, without what they act upon:
// states and timers, which whoever owns them watches.
#pragma once

#include <algorithm>

#include "membership/pim_host.h"

namespace sluice::membership {

/** The later of what is running and what is asked for; kNever is a state that only its end ends. */
constexpr Nanos extended(Nanos running, Nanos until) noexcept {
  return std::max(running, until);
}

/** A join of a neighbour: figures 2 (*,G) and 3 (S,G). */
struct Downstream {
  enum class State : std::uint8_t { no_info, join, prune_pending };
  enum class End : std::uint8_t { none, expired, pruned };

  State state = State::no_info;
  /** The Expiry Timer, while there is a join. */
  Nanos expires = kNever;
  /** The Prune-Pending Timer. */
  Nanos pruned_at = kNever;

  [[nodiscard]] constexpr bool joined() const noexcept { return state != State::no_info; }

  constexpr void on_join(Nanos until) noexcept {
    expires = joined() ? extended(expires, until) : until;
    pruned_at = kNever;
    state = State::join;
  }
  constexpr void on_prune(Nanos at) noexcept {
    if (state != State::join) return;
    pruned_at = at;
    state = State::prune_pending;
  }
  /** What has ended it by now. */
  constexpr End run(Nanos now) noexcept {
    if (!joined() || (expires > now && pruned_at > now)) return End::none;
    const bool pruned = pruned_at <= now;
    *this = {};
    return pruned ? End::pruned : End::expired;
  }
  [[nodiscard]] constexpr Nanos next() const noexcept { return std::min(expires, pruned_at); }
};

/** A neighbour's prune of a source off the shared tree: figure 4, (S,G,rpt). */
struct RptDownstream {
  enum class State : std::uint8_t { no_info, prune, prune_pending };

  State state = State::no_info;
  /** P' or PP': a Join(*,G) has been read, and what follows it may prune anew. */
  bool temporary = false;
  Nanos expires = kNever;
  Nanos prunes_at = kNever;

  [[nodiscard]] constexpr bool pruned() const noexcept { return state == State::prune; }
  [[nodiscard]] constexpr bool idle() const noexcept { return state == State::no_info; }

  constexpr void on_star_join() noexcept { temporary = !idle(); }
  constexpr void on_join() noexcept {
    if (!temporary) *this = {};
  }
  /** `at`: when those who still want it will have said so. */
  constexpr void on_prune(Nanos until, Nanos at) noexcept {
    if (idle()) {
      state = State::prune_pending;
      expires = until;
      prunes_at = at;
    } else if (temporary || pruned()) {
      expires = extended(expires, until);
    }
    temporary = false;
  }
  constexpr void on_end_of_message() noexcept {
    if (temporary) *this = {};
  }
  /** Whether it has changed by now. */
  constexpr bool run(Nanos now) noexcept {
    if (idle()) return false;
    if (state == State::prune_pending && prunes_at <= now) {
      state = State::prune;
      prunes_at = kNever;
      if (expires > now) return true;
    }
    // While a prune is pending, its expiry changes nothing (figure 4); what follows from it is seen when it
    // takes effect.
    if (state != State::prune || expires > now) return false;
    *this = {};
    return true;
  }
  [[nodiscard]] constexpr Nanos next() const noexcept {
    return state == State::prune_pending ? prunes_at : expires;
  }
};

/** Section 4.6.3. */
struct AssertMetric {
  bool rpt = true;
  std::uint32_t preference = codec::pim::kInfinitePreference;
  std::uint32_t metric = codec::pim::kInfiniteMetric;
  codec::IpAddress address;

  [[nodiscard]] constexpr bool infinite() const noexcept {
    return preference == codec::pim::kInfinitePreference && metric == codec::pim::kInfiniteMetric;
  }
  [[nodiscard]] constexpr bool is_better_than(const AssertMetric& other) const noexcept {
    if (rpt != other.rpt) return !rpt;
    if (preference != other.preference) return preference < other.preference;
    if (metric != other.metric) return metric < other.metric;
    return address > other.address;
  }
  bool operator==(const AssertMetric&) const noexcept = default;
};

/** What an assert machine is compared with: CouldAssert, AssertTrackingDesired and my_assert_metric. */
struct AssertView {
  bool could = false;
  bool tracking = false;
  AssertMetric mine;
};

/** Who forwards onto a link: figures 8 (S,G) and 9 (*,G). */
struct AssertMachine {
  enum class State : std::uint8_t { no_info, winner, loser };
  /** What is to be done beyond the state: none, an assert sent (A1, A3), a tie lost (A2, A6), its end (A5),
   * or, as the winner, its end with an AssertCancel (A4). */
  enum class Action : std::uint8_t { none, assert, lost, end, cancel };
  struct Times {
    Nanos time = 180 * kSecond;
    Nanos override_interval = 3 * kSecond;
  };

  State state = State::no_info;
  AssertMetric winner;
  Nanos until = kNever;

  [[nodiscard]] constexpr bool idle() const noexcept { return state == State::no_info; }
  [[nodiscard]] constexpr bool won() const noexcept { return state == State::winner; }
  [[nodiscard]] constexpr bool lost() const noexcept { return state == State::loser; }

  /** An assert of another router, `shared`: to the machine (*,G), which only those with the RPT bit concern.
   */
  constexpr Action on_assert(const AssertMetric& heard, const AssertView& view, bool shared,
                             const Times& times, Nanos now) noexcept {
    if (shared && !heard.rpt) return Action::none;
    const bool inferior = !view.mine.infinite() && view.mine.is_better_than(heard);
    const bool acceptable = !heard.infinite() && heard.is_better_than(view.mine);
    if (idle()) {
      if (shared ? inferior && view.could : heard.rpt ? view.could : inferior)
        return win(view.mine, times, now);
      const bool concerns = heard.rpt == shared && acceptable && view.tracking;
      return concerns ? lose(heard, times, now) : Action::none;
    }
    if (won()) {
      if (inferior) return win(view.mine, times, now);
      return heard.is_better_than(winner) ? lose(heard, times, now) : Action::none;
    }
    if (heard.is_better_than(winner)) return lose(heard, times, now);
    if (heard.address != winner.address) return Action::none;
    if (inferior || heard.infinite()) return end();
    return acceptable && heard.rpt == shared ? lose(heard, times, now) : Action::none;
  }
  /** A packet came in where we forward. */
  constexpr Action on_data(const AssertView& view, const Times& times, Nanos now) noexcept {
    return idle() && view.could ? win(view.mine, times, now) : Action::none;
  }
  /** A join for us, or a winner that is gone. */
  constexpr Action on_release() noexcept { return lost() ? end() : Action::none; }
  constexpr Action on_view(const AssertView& view) noexcept {
    if (won() && !view.could) return cancelled();
    if (won()) winner = view.mine;
    if (lost() && (!view.tracking || view.mine.is_better_than(winner))) return end();
    return Action::none;
  }
  constexpr Action run(const AssertView& view, const Times& times, Nanos now) noexcept {
    if (until > now) return Action::none;
    return won() ? win(view.mine, times, now) : end();
  }

 private:
  constexpr Action win(const AssertMetric& mine, const Times& times, Nanos now) noexcept {
    state = State::winner;
    winner = mine;
    until = now + times.time - times.override_interval;
    return Action::assert;
  }
  constexpr Action lose(const AssertMetric& heard, const Times& times, Nanos now) noexcept {
    state = State::loser;
    winner = heard;
    until = now + times.time;
    return Action::lost;
  }
  constexpr Action end() noexcept {
    *this = {};
    return Action::end;
  }
  constexpr Action cancelled() noexcept {
    *this = {};
    return Action::cancel;
  }
};

/** The DR's registers for one source: figure 1. */
struct RegisterMachine {
  enum class State : std::uint8_t { no_info, join, prune, join_pending };

  State state = State::no_info;
  /** The Register-Stop Timer. */
  Nanos stop_until = kNever;

  /** Packets go to the RP. */
  [[nodiscard]] constexpr bool registers() const noexcept { return state == State::join; }

  constexpr void on_could(bool could) noexcept {
    if (!could) *this = {};
    if (could && state == State::no_info) state = State::join;
  }
  constexpr void on_other_rp() noexcept {
    if (state != State::no_info) *this = {State::join, kNever};
  }
  constexpr void on_stop(Nanos until) noexcept {
    if (state == State::join || state == State::join_pending) *this = {State::prune, until};
  }
  /** Whether a null register is to be sent. */
  constexpr bool run(Nanos now, Nanos probe) noexcept {
    if (stop_until > now) return false;
    const bool asks = state == State::prune;
    *this = asks ? RegisterMachine{State::join_pending, now + probe} : RegisterMachine{State::join, kNever};
    return asks;
  }
};

}  // namespace sluice::membership
