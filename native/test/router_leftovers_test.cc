// What a daemon leaves in the kernel and in its keeper, and the next one, of another configuration, finds
// there.
#include <doctest/doctest.h>

#include <array>
#include <mutex>

#include "kernel/unix_address.h"
#include "plane/router.h"
#include "test/keeper.h"
#include "test/namespaces.h"

using namespace sluice;
using kernel::HolderStore;
using plane::MulticastRouter;
using plane::Router;
using plane::RouterEvent;
using plane::UpstreamMode;
using test::eventually;
using test::Listener;
using test::Star;
using test::Talker;

namespace {

struct Plan {
  std::uint32_t table = 0;
  UpstreamMode mode = UpstreamMode::none;
  bool v6 = true;
  std::vector<const char*> devices = {"up0", "left0", "right0"};
  kernel::Nanos grace = 130 * kernel::kSecond;
};

plane::RouterInterfaceOptions hosts_on(const char* name, bool v4) {
  plane::RouterInterfaceOptions o;
  o.name = name;
  o.querier.emplace();
  o.querier->v4 = v4;
  o.querier->version = v4 ? 3 : 2;
  o.querier->query_response = kernel::kSecond / 2;
  o.admission.open = true;
  return o;
}

/** A daemon's router, in the star's middle. */
class Daemon {
 public:
  Daemon(const Star& star, const std::string& keeper, const Plan& plan)
      : Daemon(star, plane::KeeperOptions{"", 0, keeper}, plan) {}
  Daemon(const Star& star, plane::KeeperOptions keeper, const Plan& plan) {
    plane::RouterOptions options;
    options.ipv4 = family(true, plan);
    if (plan.v6) options.ipv6 = family(false, plan);
    options.keeper = std::move(keeper);
    star.router.in([&] {
      router_ = std::make_unique<Router>(std::move(options), [this](RouterEvent e) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(e));
      });
      failure_ = router_->start();
    });
    for (const bool v4 : {true, false})
      router_->with(v4, [&](MulticastRouter& router) {
        for (const char* device : plan.devices)
          if (plan.mode != UpstreamMode::proxy || device != std::string("up0"))
            router.add(hosts_on(device, v4));
      });
  }
  [[nodiscard]] std::string failure() const { return failure_ ? failure_->code : ""; }
  [[nodiscard]] std::string not_kept() { return code_of(RouterEvent::Type::not_kept); }
  [[nodiscard]] std::string refused() { return code_of(RouterEvent::Type::interface_refused); }
  [[nodiscard]] bool resumed() {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(events_, [](const auto& e) { return e.type == RouterEvent::Type::resumed; });
  }
  [[nodiscard]] std::size_t unkept(bool v4) {
    std::size_t count = 0;
    router_->with(v4, [&](MulticastRouter& router) { count = router.unkept(); });
    return count;
  }

 private:
  /** Of the first event of that type. */
  std::string code_of(RouterEvent::Type type) {
    const std::lock_guard lock(mutex_);
    for (const RouterEvent& e : events_)
      if (e.type == type) return e.code;
    return "";
  }
  static plane::MulticastRouterOptions family(bool v4, const Plan& plan) {
    plane::MulticastRouterOptions o;
    o.v4 = v4;
    o.table = plan.table;
    o.upstream = plan.mode;
    o.proxy_device = "up0";
    o.pim.v4 = v4;
    o.restart_grace = plan.grace;
    return o;
  }

  std::mutex mutex_;
  std::vector<RouterEvent> events_;
  std::optional<kernel::Error> failure_;
  std::unique_ptr<Router> router_;
};

/** A source and a receiver of each family. */
struct Audience {
  struct One {
    Talker talker;
    Listener listener;
  };
  explicit Audience(const Star& star, const test::Network& where)
      : four{Talker(star.source, Star::group(AF_INET)),
             Listener(where, Star::group(AF_INET), Star::host(AF_INET, 1))},
        six{Talker(star.source, Star::group(AF_INET6)),
            Listener(where, Star::group(AF_INET6), Star::host(AF_INET6, 1))} {}
  static bool flows(One& one) {
    const std::size_t before = one.listener.count();
    return eventually([&] { return one.talker.send() && one.listener.count() >= before + 20; });
  }
  /** What has ended stays so. */
  static bool silent(One& one) {
    const std::size_t before = one.listener.count();
    for (int i = 0; i < 50; i++) {
      if (!one.talker.send()) return false;
      ::poll(nullptr, 0, 1);
    }
    return one.listener.count() == before;
  }
  One four;
  One six;
};

/** What systemd would be told. */
class Manager {
 public:
  explicit Manager(std::string path)
      : path_(std::move(path)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const auto at = kernel::UnixAddress::of(path_);
    REQUIRE(::bind(socket_.get(), at->get(), at->size) == 0);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /** All so far, a line break behind each. */
  const std::string& told() {
    std::array<char, 256> bytes{};
    for (ssize_t n = 0; (n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0)) > 0;)
      told_ += std::string(bytes.data(), static_cast<std::size_t>(n)) + "\n";
    return told_;
  }

 private:
  std::string path_;
  kernel::Fd socket_;
  std::string told_;
};

std::string names(const std::string& keeper) {
  auto store = HolderStore::connect(keeper);
  if (!store.ok()) return "?";
  auto all = store.value()->all();
  if (!all.ok()) return "?";
  std::string out;
  for (const auto& one : all.value()) out += one.name + " ";
  return out;
}

/** `ip mrule` of both families. */
std::string rules(const Star& star) {
  return star.router.in([] {
    std::string out;
    for (const char* command : {"ip mrule", "ip -6 mrule"}) {
      FILE* const pipe = ::popen(command, "r");
      std::array<char, 256> line{};
      while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe) != nullptr) out += line.data();
      if (pipe != nullptr) ::pclose(pipe);
    }
    return out;
  });
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("leftovers: another table, and then the kernel's own again") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  {
    Daemon before(star, keeper.path(), {5, UpstreamMode::pim});
    REQUIRE(before.failure().empty());
    REQUIRE(Audience::flows(left.four));
    REQUIRE(Audience::flows(left.six));
    CHECK(has(rules(star), "lookup 5"));
  }
  CHECK(has(names(keeper.path()), "routing4-5"));
  CHECK(Audience::flows(left.four));
  Daemon after(star, keeper.path(), {0, UpstreamMode::pim});
  REQUIRE(after.failure().empty());
  CHECK_FALSE(after.resumed());
  CHECK_FALSE(has(rules(star), "lookup 5"));
  CHECK(Audience::flows(left.four));
  CHECK(Audience::flows(left.six));
  Audience right(star, star.right);
  CHECK(Audience::flows(right.four));
  CHECK(Audience::flows(right.six));
  const std::string kept = names(keeper.path());
  CHECK_FALSE(has(kept, "-5"));
  CHECK(has(kept, "routing4-0 routing6-0"));
  // The table is nobody's: no descriptor of it is left anywhere.
  CHECK(star.router.in([] { return kernel::RoutingSocket::open({AF_INET, 5, false, nullptr}).ok(); }));
  CHECK(star.router.in([] { return kernel::RoutingSocket::open({AF_INET6, 5, false, nullptr}).ok(); }));
}

TEST_CASE("leftovers: a family that is not routed any more") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  {
    Daemon before(star, keeper.path(), {});
    REQUIRE(before.failure().empty());
    REQUIRE(Audience::flows(left.four));
    REQUIRE(Audience::flows(left.six));
  }
  Plan four;
  four.v6 = false;
  Daemon after(star, keeper.path(), four);
  REQUIRE(after.failure().empty());
  CHECK(after.resumed());
  CHECK(Audience::flows(left.four));
  CHECK(Audience::silent(left.six));
  const std::string kept = names(keeper.path());
  CHECK_FALSE(has(kept, "6-0"));
  CHECK(has(kept, "routing4-0"));
  CHECK(star.router.in([] { return kernel::RoutingSocket::open({AF_INET6, 0, false, nullptr}).ok(); }));
}

TEST_CASE("leftovers: joins of a proxy that is one no more") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  // As /proc/net/igmp has it: 232.1.1.1, and beside it the timer only where it is joined.
  const std::string joined = "010101E8";
  {
    Daemon before(star, keeper.path(), {0, UpstreamMode::proxy});
    REQUIRE(before.failure().empty());
    REQUIRE(Audience::flows(left.four));
    REQUIRE(Audience::flows(left.six));
  }
  CHECK(has(names(keeper.path()), "joins4-0-0"));
  CHECK(has(star.router.read("/proc/net/igmp"), joined));
  Daemon after(star, keeper.path(), {0, UpstreamMode::pim});
  REQUIRE(after.failure().empty());
  CHECK(after.resumed());
  CHECK_FALSE(has(star.router.read("/proc/net/igmp"), joined));
  CHECK_FALSE(has(names(keeper.path()), "joins"));
  CHECK(Audience::flows(left.four));
  CHECK(Audience::flows(left.six));
}

TEST_CASE("leftovers: what a service manager hands over to a daemon that routes nothing") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  {
    Daemon before(star, keeper.path(), {5});
    REQUIRE(before.failure().empty());
    REQUIRE(Audience::flows(left.four));
    REQUIRE(Audience::flows(left.six));
  }
  Manager manager(keeper.path() + "-manager");
  auto store = HolderStore::connect(keeper.path());
  REQUIRE(store.ok());
  auto found = store.value()->all();
  REQUIRE(found.ok());
  plane::RouterOptions nothing;
  nothing.keeper.service = manager.path();
  nothing.keeper.inherited = std::move(found.value());
  star.router.in([&] {
    Router router(std::move(nothing), [](const RouterEvent&) {});
    CHECK_FALSE(router.start());
  });
  const std::string& told = manager.told();
  for (const char* one : {"routing4-5", "interfaces4-5", "igmp4-5-0", "routing6-5", "mld6-5-0"})
    CHECK(has(told, std::string("FDSTOREREMOVE=1\nFDNAME=") + one + "\n"));
  CHECK_FALSE(has(told, "FDSTORE=1"));
  CHECK_FALSE(has(rules(star), "lookup 5"));
  // Though somebody has the descriptors still.
  CHECK(Audience::silent(left.four));
  CHECK(Audience::silent(left.six));
}

TEST_CASE(
    "leftovers: what was taken over is not put anew; what has no room is told of, and kept when there is "
    "some") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  Plan four;
  four.v6 = false;
  four.grace = 2 * kernel::kSecond;
  {
    Daemon before(star, keeper.path(), four);
    REQUIRE(before.failure().empty());
    REQUIRE(Audience::flows(left.four));
  }
  Manager manager(keeper.path() + "-manager");
  auto found = HolderStore::connect(keeper.path()).value()->all();
  REQUIRE(found.ok());
  REQUIRE(found.value().size() == 3);
  Daemon after(star, plane::KeeperOptions{manager.path(), 3, "", std::move(found.value())}, four);
  REQUIRE(after.failure().empty());
  CHECK(after.resumed());
  CHECK(after.not_kept() == "KEEPER_FULL");
  CHECK(after.unkept(true) == 1);
  CHECK(Audience::flows(left.four));
  CHECK(eventually([&] { return after.unkept(true) == 0; }));
  CHECK(has(manager.told(), "FDSTORE=1\nFDPOLL=0\nFDNAME=igmp4-0-1\n"));
  CHECK(has(manager.told(), "FDSTOREREMOVE=1\nFDNAME=igmp4-0-0\n"));
  CHECK_FALSE(has(manager.told(), "routing"));
  CHECK_FALSE(has(manager.told(), "interfaces"));
}

TEST_CASE("leftovers: rules of a daemon that nobody kept anything for") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  for (const std::string add : {"mrule add ", "-6 mrule add "})
    for (const char* const rule :
         {"iif left0 lookup 5 pref 32000", "oif left0 lookup 5 pref 32000", "iif up0 lookup 300 pref 32000",
          "iif lo lookup 5 pref 32000", "iif left0 lookup 6 pref 32001"})
      REQUIRE(star.router.ip(add + rule));
  Audience left(star, star.left);
  Daemon after(star, "", {});
  REQUIRE(after.failure().empty());
  CHECK(Audience::flows(left.four));
  CHECK(Audience::flows(left.six));
  const std::string now = rules(star);
  CHECK_FALSE(has(now, "left0 lookup 5"));
  CHECK_FALSE(has(now, "lookup 300"));
  // Neither of our interfaces, nor of our making.
  CHECK(has(now, "lo lookup 5"));
  CHECK(has(now, "left0 lookup 6"));
}

TEST_CASE("leftovers: two daemons with one keeper leave each other alone") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  Daemon lives(star, keeper.path(), {5, UpstreamMode::proxy, true, {"left0"}});
  REQUIRE(lives.failure().empty());
  REQUIRE(Audience::flows(left.four));
  const auto begin = [&] {
    Daemon another(star, keeper.path(), {0, UpstreamMode::none, true, {"right0"}});
    REQUIRE(another.failure().empty());
    const std::string kept = names(keeper.path());
    for (const char* one : {"routing4-0", "igmp4-0-", "routing4-5", "igmp4-5-", "joins4-5-", "mld6-5-"}) {
      CAPTURE(std::string(one));
      CHECK(has(kept, one));
    }
    CHECK(Audience::flows(left.four));
    CHECK(Audience::flows(left.six));
    return another.resumed();
  };
  CHECK_FALSE(begin());
  CHECK(begin());
  // Nor is an interface taken from one that routes by it.
  {
    Daemon greedy(star, "", {7, UpstreamMode::none, true, {"left0"}});
    CHECK(eventually([&] { return greedy.refused() == "ROUTING_TABLE_TAKEN"; }));
    CHECK(Audience::flows(left.four));
    CHECK(Audience::flows(left.six));
  }
  // A third of a table that is taken is told so, and harms nobody.
  Daemon third(star, keeper.path(), {5, UpstreamMode::none, true, {"right0"}});
  CHECK(third.failure() == "ROUTING_TABLE_TAKEN");
  CHECK(Audience::flows(left.four));
}

TEST_CASE("leftovers: a routing socket without the note of its interfaces is of use all the same") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  const test::Keeper keeper;
  REQUIRE(keeper.up());
  Audience left(star, star.left);
  {
    Daemon before(star, keeper.path(), {});
    REQUIRE(Audience::flows(left.four));
    REQUIRE(Audience::flows(left.six));
  }
  {
    auto store = HolderStore::connect(keeper.path());
    REQUIRE(store.ok());
    CHECK_FALSE(store.value()->remove("interfaces4-0"));
    CHECK_FALSE(store.value()->remove("interfaces6-0"));
  }
  Daemon after(star, keeper.path(), {});
  REQUIRE(after.failure().empty());
  CHECK(after.not_kept().empty());
  CHECK(Audience::flows(left.four));
  CHECK(Audience::flows(left.six));
}

TEST_CASE("leftovers: without the keeper that was wanted it routes, and says so") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  REQUIRE(star.ok);
  Audience left(star, star.left);
  Daemon alone(star, "@sluice-nobody-" + std::to_string(getpid()), {});
  REQUIRE(alone.failure().empty());
  CHECK(alone.not_kept() == "KEEPER_UNREACHABLE");
  CHECK(alone.unkept(true) == 1);
  CHECK(Audience::flows(left.four));
}
