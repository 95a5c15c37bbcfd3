// Groups that are asked for by their addresses: what waits, what is told, and when a group ends.
#include "plane/relays.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "http/object_answer.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::Nanos;
using plane::RelayEvent;

namespace {

struct Viewer final : http::AnswerListener {
  explicit Viewer(http::Answer&& a) : answer(std::move(a)) {
    if (answer.pending) answer.pending->listen(*this);
  }
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;
  void on_answer_progress() noexcept override {
    told++;
    if (auto known = answer.pending->take()) answer = std::move(*known);
  }
  /** The status, or 0 while it waits. */
  [[nodiscard]] unsigned status() const { return answer.pending ? 0 : answer.status; }
  http::Answer answer;
  int told = 0;
};

struct Bed {
  explicit Bed(Nanos wait = kernel::kSecond, Nanos hold = kernel::kSecond, std::size_t most = 10) {
    relays.set(options(wait, hold, most));
  }
  static plane::RelayOptions options(Nanos wait, Nanos hold, std::size_t most) {
    plane::RelayOptions o;
    o.allow.push_back({std::nullopt, *kernel::AddressPrefix::parse("239.0.0.0/8")});
    o.wait = wait;
    o.hold = hold;
    o.most_groups = most;
    return o;
  }
  std::unique_ptr<Viewer> ask(const std::string& path,
                              http::Request::Method method = http::Request::Method::get) {
    http::Request request;
    request.method = method;
    request.path = path;
    auto answer = relays.resolve(request);
    return answer ? std::make_unique<Viewer>(std::move(*answer)) : nullptr;
  }
  template <class F>
  bool turn_until(F done) {
    const Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      reactor.wake();
      reactor.turn();
    }
    return true;
  }
  [[nodiscard]] std::vector<std::string> wanted() const {
    std::vector<std::string> names;
    for (const auto& e : events)
      if (e.reason == nullptr) names.push_back(e.group);
    return names;
  }
  [[nodiscard]] std::string reason(std::uint64_t stream) const {
    const auto at =
        std::find_if(events.begin(), events.end(), [&](const auto& e) { return e.stream == stream; });
    return at == events.end() ? "" : at->reason;
  }

  kernel::Reactor reactor;
  plane::RelayCounters counters{};
  std::vector<RelayEvent> events;
  plane::StreamCounters stream{};
  plane::StreamCounters other{};
  plane::Relays relays{
      reactor, counters, [this](RelayEvent event) { events.push_back(std::move(event)); },
      [](std::uint64_t handle) { return http::answer_with_text(200, std::to_string(handle)); }};
};

constexpr const char* kGroup = "239.1.1.1:5000";

}  // namespace

TEST_CASE("relays: all who wait for a group are one event, and are answered when its stream is ready") {
  Bed bed;
  std::vector<std::unique_ptr<Viewer>> viewers;
  for (int i = 0; i < 600; i++)
    viewers.push_back(bed.ask(i % 2 == 0 ? "/udp/239.1.1.1:5000" : "/rtp/239.1.1.1:5000/"));
  REQUIRE(bed.wanted() == std::vector<std::string>{kGroup});
  CHECK(bed.events[0].target.address.port() == 5000);
  CHECK(*viewers[0]->answer.source == "udp/239.1.1.1:5000");
  viewers.erase(viewers.begin() + 7);
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  CHECK_FALSE(bed.relays.open(kGroup, 43, bed.stream));
  bed.reactor.wake();
  bed.reactor.turn();
  CHECK(viewers[0]->status() == 0);
  bed.relays.ready(41);
  bed.relays.ready(42);
  CHECK(bed.turn_until([&] {
    return std::all_of(viewers.begin(), viewers.end(), [](const auto& v) { return v->status() == 200; });
  }));
  CHECK(*viewers[0]->answer.text == "42");
  CHECK(viewers[0]->told == 1);
  CHECK(bed.counters.told == 599);
  CHECK_MESSAGE(bed.ask("/udp/239.1.1.1:5000")->status() == 200, "without waiting");
  CHECK(bed.events.size() == 1);
}

TEST_CASE("relays: whose path is whose") {
  Bed bed;
  for (const char* path : {"/", "/udp", "/udpx/239.1.1.1:5000", "/live/a/b.ts", "/UDP/239.1.1.1:5000"})
    CHECK_FALSE(bed.ask(path));
  CHECK(bed.ask("/udp/")->status() == 400);
  CHECK(bed.ask("/rtp/238.1.1.1:5000")->status() == 403);
  CHECK(bed.ask("/rtp/239.1.1.1:5000", http::Request::Method::head)->status() == 200);
  CHECK(bed.events.empty());
  CHECK(bed.counters.malformed == 1);
  CHECK(bed.counters.forbidden == 1);
  bed.relays.set(std::nullopt);
  CHECK_FALSE(bed.ask("/udp/239.1.1.1:5000"));
}

TEST_CASE("relays: a group that nobody opens, or that gives nothing, is given up") {
  Bed bed(100 * kMillisecond);
  const auto unopened = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.turn_until([&] { return unopened->status() != 0; }));
  CHECK(unopened->status() == 504);
  CHECK(unopened->answer.retry_after == 1);
  CHECK_FALSE(bed.relays.open(kGroup, 42, bed.stream));
  CHECK_MESSAGE(bed.events.size() == 1, "there is no stream to be removed");

  const auto silent = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  REQUIRE(bed.turn_until([&] { return silent->status() == 504; }));
  CHECK(bed.reason(42) == "silent");
  CHECK(bed.counters.silent == 2);
  CHECK(bed.counters.groups == 0);
}

TEST_CASE("relays: something comes, but no picture: those who wait are told, the group stays") {
  Bed bed(200 * kMillisecond, 3600 * kernel::kSecond);
  const auto viewer = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  REQUIRE(bed.turn_until([&] {
    bed.stream.ts_packets_in++;
    return viewer->status() != 0;
  }));
  CHECK(viewer->status() == 504);
  CHECK(bed.counters.no_picture == 1);
  CHECK(bed.counters.groups == 1);
  const auto next = bed.ask("/udp/239.1.1.1:5000");
  bed.relays.ready(42);
  REQUIRE(bed.turn_until([&] { return next->status() != 0; }));
  CHECK(next->status() == 200);
  CHECK(bed.wanted().size() == 1);
}

TEST_CASE("relays: a group lasts while it is watched, and then as long as it is held") {
  Bed bed(3600 * kernel::kSecond, 300 * kMillisecond);
  const auto viewer = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  bed.relays.ready(42);
  bed.stream.viewers_continuous = 1;
  const Nanos watched = kernel::monotonic_now() + 600 * kMillisecond;
  REQUIRE(bed.turn_until([&] { return kernel::monotonic_now() > watched; }));
  CHECK(bed.counters.groups == 1);
  // Held for longer from now on.
  bed.relays.set(Bed::options(3600 * kernel::kSecond, 3600 * kernel::kSecond, 10));
  bed.stream.viewers_continuous = 0;
  const Nanos held = kernel::monotonic_now() + 500 * kMillisecond;
  REQUIRE(bed.turn_until([&] { return kernel::monotonic_now() > held; }));
  CHECK(bed.counters.groups == 1);
  bed.relays.set(Bed::options(3600 * kernel::kSecond, 300 * kMillisecond, 10));
  REQUIRE(bed.turn_until([&] { return bed.counters.groups == 0; }));
  CHECK(bed.reason(42) == "idle");
  CHECK_MESSAGE(bed.ask("/udp/239.1.1.1:5000")->status() == 0, "it is wanted anew");
  CHECK(bed.wanted().size() == 2);
}

TEST_CASE("relays: those who wait for a group count as its viewers until they go") {
  Bed bed(3600 * kernel::kSecond, 100 * kMillisecond);
  auto viewer = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  const Nanos later = kernel::monotonic_now() + 400 * kMillisecond;
  REQUIRE(bed.turn_until([&] { return kernel::monotonic_now() > later; }));
  CHECK(bed.counters.groups == 1);
  viewer.reset();
  REQUIRE(bed.turn_until([&] { return bed.counters.groups == 0; }));
  CHECK(bed.reason(42) == "idle");
}

TEST_CASE("relays: where there is no room the group that has been idle for the longest gives way") {
  Bed bed(3600 * kernel::kSecond, 3600 * kernel::kSecond, 2);
  const auto one = bed.ask("/udp/239.1.1.1:5000");
  const auto two = bed.ask("/udp/239.1.1.2:5000");
  REQUIRE(bed.relays.open(kGroup, 1, bed.stream));
  REQUIRE(bed.relays.open("239.1.1.2:5000", 2, bed.other));
  bed.relays.ready(1);
  bed.relays.ready(2);
  bed.stream.viewers_continuous = bed.other.viewers_continuous = 1;
  REQUIRE(bed.turn_until([&] { return two->status() == 200; }));
  const auto third = bed.ask("/udp/239.1.1.3:5000");
  CHECK(third->status() == 503);
  CHECK(third->answer.retry_after == 1);
  CHECK(bed.counters.full == 1);
  bed.other.viewers_continuous = 0;
  CHECK(bed.turn_until([&] { return bed.ask("/udp/239.1.1.3:5000")->status() == 0; }));
  CHECK(bed.reason(2) == "idle");
  CHECK(bed.reason(1).empty());
  CHECK(bed.counters.groups == 2);
}

TEST_CASE("relays: what is refused is told to all who wait, and is no group any more") {
  Bed bed;
  const auto one = bed.ask("/udp/239.1.1.1:5000");
  const auto two = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.refuse(kGroup, {503, 5, "no room"}));
  CHECK_FALSE(bed.relays.refuse(kGroup, {503, 5, "no room"}));
  CHECK(bed.turn_until([&] { return one->status() == 503 && two->status() == 503; }));
  CHECK(*one->answer.text == "no room\n");
  CHECK(bed.events.size() == 1);
  const auto next = bed.ask("/udp/239.1.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 42, bed.stream));
  bed.relays.forget(42);
  CHECK(bed.turn_until([&] { return next->status() == 503; }));
  CHECK_MESSAGE(bed.reason(42).empty(), "whoever removes a stream knows");
}

TEST_CASE("relays: a list that changes ends the groups that are not on it") {
  Bed bed;
  const auto viewer = bed.ask("/udp/239.1.1.1:5000");
  const auto other = bed.ask("/udp/239.2.1.1:5000");
  REQUIRE(bed.relays.open(kGroup, 1, bed.stream));
  REQUIRE(bed.relays.open("239.2.1.1:5000", 2, bed.other));
  auto options = Bed::options(kernel::kSecond, kernel::kSecond, 10);
  options.allow = {{std::nullopt, *kernel::AddressPrefix::parse("239.1.0.0/16")}};
  bed.relays.set(options);
  CHECK(bed.reason(1).empty());
  CHECK(bed.reason(2) == "forbidden");
  CHECK(bed.turn_until([&] { return other->status() == 403; }));
  CHECK(viewer->status() == 0);
  bed.relays.set(std::nullopt);
  CHECK(bed.reason(1) == "forbidden");
  CHECK(bed.turn_until([&] { return viewer->status() == 403; }));
}
