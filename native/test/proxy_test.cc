// What is asked for above as one host: merged, held for those who come back, and kept ahead of demand.
#include "membership/proxy.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using codec::IpAddress;
using membership::kNever;
using membership::kSecond;
using membership::Nanos;
using membership::WantedSources;

namespace {

constexpr IpAddress kGroup = IpAddress::v4(0xe8010101);
constexpr IpAddress kA = IpAddress::v4(0x0a000001);
constexpr IpAddress kB = IpAddress::v4(0x0a000002);

/** One group of a proxy that holds for ten seconds; how often it asked. */
struct Bed final : membership::ProxyHost {
  void join(const IpAddress& group, const WantedSources& wanted) noexcept override {
    CHECK(group == kGroup);
    asked++;
    joined = wanted;
  }
  void pass(Nanos time) {
    now += time;
    deadlines.run(now);
  }
  void want(WantedSources wanted) { proxy.want(kGroup, std::move(wanted), now); }
  void keep(WantedSources kept) { proxy.keep(kGroup, std::move(kept), now); }
  /** As each_kept() tells: `ahead`, `held`, both or neither. */
  [[nodiscard]] std::string kept() const {
    std::string out;
    proxy.each_kept([&](const IpAddress&, const WantedSources& sources, Nanos until) {
      CHECK_FALSE(sources.empty());
      out += until == kNever ? "ahead" : "held";
      if (until != kNever) CHECK(until > now);
    });
    return out;
  }

  Nanos now = kSecond;
  int asked = 0;
  WantedSources joined;
  membership::Deadlines deadlines;
  membership::Proxy proxy{10 * kSecond, *this, deadlines};
};

}  // namespace

TEST_CASE("proxy: who comes back in time makes the network above hear nothing") {
  Bed bed;
  bed.want({false, {kA}});
  CHECK(bed.asked == 1);
  for (int i = 0; i < 5; i++) {
    bed.want({});
    CHECK(bed.kept() == "held");
    bed.pass(9 * kSecond);
    bed.want({false, {kA}});
    CHECK(bed.kept().empty());
  }
  CHECK(bed.asked == 1);
  bed.want({});
  bed.pass(10 * kSecond);
  CHECK(bed.asked == 2);
  CHECK(bed.joined.empty());
  CHECK(bed.proxy.groups() == 0);
}

TEST_CASE("proxy: what is kept is joined ahead, with what is wanted beside it") {
  Bed bed;
  bed.keep({false, {kA}});
  CHECK(bed.kept() == "ahead");
  CHECK(bed.joined == WantedSources{false, {kA}});
  bed.want({false, {kA}});
  bed.want({});
  CHECK(bed.asked == 1);
  bed.want({false, {kB}});
  CHECK(bed.joined == WantedSources{false, {kA, kB}});
  bed.want({});
  CHECK(bed.joined == WantedSources{false, {kA}});
  bed.keep({});
  CHECK(bed.kept() == "held");
  bed.pass(10 * kSecond);
  CHECK(bed.joined.empty());
  CHECK(bed.kept().empty());
}
