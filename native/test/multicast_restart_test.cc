// A router's daemon is killed under traffic, and another goes on with what a keeper has held: nothing is
// lost.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "kernel/descriptor_store.h"
#include "kernel/kept_note.h"
#include "kernel/multicast_routing.h"
#include "test/keeper.h"
#include "test/namespaces.h"

using namespace sluice;
using kernel::AddressBytes;
using kernel::Fd;
using kernel::HolderStore;
using kernel::KeptNote;
using kernel::MulticastRoute;
using kernel::RoutingSocket;
using kernel::Upcall;
using test::bytes_of;
using test::Child;
using test::eventually;
using test::Keeper;
using test::Listener;
using test::Star;
using test::Talker;

namespace {

/** What a daemon does: opens, routes, has it kept, tells so by a byte, and then lives on. */
int route_and_keep(const Star& star, int family, const std::string& keeper, int told) {
  return star.router.in([&] {
    auto store = HolderStore::connect(keeper);
    auto note = KeptNote::create();
    if (!store.ok() || !note.ok()) return 1;
    auto routing = RoutingSocket::open({family, 0, false, store.value().get()});
    if (!routing.ok()) return 1;
    for (const char* device : {"up0", "left0", "right0"}) {
      if (!routing.value()->add_interface(if_nametoindex(device)).ok()) return 2;
      if (routing.value()->control().join(if_nametoindex(device))) return 2;
    }
    const auto interfaces = routing.value()->interfaces();
    note.value().write({reinterpret_cast<const std::uint8_t*>(interfaces.data()), interfaces.size_bytes()});
    if (store.value()->put("routing", routing.value()->fd()) || store.value()->put("vifs", note.value().fd()))
      return 3;
    const MulticastRoute route{bytes_of(Star::host(family, 1)), bytes_of(Star::group(family)), 0, 1U << 1};
    if (routing.value()->set(route) != 0 || ::write(told, "x", 1) != 1) return 4;
    for (;;) pause();
  });
}

using Interfaces = std::array<unsigned, kernel::kMostVifs>;

/** What the daemon before has noted. */
Interfaces noted(Fd fd) {
  Interfaces interfaces{};
  const auto note = KeptNote::adopt(std::move(fd));
  const auto bytes = note ? note->read() : std::vector<std::uint8_t>();
  if (bytes.size() == sizeof interfaces) std::memcpy(interfaces.data(), bytes.data(), bytes.size());
  return interfaces;
}

/** Listens on the same interfaces by joins of its own, beside those that were kept, and lets these go. */
bool take_joins(kernel::ControlSocket& control, kernel::KeptDescriptor kept) {
  bool ok = control.joins().adopt(kept);
  for (const char* device : {"up0", "left0", "right0"}) ok = ok && !control.join(if_nametoindex(device));
  control.joins().settle();
  return ok && control.joins().sockets() == 1;
}

std::unique_ptr<RoutingSocket> adopt(const Star& star, int family, HolderStore& store) {
  auto all = store.all();
  REQUIRE(all.ok());
  std::map<std::string, Fd> kept;
  for (auto& one : all.value()) kept[one.name] = std::move(one.fd);
  CHECK(kept.size() == 3);
  return star.router.in([&] {
    const Interfaces interfaces = noted(std::move(kept["vifs"]));
    auto adopted = RoutingSocket::adopt({family, 0, false, &store}, std::move(kept["routing"]), interfaces);
    REQUIRE(adopted.ok());
    const std::string name = family == AF_INET ? "igmp4-0-0" : "mld6-0-0";
    CHECK(take_joins(adopted.value()->control(), {name, std::move(kept[name])}));
    return std::move(adopted.value());
  });
}

/** Whether a report has the group somewhere in it. */
bool names(std::span<const std::uint8_t> report, const AddressBytes& group) {
  const auto* const from = group.data() + (kernel::is_v4(group) ? 12 : 0);
  return std::search(report.begin(), report.end(), from, group.data() + group.size()) != report.end();
}

/** Sends `count` at a pace that no buffer minds. */
void talk(Talker& talker, int count) {
  for (int i = 0; i < count; i++) {
    REQUIRE(talker.send());
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace

TEST_CASE("restart: routes of a daemon that is killed go on, and the next one goes on with them") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Star star;
    REQUIRE(star.ok);
    const Keeper keeper;
    REQUIRE(keeper.up());
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
    const Fd told(pipe_ends[0]);
    const Fd telling(pipe_ends[1]);
    Child daemon([&] { return route_and_keep(star, family, keeper.path(), telling.get()); });
    char byte = 0;
    REQUIRE(::read(told.get(), &byte, 1) == 1);

    Listener left(star.left, Star::group(family));
    Listener right(star.right, Star::group(family));
    Listener later(star.left, Star::other_group(family));
    Talker talker(star.source, Star::group(family));
    Talker other(star.source, Star::other_group(family));
    talk(talker, 50);
    daemon.kill();
    talk(talker, 100);
    // Nobody is there to answer; the question waits.
    talk(other, 3);
    CHECK(eventually([&] { return left.count() == talker.sent(); }));

    // A host that joins now, by IGMPv3 or MLDv2, is heard later.
    const Listener joined(star.right, Star::other_group(family), Star::host(family, 1));
    auto store = HolderStore::connect(keeper.path());
    REQUIRE(store.ok());
    const auto routing = adopt(star, family, *store.value());
    REQUIRE(star.router.in([&] { return routing->vif_of(if_nametoindex("right0")); }) == std::uint8_t{2});
    auto routes = star.router.in([&] { return routing->dump(); });
    REQUIRE(routes.ok());
    const AddressBytes source = bytes_of(Star::host(family, 1));
    MulticastRoute first{source, bytes_of(Star::group(family)), 0, 1U << 1};
    CHECK(std::any_of(routes.value().begin(), routes.value().end(), [&](const auto& r) {
      return !r.unresolved && r.route == first && r.counters.packets == 150;
    }));
    std::vector<Upcall> asked;
    const unsigned right0 = star.router.index("right0");
    bool reported = false;
    REQUIRE(eventually([&] {
      const auto got = routing->receive();
      asked.insert(asked.end(), got.upcalls.begin(), got.upcalls.end());
      for (const auto& m : got.messages)
        reported = reported ||
                   (m.interface_index == right0 && names(m.payload, bytes_of(Star::other_group(family))));
      return !asked.empty() && reported;
    }));
    CHECK(asked[0].group == bytes_of(Star::other_group(family)));
    CHECK(asked[0].vif == 0);
    REQUIRE(routing->set({source, asked[0].group, 0, 1U << 1}) == 0);
    CHECK(eventually([&] { return later.count() == other.sent(); }));

    // Changed under traffic: nothing is lost where it went before.
    talk(talker, 20);
    first.outgoing |= 1U << 2;
    REQUIRE(routing->set(first) == 0);
    const std::uint32_t before = talker.sent();
    talk(talker, 20);
    CHECK(
        eventually([&] { return left.count() == talker.sent() && right.count() == talker.sent() - before; }));

    // Taken away, though the keeper has the descriptor still.
    star.router.in([&] { routing->withdraw(); });
    CHECK(star.router.in([&] { return RoutingSocket::open({family, 0, false, nullptr}).ok(); }));
  }
}

TEST_CASE("restart: only the socket that routes is taken over, and interfaces that are gone are left out") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    const Star star;
    star.router.in([&] {
      auto first = RoutingSocket::open({family, 55, true, nullptr});
      REQUIRE(first.ok());
      std::array<unsigned, kernel::kMostVifs> noted{};
      for (const char* device : {"up0", "left0", "right0"}) {
        auto vif = first.value()->add_interface(if_nametoindex(device));
        REQUIRE(vif.ok());
        noted.at(vif.value()) = if_nametoindex(device);
      }
      auto registers = first.value()->add_register_interface();
      REQUIRE(registers.ok());
      noted.at(registers.value()) = RoutingSocket::kRegister;
      const Fd kept(fcntl(first.value()->fd(), F_DUPFD_CLOEXEC, 0));
      first.value().reset();
      REQUIRE(star.router.ip("link del left0"));

      auto second =
          RoutingSocket::adopt({family, 55, true, nullptr}, Fd(fcntl(kept.get(), F_DUPFD_CLOEXEC, 0)), noted);
      REQUIRE(second.ok());
      noted.at(1) = 0;
      const auto now = second.value()->interfaces();
      CHECK(std::vector(now.begin(), now.end()) == std::vector(noted.begin(), noted.end()));
      second.value()->withdraw();
      // It does not route any more, and other descriptors never did.
      const auto code = [&](Fd fd) {
        auto adopted = RoutingSocket::adopt({family, 55, true, nullptr}, std::move(fd), noted);
        return adopted.ok() ? "" : std::string(adopted.error().code);
      };
      CHECK(code(Fd(fcntl(kept.get(), F_DUPFD_CLOEXEC, 0))) == "SYSTEM_CALL");
      CHECK(code(Fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0))) == "SYSTEM_CALL");
      CHECK(code(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))) == "SYSTEM_CALL");
    });
  }
}
