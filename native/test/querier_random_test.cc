// Many hosts that join, leave and change their minds at random, as RFC 9776 section 5 has hosts do it,
// against what they truly want.
#include <random>
#include <set>

#include "test/querier_bed.h"

using namespace sluice;
using codec::RecordType;
using membership::ImmediateLeave;
using membership::QuerierOptions;
using test::kMillisecond;
using test::kSecond;
using test::Nanos;
using test::querier_options;
using test::QuerierBed;

namespace {

using Set = std::set<unsigned>;

constexpr unsigned kHosts = 6;
constexpr unsigned kGroups = 3;
constexpr unsigned kSources = 5;

Set minus(const Set& a, const Set& b) {
  Set left;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(left, left.end()));
  return left;
}
Set common(const Set& a, const Set& b) {
  Set both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

/** INCLUDE of nothing wants nothing. */
struct Wish {
  bool exclude = false;
  Set sources;
  [[nodiscard]] bool wants(unsigned source) const { return sources.contains(source) != exclude; }
  [[nodiscard]] bool any() const { return exclude || !sources.empty(); }
  bool operator==(const Wish&) const = default;
};

/** A link with hosts and a querier, and maybe another router beside it. */
class Link {
 public:
  Link(const QuerierOptions& options, unsigned seed, unsigned lost)
      : bed(options), lose(lost), random_(seed) {
    bed.settled();
  }

  void change(unsigned host, unsigned group, const Wish& to) {
    Wish& wish = wishes[{host, group}];
    const Wish from = std::exchange(wish, to);
    if (from.exclude != to.exclude) {
      tell(host, group, to.exclude ? RecordType::to_exclude : RecordType::to_include, to.sources);
      return;
    }
    const Set gone = minus(from.sources, to.sources);
    const Set come = minus(to.sources, from.sources);
    const Set& allowed = to.exclude ? gone : come;
    const Set& blocked = to.exclude ? come : gone;
    if (!allowed.empty()) tell(host, group, RecordType::allow, allowed);
    if (!blocked.empty()) tell(host, group, RecordType::block, blocked);
  }
  void change_at_random() {
    Wish wish{number(2) == 0, {}};
    for (unsigned source = 1; source <= kSources; source++)
      if (number(3) == 0) wish.sources.insert(source);
    if (number(3) == 0) wish = {};
    change(number(kHosts), number(kGroups), wish);
  }
  /** Time passes; hosts answer queries in their time, and `check` is called whenever something has happened.
   */
  template <typename Check>
  void to(Nanos at, Check check) {
    for (;;) {
      hear();
      const Nanos next = std::min(answers_.empty() ? kNever : answers_.begin()->first, bed.deadlines.next());
      if (next > at) break;
      bed.to(next);
      hear();
      while (!answers_.empty() && answers_.begin()->first <= bed.now) {
        const Answer answer = answers_.begin()->second;
        answers_.erase(answers_.begin());
        reply(answer);
      }
      if (beside != nullptr) beside->to(bed.now);
      check();
    }
    bed.to(at);
    if (beside != nullptr) beside->to(at);
  }

  [[nodiscard]] bool wanted(unsigned group, unsigned source) const {
    return std::any_of(wishes.begin(), wishes.end(), [&](const auto& one) {
      return one.first.second == group && one.second.wants(source);
    });
  }
  unsigned number(unsigned below) { return static_cast<unsigned>(random_() % below); }

  QuerierBed bed;
  QuerierBed* beside = nullptr;
  /** Of a hundred queries so many do not reach a host. */
  unsigned lose;
  std::map<std::pair<unsigned, unsigned>, Wish> wishes;

 private:
  static constexpr Nanos kNever = test::kNever;
  struct Answer {
    unsigned host;
    unsigned group;
    Set asked;
  };

  void tell(unsigned host, unsigned group, RecordType type, const Set& sources) {
    for (QuerierBed* const one : {&bed, beside}) {
      if (one == nullptr) continue;
      one->to(bed.now);
      one->record(host + 20, type, {sources.begin(), sources.end()}, group);
    }
  }
  void hear() {
    for (const QuerierBed::Sent& one : std::exchange(bed.sent, {})) {
      if (beside != nullptr) {
        beside->to(one.at);
        codec::MembershipQuery query = one.query;
        query.sources = codec::SourceList(one.sources);
        beside->querier.on_query(bed.family.host(10), query, one.at);
      }
      for (unsigned host = 0; host < kHosts; host++) {
        for (unsigned group = 0; group < kGroups; group++) {
          if (!one.query.group.is_any() && one.query.group != bed.family.group(group)) continue;
          if (number(100) < lose) continue;
          Set asked;
          for (const auto& source : one.sources) asked.insert(source.bytes()[15]);
          const Nanos delay = number(one.query.max_response_ms) * kMillisecond;
          answers_.emplace(one.at + delay, Answer{host, group, asked});
        }
      }
    }
  }
  /** RFC 9776 section 5.2. */
  void reply(const Answer& answer) {
    const Wish& wish = wishes[{answer.host, answer.group}];
    if (answer.asked.empty()) {
      if (wish.any())
        tell(answer.host, answer.group, wish.exclude ? RecordType::is_exclude : RecordType::is_include,
             wish.sources);
      return;
    }
    const Set wants = wish.exclude ? minus(answer.asked, wish.sources) : common(answer.asked, wish.sources);
    if (!wants.empty()) tell(answer.host, answer.group, RecordType::is_include, wants);
  }

  std::mt19937 random_;
  std::multimap<Nanos, Answer> answers_;
};

/** Nothing that a host wants is missing. */
void check_nothing_missing(const Link& link, const QuerierBed& bed) {
  for (const auto& [who, wish] : link.wishes)
    for (unsigned source = 1; source <= kSources + 1; source++)
      if (wish.wants(source) && !bed.forwards(source, who.second)) FAIL("a source is missing");
}

/** All timers of what is not wanted have run out: nothing that no host wants is there. */
void check_equal(const Link& link, const QuerierBed& bed) {
  for (unsigned group = 0; group < kGroups; group++) {
    CAPTURE(group);
    CAPTURE(bed.state(group));
    for (unsigned source = 1; source <= kSources + 1; source++) {
      CAPTURE(source);
      CHECK(bed.forwards(source, group) == link.wanted(group, source));
    }
    bool any = false;
    for (unsigned host = 0; host < kHosts; host++) {
      const auto found = link.wishes.find({host, group});
      any = any || (found != link.wishes.end() && found->second.any());
    }
    CHECK(bed.querier.has(bed.family.group(group)) == any);
  }
}

void check_hosts(const Link& link) {
  std::map<std::pair<unsigned, unsigned>, Wish> known;
  link.bed.querier.each_group(link.bed.now, [&](const membership::GroupView& view) {
    for (const auto& host : view.hosts) {
      Wish wish{host.excludes, {}};
      for (const auto& source : host.sources) wish.sources.insert(source.bytes()[15]);
      known[{host.address.bytes()[15] - 20U, view.group.bytes()[15]}] = wish;
    }
  });
  for (const auto& [who, wish] : link.wishes) {
    if (wish.any()) CHECK(known[who] == wish);
    if (!wish.any()) CHECK(!known.contains(who));
  }
}

QuerierOptions options(bool v4, ImmediateLeave leave) {
  QuerierOptions made = querier_options(v4);
  made.immediate_leave = leave;
  return made;
}

}  // namespace

TEST_CASE("querier random: what a host wants is never missing, and what nobody wants ends") {
  for (const ImmediateLeave leave : {ImmediateLeave::off, ImmediateLeave::tracked}) {
    for (unsigned seed = 1; seed <= 40; seed++) {
      CAPTURE(seed);
      Link link(options(seed % 2 == 0, leave), seed, 0);
      for (int round = 0; round < 3; round++) {
        for (int step = 0; step < 60; step++) {
          link.change_at_random();
          link.to(link.bed.now + link.number(3000) * kMillisecond,
                  [&] { check_nothing_missing(link, link.bed); });
        }
        link.to(link.bed.now + 600 * kSecond, [&] { check_nothing_missing(link, link.bed); });
        check_equal(link, link.bed);
        check_hosts(link);
      }
      link.wishes.clear();
      link.to(link.bed.now + 300 * kSecond, [] {});
      CHECK(link.bed.querier.groups() == 0);
      CHECK(link.bed.querier.sources() == 0);
      CHECK(link.bed.querier.hosts() == 0);
    }
  }
}

TEST_CASE("querier random: after queries were lost, what is there in the end is what hosts want") {
  for (const ImmediateLeave leave : {ImmediateLeave::off, ImmediateLeave::tracked, ImmediateLeave::always}) {
    for (unsigned seed = 1; seed <= 20; seed++) {
      CAPTURE(seed);
      Link link(options(seed % 2 == 0, leave), seed, 30);
      for (int step = 0; step < 150; step++) {
        link.change_at_random();
        link.to(link.bed.now + link.number(3000) * kMillisecond, [] {});
      }
      link.lose = 0;
      link.to(link.bed.now + 600 * kSecond, [] {});
      check_equal(link, link.bed);
    }
  }
}

TEST_CASE("querier random: one who listens beside the querier comes to the same") {
  for (const bool v4 : {true, false}) {
    for (unsigned seed = 1; seed <= 20; seed++) {
      CAPTURE(seed);
      Link link(options(v4, ImmediateLeave::off), seed, 0);
      QuerierBed beside(options(v4, ImmediateLeave::off));
      beside.querier.start(beside.family.host(11), beside.now);
      link.beside = &beside;
      const auto check = [&] { check_nothing_missing(link, beside); };
      link.to(link.bed.now + 130 * kSecond, [] {});
      REQUIRE(!beside.querier.election().is_querier());
      beside.clear();
      for (int step = 0; step < 150; step++) {
        link.change_at_random();
        link.to(link.bed.now + link.number(3000) * kMillisecond, check);
      }
      link.to(link.bed.now + 600 * kSecond, check);
      check_equal(link, beside);
      CHECK(beside.sent.empty());
    }
  }
}
