// Host-side joins, as the kernel holds them and as a router hears of them.
#include "kernel/upstream_joins.h"

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <sstream>

#include "kernel/multicast_routing.h"
#include "test/namespaces.h"

using namespace sluice;
using kernel::AddressBytes;
using kernel::DescriptorStore;
using kernel::Fd;
using kernel::KeptDescriptor;
using kernel::UpstreamJoins;
using test::bytes_of;
using test::eventually;
using test::Network;

namespace {

/** A keeper in this process. */
class Shelf final : public DescriptorStore {
 public:
  std::optional<kernel::Error> put(const std::string& name, int fd) override {
    if (refuses) return kernel::Error{"KEEPER_FULL", "full"};
    kept[name] = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return std::nullopt;
  }
  std::optional<kernel::Error> remove(const std::string& name) override {
    kept.erase(name);
    return std::nullopt;
  }
  /** Duplicates, as a keeper hands them over. */
  [[nodiscard]] std::vector<KeptDescriptor> all() const {
    std::vector<KeptDescriptor> list;
    for (const auto& [name, fd] : kept) list.push_back({name, Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0))});
    return list;
  }

  std::map<std::string, Fd> kept;
  bool refuses = false;
};

/** A host and the router that it asks. */
struct Uplink {
  Network host;
  Network router;
  std::unique_ptr<kernel::RoutingSocket> routing;
  int family;
  unsigned index = 0;
  /** Records about a group as the router has heard them: a thousand times the type, and how many sources. */
  std::map<AddressBytes, std::vector<int>> records;

  explicit Uplink(int of) : family(of) {
    REQUIRE(host.connect("e", router, "r"));
    REQUIRE(host.ip("addr add 10.0.1.2/24 dev e"));
    REQUIRE(router.ip("addr add 10.0.1.1/24 dev r"));
    index = host.index("e");
    router.in([&] {
      auto opened = kernel::RoutingSocket::open({family, 0, false, nullptr});
      REQUIRE(opened.ok());
      routing = std::move(opened.value());
      REQUIRE(routing->add_interface(if_nametoindex("r")).ok());
      REQUIRE_FALSE(routing->control().join(if_nametoindex("r")));
    });
  }
  [[nodiscard]] AddressBytes group(int i) const {
    return bytes_of((family == AF_INET ? "239.1.1." : "ff35::") + std::to_string(i + 1));
  }
  [[nodiscard]] AddressBytes source(int i) const {
    return bytes_of((family == AF_INET ? "10.7.7." : "fd00:7::") + std::to_string(i + 1));
  }
  [[nodiscard]] std::vector<AddressBytes> sources(int from, int to) const {
    std::vector<AddressBytes> list;
    for (int i = from; i < to; i++) list.push_back(source(i));
    return list;
  }
  /** Group and the state of its sources, one line each, as the kernel has them: `INCLUDED EXCLUDED`. */
  [[nodiscard]] std::map<std::string, std::string> filters() const {
    std::map<std::string, std::string> all;
    std::istringstream lines(host.read(family == AF_INET ? "/proc/net/mcfilter" : "/proc/net/mcfilter6"));
    std::string number, device, group, source, included, excluded;
    std::getline(lines, number);
    while (lines >> number >> device >> group >> source >> included >> excluded)
      if (device == "e") all[group.append(" ").append(source)] = included.append(" ").append(excluded);
    return all;
  }
  /** Groups of ours that the kernel has joined on the interface. */
  [[nodiscard]] std::size_t joined() const {
    const std::string text = host.read(family == AF_INET ? "/proc/net/igmp" : "/proc/net/igmp6");
    // 239.1.1.x is printed as a little-endian number.
    const std::string ours = family == AF_INET ? "0101EF " : "ff35000000000000000000000000";
    std::size_t count = 0;
    for (auto at = text.find(ours); at != std::string::npos; at = text.find(ours, at + 1)) count++;
    return count;
  }
  /** Reads IGMPv3 and MLDv2 reports: type, count at byte 6, records from byte 8. */
  void read() {
    const std::size_t size = family == AF_INET ? 4 : 16;
    for (const auto& m : routing->receive().messages) {
      const auto p = m.payload;
      if (p[0] != (family == AF_INET ? 0x22 : 143)) continue;
      std::size_t at = 8;
      for (int n = p[6] << 8 | p[7]; n > 0 && at + 4 + size <= p.size(); n--) {
        const std::size_t count = static_cast<std::size_t>(p[at + 2] << 8 | p[at + 3]);
        AddressBytes group{};
        if (family == AF_INET)
          group = kernel::mapped(p.data() + at + 4);
        else
          std::memcpy(group.data(), p.data() + at + 4, 16);
        records[group].push_back(p[at] * 1000 + static_cast<int>(count));
        at += 4 + size + count * size;
      }
    }
  }
};

}  // namespace

TEST_CASE("upstream: joins beyond what a socket can have are spread over several") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Uplink up(family);
    up.host.in([&] {
      Shelf shelf;
      UpstreamJoins joins(family, &shelf, "up");
      for (int i = 0; i < 45; i++) REQUIRE_FALSE(joins.join(up.index, up.group(i), {}));
      CHECK(joins.size() == 45);
      CHECK(joins.sockets() == 3);
      CHECK(shelf.kept.size() == 3);
      CHECK(up.joined() == 45);
      CHECK(eventually([&] {
        up.read();
        return up.records.size() >= 45;
      }));
      for (int i = 0; i < 45; i += 2) joins.leave(up.index, up.group(i));
      CHECK(up.joined() == 22);
      // Room that was left is used before another socket is opened.
      for (int i = 100; i < 123; i++) REQUIRE_FALSE(joins.join(up.index, up.group(i), {}));
      CHECK(joins.sockets() == 3);
      joins.withdraw();
      CHECK(up.joined() == 0);
      CHECK(shelf.kept.empty());
    });
  }
}

TEST_CASE("upstream: sources, and changes between all forms of a filter, without a moment of nothing") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Uplink up(family);
    up.host.in([&] {
      // The limit of a new network is the kernel's own: 10 and 64.
      const int limit = family == AF_INET ? 10 : 64;
      UpstreamJoins joins(family);
      const auto apply = [&](bool include, int from, int to) {
        const auto list = up.sources(from, to);
        REQUIRE_FALSE(joins.join(up.index, up.group(0), {include, list}));
        std::size_t included = 0;
        std::size_t excluded = 0;
        for (const auto& [key, state] : up.filters()) {
          included += state.starts_with("1 ") || state.starts_with("2 ") ? 1 : 0;
          excluded += state.ends_with(" 0") ? 0 : 1;
        }
        return std::pair(included, excluded);
      };
      using Counts = std::pair<std::size_t, std::size_t>;
      const auto many = static_cast<std::size_t>(limit) * 2 + 5;
      CHECK(apply(true, 0, 1) == Counts{1, 0});
      CHECK(apply(true, 0, 3) == Counts{3, 0});
      CHECK(apply(true, 1, static_cast<int>(many)) == Counts{many - 1, 0});
      CHECK(joins.sockets() == 3);
      CHECK(apply(true, 2, 4) == Counts{2, 0});
      CHECK(joins.sockets() == 1);
      CHECK(apply(false, 0, 0) == Counts{0, 0});
      CHECK(up.joined() == 1);
      CHECK(apply(false, 0, 2) == Counts{0, 2});
      // More than the kernel takes: those beyond come all the same.
      CHECK(apply(false, 0, limit + 3) == Counts{0, static_cast<std::size_t>(limit)});
      CHECK(apply(true, 0, limit + 1) == Counts{static_cast<std::size_t>(limit) + 1, 0});
      CHECK(apply(false, 1, 1) == Counts{0, 0});
      CHECK(joins.sockets() == 1);
      CHECK(up.joined() == 1);
      // The last is a change to exclude {}; before it the router never heard of include {}.
      const auto& heard = up.records[up.group(0)];
      REQUIRE(eventually([&] {
        up.read();
        return !heard.empty() && heard.back() == 4000;
      }));
      CHECK(std::find(heard.begin(), heard.end(), 3000) == heard.end());
      CHECK(apply(true, 0, 0) == Counts{0, 0});
      CHECK(up.joined() == 0);
      CHECK(joins.sockets() == 0);
    });
  }
}

TEST_CASE("upstream: what cannot be is refused, and nothing of it stays") {
  SLUICE_NEEDS_NETWORKS();
  Uplink up(AF_INET);
  up.host.in([&] {
    Shelf shelf;
    UpstreamJoins joins(AF_INET, &shelf);
    const auto gone = joins.join(4'000'000, up.group(0), {});
    REQUIRE(gone);
    CHECK(gone->code == std::string("INTERFACE_UNKNOWN"));
    CHECK(joins.size() == 0);
    CHECK(joins.sockets() == 0);
    CHECK(shelf.kept.empty());
    const auto not_a_group = joins.join(up.index, bytes_of("10.0.0.1"), {});
    REQUIRE(not_a_group);
    CHECK(not_a_group->code == std::string("SYSTEM_CALL"));
    shelf.refuses = true;
    CHECK_FALSE(joins.join(up.index, up.group(0), {}));
    CHECK(joins.unkept() == 1);
    REQUIRE(joins.refusal());
    // What had no room at first is kept when there is some.
    shelf.refuses = false;
    joins.settle();
    CHECK(joins.unkept() == 0);
    CHECK(shelf.kept.size() == 1);
    joins.leave(up.index, up.group(0));
    CHECK(shelf.kept.empty());
  });
  // A limit that is lowered after it was read.
  up.host.in([&] {
    UpstreamJoins joins(AF_INET);
    up.host.set("ipv4/igmp_max_memberships", "2");
    for (int i = 0; i < 5; i++) CHECK_FALSE(joins.join(up.index, up.group(i), {}));
    CHECK(joins.sockets() == 3);
    up.host.set("ipv4/igmp_max_msf", "1");
    const auto list = up.sources(0, 2);
    const auto error = joins.join(up.index, up.group(9), {true, list});
    REQUIRE(error);
    CHECK(error->code == std::string("MEMBERSHIP_LIMIT"));
    CHECK(joins.size() == 5);
    CHECK(up.joined() == 5);
  });
}

TEST_CASE("upstream: after a restart what is wanted still goes on, and the rest ends when told") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    Uplink up(family);
    up.host.in([&] {
      Shelf shelf;
      {
        UpstreamJoins before(family, &shelf, "up");
        for (int i = 0; i < 30; i++) REQUIRE_FALSE(before.join(up.index, up.group(i), {}));
      }
      CHECK(up.joined() == 30);
      UpstreamJoins after(family, &shelf, "up");
      UpstreamJoins another(family, &shelf, "other");
      UpstreamJoins elsewhere(family, &shelf, "up", 1);
      for (KeptDescriptor& kept : shelf.all()) {
        CHECK_FALSE(another.adopt(kept));
        CHECK_FALSE(elsewhere.adopt(kept));
        CHECK(after.adopt(kept));
      }
      CHECK(after.sockets() == 2);
      // The unsolicited reports of the first joins have all been heard.
      REQUIRE(eventually([&] {
        up.read();
        return up.records.size() >= 30;
      }));
      for (int i = 0; i < 10; i++) REQUIRE_FALSE(after.join(up.index, up.group(i), {}));
      after.leave(up.index, up.group(20));
      CHECK(up.joined() == 29);
      after.settle();
      CHECK(up.joined() == 10);
      CHECK(shelf.kept.size() == 1);
      // Left are those that nobody wants: of what was joined again, no change was reported.
      const int left = 3000;
      REQUIRE(eventually([&] {
        up.read();
        const auto& heard = up.records[up.group(29)];
        return std::find(heard.begin(), heard.end(), left) != heard.end();
      }));
      for (int i = 0; i < 10; i++) {
        const auto& heard = up.records[up.group(i)];
        CHECK(std::find(heard.begin(), heard.end(), left) == heard.end());
      }
    });
  }
}
