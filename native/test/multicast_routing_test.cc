// The kernel's multicast routes, with hosts that really join and packets that really go through.
#include "kernel/multicast_routing.h"

#include <doctest/doctest.h>
#include <netinet/in.h>

#include <array>
#include <numeric>

#include "test/namespaces.h"

using namespace sluice;
using kernel::AddressBytes;
using kernel::MulticastRoute;
using kernel::RoutingOptions;
using kernel::RoutingSocket;
using kernel::Upcall;
using kernel::Vif;
using test::bytes_of;
using test::eventually;
using test::Listener;
using test::Network;
using test::Star;
using test::Talker;

namespace {

constexpr std::array<int, 2> kFamilies{AF_INET, AF_INET6};

/** A router's daemon, as far as the kernel sees it. */
struct Daemon {
  std::unique_ptr<RoutingSocket> routing;
  std::string error;
  Vif up = 0;
  Vif left = 0;
  Vif right = 0;
  std::vector<Upcall> upcalls;

  Daemon(const Network& router, const RoutingOptions& options) {
    auto opened = router.in([&] { return RoutingSocket::open(options); });
    if (!opened.ok()) {
      error = std::string(opened.error().code) + ": " + opened.error().message;
      return;
    }
    routing = std::move(opened.value());
    router.in([&] {
      up = add("up0");
      left = add("left0");
      right = add("right0");
    });
  }
  Vif add(const char* device) {
    auto vif = routing->add_interface(if_nametoindex(device));
    if (!vif.ok()) error = vif.error().message;
    return vif.ok() ? vif.value() : Vif{99};
  }
  /** Packets of whole-packet upcalls are not kept. */
  void read() {
    for (auto got = routing->receive(); !got.upcalls.empty() || routing->more(); got = routing->receive())
      upcalls.insert(upcalls.end(), got.upcalls.begin(), got.upcalls.end());
  }
  bool asked(Upcall::Kind kind) {
    return eventually([&] {
      read();
      return std::any_of(upcalls.begin(), upcalls.end(), [&](const Upcall& u) { return u.kind == kind; });
    });
  }
};

}  // namespace

TEST_CASE("routing: the kernel asks about a new source, and what waited goes on with the route") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : kFamilies) {
    CAPTURE(family);
    const Star star;
    REQUIRE(star.ok);
    Daemon daemon(star.router, {family, 0, false, nullptr});
    REQUIRE(daemon.error == "");
    CHECK(daemon.up == 0);
    CHECK(daemon.right == 2);
    const std::string group = Star::group(family);
    Listener left(star.left, group);
    Listener right(star.right, group);
    REQUIRE(left.ok());
    Talker talker(star.source, group);
    for (int i = 0; i < 3; i++) REQUIRE(talker.send());
    REQUIRE(daemon.asked(Upcall::Kind::no_route));
    CHECK(daemon.upcalls.size() == 1);
    CHECK(daemon.upcalls[0].vif == daemon.up);
    CHECK(daemon.upcalls[0].source == bytes_of(Star::host(family, 1)));
    CHECK(daemon.upcalls[0].group == bytes_of(group));

    const AddressBytes source = daemon.upcalls[0].source;
    const AddressBytes to = bytes_of(group);
    REQUIRE(daemon.routing->set({source, to, daemon.up, 1U << daemon.left}) == 0);
    CHECK(eventually([&] { return left.count() == 3; }));
    CHECK(right.count() == 0);
    // The same route, to both; then to one only.
    REQUIRE(daemon.routing->set({source, to, daemon.up, 1U << daemon.left | 1U << daemon.right}) == 0);
    REQUIRE(talker.send());
    CHECK(eventually([&] { return left.count() == 4 && right.count() == 1; }));
    // The interface that they come in by does not count.
    REQUIRE(daemon.routing->set({source, to, daemon.up, 1U << daemon.right | 1U << daemon.up}) == 0);
    REQUIRE(talker.send());
    CHECK(eventually([&] { return right.count() == 2; }));
    CHECK(left.count() == 4);
    CHECK(daemon.routing->counters(daemon.up)->packets_out == 0);

    const auto counted = daemon.routing->counters(source, to);
    REQUIRE(counted);
    CHECK(counted->packets == 5);
    CHECK(counted->bytes == 5 * (family == AF_INET ? 32 : 52));
    CHECK(counted->wrong_interface == 0);
    REQUIRE(daemon.routing->counters(daemon.right));
    CHECK(daemon.routing->counters(daemon.right)->packets_out == 2);

    CHECK(daemon.routing->remove(source, to) == 0);
    CHECK(daemon.routing->remove(source, to) == ENOENT);
    CHECK_FALSE(daemon.routing->counters(source, to));
  }
}

TEST_CASE("routing: a route for any source carries whoever sends, and only from where it leads") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : kFamilies) {
    CAPTURE(family);
    const Star star;
    Daemon daemon(star.router, {family, 0, false, nullptr});
    REQUIRE(daemon.error == "");
    const std::string group = Star::group(family);
    Listener left(star.left, group);
    Listener right(star.right, group);
    MulticastRoute route{{}, bytes_of(group), daemon.up, 1U << daemon.left};
    REQUIRE(daemon.routing->set_any_source(route) == 0);
    Talker talker(star.source, group);
    for (int i = 0; i < 20; i++) REQUIRE(talker.send());
    CHECK(eventually([&] { return left.count() == 20; }));
    route.outgoing |= 1U << daemon.right;
    REQUIRE(daemon.routing->set_any_source(route) == 0);
    REQUIRE(talker.send());
    CHECK(eventually([&] { return left.count() == 21 && right.count() == 1; }));
    // One of a source goes before it.
    const AddressBytes source = bytes_of(Star::host(family, 1));
    REQUIRE(daemon.routing->set({source, bytes_of(group), daemon.up, 1U << daemon.right}) == 0);
    REQUIRE(talker.send());
    CHECK(eventually([&] { return right.count() == 2; }));
    CHECK(left.count() == 21);
    // A host behind the left interface is no source of it.
    Talker wrong(star.left, group);
    REQUIRE(wrong.send());
    REQUIRE(eventually([&] {
      const auto counted = daemon.routing->counters(kernel::any_address(family), bytes_of(group));
      return counted && counted->wrong_interface == 1;
    }));
    CHECK(right.count() == 2);
    daemon.read();
    CHECK(daemon.upcalls.empty());
    CHECK(daemon.routing->remove_any_source(bytes_of(group), daemon.up) == 0);
    CHECK(daemon.routing->remove_any_source(bytes_of(group), daemon.up) == ENOENT);
  }
}

TEST_CASE("routing: with PIM, packets from a wrong interface and to the register interface are told of") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : kFamilies) {
    CAPTURE(family);
    const Star star;
    Daemon daemon(star.router, {family, 0, true, nullptr});
    REQUIRE(daemon.error == "");
    auto registers = star.router.in([&] { return daemon.routing->add_register_interface(); });
    REQUIRE(registers.ok());
    CHECK(daemon.routing->interfaces()[registers.value()] == RoutingSocket::kRegister);
    const AddressBytes source = bytes_of(Star::host(family, 1));
    const AddressBytes group = bytes_of(Star::group(family));
    Talker talker(star.source, Star::group(family));
    REQUIRE(daemon.routing->set({source, group, daemon.left, 1U << daemon.right}) == 0);
    REQUIRE(talker.send());
    REQUIRE(daemon.asked(Upcall::Kind::wrong_interface));
    CHECK(daemon.upcalls[0].vif == daemon.up);
    CHECK(daemon.routing->counters(source, group)->wrong_interface == 1);

    REQUIRE(daemon.routing->set({source, group, daemon.up, 1U << registers.value()}) == 0);
    REQUIRE(talker.send());
    std::vector<std::uint8_t> packet;
    REQUIRE(eventually([&] {
      for (const Upcall& u : daemon.routing->receive().upcalls) {
        if (u.kind != Upcall::Kind::whole_packet) continue;
        packet.assign(u.packet.begin(), u.packet.end());
        CHECK(u.vif == registers.value());
        CHECK(u.source == source);
        CHECK(u.group == group);
      }
      return !packet.empty();
    }));
    REQUIRE(packet.size() == (family == AF_INET ? 32 : 52));
    const int version = packet[0] / 16;
    CHECK(version == (family == AF_INET ? 4 : 6));
    // The second one that was sent.
    CHECK(packet[packet.size() - 4] == 1);

    auto routes = star.router.in([&] { return daemon.routing->dump(); });
    REQUIRE(routes.ok());
    REQUIRE(routes.value().size() == 1);
    CHECK(routes.value()[0].route == MulticastRoute{source, group, daemon.up, 1U << registers.value()});
    CHECK(routes.value()[0].counters.wrong_interface == 1);
  }
}

TEST_CASE("routing: what comes in registers enters by the register interface") {
  SLUICE_NEEDS_NETWORKS();
  const Star star;
  Daemon daemon(star.router, {AF_INET, 0, true, nullptr});
  REQUIRE(daemon.error == "");
  auto registers = star.router.in([&] { return daemon.routing->add_register_interface(); });
  REQUIRE(registers.ok());
  const std::string group = Star::group(AF_INET);
  Listener left(star.left, group);
  // A router of elsewhere, whose register holds a packet of 10.9.9.9.
  std::vector<std::uint8_t> inner{0x45, 0, 0, 32, 0,    0,    0,    0,    8, 17, 0, 0, 10, 9, 9, 9,
                                  232,  1, 1, 1,  0x13, 0x88, 0x13, 0x88, 0, 12, 0, 0, 1,  2, 3, 4};
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 2) sum += static_cast<std::uint32_t>(inner[i] << 8 | inner[i + 1]);
  sum = ~((sum & 0xffff) + (sum >> 16));
  inner[10] = static_cast<std::uint8_t>(sum >> 8);
  inner[11] = static_cast<std::uint8_t>(sum);
  // PIM version 2, type 1; the checksum covers these eight bytes.
  std::vector<std::uint8_t> message{0x21, 0, 0xde, 0xff, 0, 0, 0, 0};
  message.insert(message.end(), inner.begin(), inner.end());
  auto sender = star.source.in([] { return kernel::ControlSocket::open(kernel::ControlProtocol::pim); });
  REQUIRE(sender.ok());
  REQUIRE(daemon.routing->set(
              {bytes_of("10.9.9.9"), bytes_of(group), registers.value(), 1U << daemon.left}) == 0);
  kernel::ControlSend send;
  send.source = bytes_of(Star::host(AF_INET, 1));
  send.destination = bytes_of(Star::gateway(AF_INET, 1));
  send.hop_limit = 64;
  send.payload = message;
  REQUIRE(sender.value()->send(send) == 0);
  CHECK(eventually([&] { return left.count() == 1; }));
}

TEST_CASE("routing: a table of another daemon is not touched, and one beside it routes") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : kFamilies) {
    CAPTURE(family);
    const Star star;
    const Daemon first(star.router, {family, 0, false, nullptr});
    REQUIRE(first.error == "");
    const Daemon second(star.router, {family, 0, false, nullptr});
    CHECK(second.error.starts_with("ROUTING_TABLE_TAKEN: "));
    CHECK(second.error.find("another table") != std::string::npos);
    const Daemon wild(star.router, {family, 100'000'000, false, nullptr});
    CHECK(wild.error.starts_with("USAGE: "));

    Daemon beside(star.router, {family, 77, true, nullptr});
    REQUIRE(beside.error == "");
    const std::string group = Star::group(family);
    Listener left(star.left, group);
    const MulticastRoute route{bytes_of(Star::host(family, 1)), bytes_of(group), beside.up,
                               1U << beside.left};
    REQUIRE(beside.routing->set(route) == 0);
    Talker talker(star.source, group);
    REQUIRE(talker.send());
    CHECK(eventually([&] { return left.count() == 1; }));
    auto routes = star.router.in([&] { return beside.routing->dump(); });
    REQUIRE(routes.ok());
    REQUIRE(routes.value().size() == 1);
    CHECK(routes.value()[0].route == route);
    auto none = star.router.in([&] { return first.routing->dump(); });
    REQUIRE(none.ok());
    CHECK(none.value().empty());
    // Its rules go with it.
    const std::string rules = family == AF_INET ? "mrule | grep -q 77" : "-6 mrule | grep -q 77";
    CHECK(star.router.ip(rules));
    star.router.in([&] { beside.routing->withdraw(); });
    CHECK_FALSE(star.router.ip(rules));
  }
}

TEST_CASE("routing: the 33rd interface is refused with the number, and a place can be used again") {
  SLUICE_NEEDS_NETWORKS();
  const Network router;
  for (int i = 0; i < 17; i++) {
    const std::string name = "a" + std::to_string(i);
    REQUIRE(router.ip("link add " + name + " type veth peer name b" + std::to_string(i)));
    REQUIRE(router.ip("link set " + name + " up"));
    REQUIRE(router.ip("link set b" + std::to_string(i) + " up"));
  }
  for (const int family : kFamilies) {
    CAPTURE(family);
    auto opened = router.in([&] { return RoutingSocket::open({family, 0, false, nullptr}); });
    REQUIRE(opened.ok());
    RoutingSocket& routing = *opened.value();
    router.in([&] {
      std::vector<unsigned> devices;
      for (int i = 0; i < 17; i++)
        for (const char* side : {"a", "b"})
          devices.push_back(if_nametoindex((side + std::to_string(i)).c_str()));
      for (unsigned i = 0; i < 32; i++) {
        auto vif = routing.add_interface(devices[i]);
        REQUIRE(vif.ok());
        CHECK(int{vif.value()} == static_cast<int>(i));
        CHECK(routing.vif_of(devices[i]) == vif.value());
      }
      auto beyond = routing.add_interface(devices[32]);
      REQUIRE_FALSE(beyond.ok());
      CHECK(beyond.error().code == std::string("INTERFACE_LIMIT"));
      CHECK(beyond.error().message.find("interface a16: the kernel routes between 32 interfaces at most") !=
            std::string::npos);
      auto again = routing.add_interface(devices[3]);
      REQUIRE_FALSE(again.ok());
      CHECK(again.error().code == std::string("USAGE"));
      routing.remove_interface(7);
      CHECK_FALSE(routing.vif_of(devices[7]));
      auto reused = routing.add_interface(devices[32]);
      REQUIRE(reused.ok());
      CHECK(int{reused.value()} == 7);
      auto unknown = routing.add_interface(4'000'000);
      REQUIRE_FALSE(unknown.ok());
      CHECK(unknown.error().code == std::string("INTERFACE_UNKNOWN"));
    });
  }
}

TEST_CASE("routing: without privilege it is refused with what is needed") {
  SLUICE_NEEDS_NETWORKS();
  for (const int family : kFamilies) {
    test::Child child([family] {
      if (setuid(65534) != 0) return 2;
      auto opened = RoutingSocket::open({family, 0, false, nullptr});
      return !opened.ok() && opened.error().code == std::string("ROUTING_REFUSED") ? 0 : 1;
    });
    CHECK(child.wait() == 0);
  }
}
