// A multicast router among hosts and neighbours that lie, flood, or send what is broken.
#include <arpa/inet.h>
#include <netinet/in.h>

#include "codec/checksum.h"
#include "test/multicast_bed.h"

using namespace sluice;
using plane::UpstreamMode;
using test::hosts_on;
using test::ip;
using test::Listener;
using test::Star;
using test::Talker;
using Bed = test::MulticastBed;

namespace {

using Octets = std::vector<std::uint8_t>;

/** Sends what a test made up, from the left host's own address. */
class Forger {
 public:
  Forger(Bed& bed, int protocol, bool alert) : bed_(bed) {
    fd_ = kernel::Fd(bed.star.left.in([&] { return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol); }));
    const in_addr own{inet_addr("10.0.2.2")};
    const unsigned char ttl = 1;
    const std::array<std::uint8_t, 4> option{0x94, 4, 0, 0};
    bed.star.left.in([&] {
      ok_ = setsockopt(fd_.get(), IPPROTO_IP, IP_MULTICAST_IF, &own, sizeof own) == 0 &&
            setsockopt(fd_.get(), IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) == 0 &&
            (!alert || setsockopt(fd_.get(), IPPROTO_IP, IP_OPTIONS, option.data(), option.size()) == 0);
    });
  }
  [[nodiscard]] bool ok() const { return ok_; }
  bool send(const char* to, const Octets& message) {
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_addr.s_addr = inet_addr(to);
    return sendto(fd_.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&there),
                  sizeof there) == static_cast<ssize_t>(message.size());
  }

 private:
  Bed& bed_;
  kernel::Fd fd_;
  bool ok_ = false;
};

/** With the right checksum in bytes 2 and 3. */
Octets summed(Octets message) {
  message[2] = message[3] = 0;
  const std::uint16_t sum = codec::folded(codec::add_words(0, message));
  message[2] = static_cast<std::uint8_t>(sum >> 8);
  message[3] = static_cast<std::uint8_t>(sum);
  return message;
}

struct Damaged {
  const char* what;
  const char* to;
  Octets message;
  std::uint64_t plane::RouterInterfaceCounters::*counter;
};

}  // namespace

TEST_CASE("multicast hostile: IGMP that is broken, cut or from elsewhere is counted, and changes nothing") {
  SLUICE_NEEDS_NETWORKS();
  using Counters = plane::RouterInterfaceCounters;
  Bed bed(AF_INET);
  REQUIRE(bed.star.ok);
  bed.add(hosts_on("up0", true));
  bed.add(hosts_on("left0", true));
  Talker talker(bed.star.source, bed.group());
  Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  REQUIRE(bed.flows(talker, left));
  Forger forger(bed, IPPROTO_IGMP, true);
  REQUIRE(forger.ok());
  const auto* const left0 = bed.router->find("left0");
  const std::size_t groups = left0->querier()->groups();
  // To leave the group, were they right: one record TO_IN {} of 232.1.2.3, or what stands for it.
  const Octets leave3 = summed({0x22, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 232, 1, 2, 3});
  Octets wrong_sum = leave3;
  wrong_sum[15] ^= 1;
  Octets many = leave3;
  many[7] = 9;
  const Octets query = summed({0x11, 1, 0, 0, 232, 1, 2, 3, 2, 1, 0, 0});
  const std::vector<Damaged> table{
      {"checksum", "224.0.0.22", wrong_sum, &Counters::bad_checksum},
      {"more records than bytes", "224.0.0.22", summed(many), &Counters::malformed},
      {"seven bytes", "224.0.0.22", Octets(leave3.begin(), leave3.begin() + 7), &Counters::malformed},
      {"a report to all hosts", "224.0.0.1", leave3, &Counters::wrong_header},
      {"a query that no host hears", "10.0.2.1", query, &Counters::wrong_header},
      {"a query to another group", "232.1.2.9", query, &Counters::wrong_header},
  };
  for (const Damaged& one : table) {
    CAPTURE(one.what);
    const Counters before = left0->counters();
    REQUIRE(forger.send(one.to, one.message));
    REQUIRE(bed.turn_until([&] { return left0->counters().*one.counter == before.*one.counter + 1; }));
    CHECK(left0->querier()->groups() == groups);
    CHECK(left0->querier()->election().is_querier());
  }
  for (std::size_t cut = 1; cut < leave3.size(); cut++)
    REQUIRE(forger.send("224.0.0.22", Octets(leave3.begin(), leave3.begin() + static_cast<long>(cut))));
  CHECK(bed.flows(talker, left));
  CHECK(left0->querier()->groups() == groups);
  CHECK(left0->counters().malformed + left0->counters().bad_checksum >= leave3.size());
}

TEST_CASE("multicast hostile: PIM of those who are not of the link, or broken, makes no neighbour") {
  SLUICE_NEEDS_NETWORKS();
  Bed bed(AF_INET, UpstreamMode::pim);
  REQUIRE(bed.star.ok);
  auto both = hosts_on("left0", true);
  both.pim.emplace();
  bed.add(both);
  Forger forger(bed, IPPROTO_PIM, false);
  REQUIRE(forger.ok());
  const auto vif = bed.router->find("left0")->vif();
  const auto neighbours = [&] { return bed.router->pim()->link(vif)->neighbours(); };
  const auto counters = [&] { return bed.router->pim_side()->counters(); };
  const Octets hello = summed({0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105, 0, 20, 0, 4, 1, 2, 3, 4});
  Octets broken = hello;
  broken[17] ^= 1;
  REQUIRE(forger.send("224.0.0.13", broken));
  CHECK(bed.turn_until([&] { return counters().bad_checksum == 1; }));
  REQUIRE(forger.send("224.0.0.13", summed(Octets(hello.begin(), hello.begin() + 13))));
  CHECK(bed.turn_until([&] { return counters().malformed == 1; }));
  Octets version = hello;
  version[0] = 0x10;
  REQUIRE(forger.send("224.0.0.13", summed(version)));
  CHECK(bed.turn_until([&] { return counters().other == 1; }));
  CHECK(neighbours() == 0);
  REQUIRE(bed.star.left.ip("address add 192.0.2.77/32 dev e"));
  REQUIRE(bed.star.left.in([&] {
    const int one = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_PIM);
    const kernel::Fd stranger(one);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = inet_addr("192.0.2.77");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = inet_addr("224.0.0.13");
    const in_addr out{inet_addr("10.0.2.2")};
    return setsockopt(one, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) == 0 &&
           bind(one, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0 &&
           sendto(one, hello.data(), hello.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0;
  }));
  CHECK(bed.turn_until([&] { return counters().wrong_address == 1; }));
  CHECK(neighbours() == 0);
  REQUIRE(forger.send("224.0.0.13", hello));
  CHECK(bed.turn_until([&] { return neighbours() == 1; }));
}

TEST_CASE(
    "multicast hostile: packets to very many groups do not take the routes of those who want something") {
  SLUICE_NEEDS_NETWORKS();
  Bed bed(AF_INET);
  REQUIRE(bed.star.ok);
  bed.router.reset();
  bed.options.most_routes = 50;
  bed.open({});
  bed.add(hosts_on("up0", true));
  bed.add(hosts_on("left0", true));
  bed.add(hosts_on("right0", true));
  for (unsigned i = 0; i < 60; i++) {
    Talker flood(bed.star.source, "239.5.5." + std::to_string(i + 1));
    const auto seen = bed.router->counters().unknown_sources;
    REQUIRE(bed.turn_until([&] { return flood.send() && bed.router->counters().unknown_sources > seen; }));
  }
  CHECK(bed.router->routes().size() <= 25);
  Talker talker(bed.star.source, bed.group());
  Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  CHECK(bed.flows(talker, left));
  CHECK(bed.router->routes().counters().refused == 0);
}

TEST_CASE("multicast hostile: of two routers without PIM the querier forwards, unless it is told otherwise") {
  SLUICE_NEEDS_NETWORKS();
  for (const bool always : {false, true}) {
    CAPTURE(always);
    Bed bed(AF_INET, UpstreamMode::proxy);
    REQUIRE(bed.star.ok);
    auto hosts = hosts_on("left0", true);
    hosts.always_forwards = always;
    bed.add(hosts);
    Talker talker(bed.star.source, bed.group());
    Listener left(bed.star.left, bed.group(), Star::host(AF_INET, 1));
    REQUIRE(bed.flows(talker, left));
    auto* const left0 = bed.router->find("left0");
    codec::MembershipQuery query;
    query.version = 3;
    query.group = codec::IpAddress::any(true);
    query.max_response_ms = 100;
    query.robustness = 1;
    query.interval_s = 1;
    left0->on_query(ip("10.0.2.0"), query, kernel::monotonic_now());
    bed.router->settle(kernel::monotonic_now());
    REQUIRE(left0->querier()->election().yields());
    if (always)
      CHECK(bed.flows(talker, left));
    else
      CHECK(bed.silent(talker, left));
    // The other one is silent from then on.
    CHECK(bed.turn_until([&] { return !left0->querier()->election().yields(); }));
    CHECK(bed.flows(talker, left));
  }
}

TEST_CASE("multicast hostile: who was refused for want of room receives as soon as there is some") {
  SLUICE_NEEDS_NETWORKS();
  Bed bed(AF_INET, UpstreamMode::pim);
  REQUIRE(bed.star.ok);
  bed.router.reset();
  bed.options.pim.most_trees = 1;
  bed.open({});
  bed.add(hosts_on("up0", true));
  bed.add(hosts_on("left0", true));
  bed.add(hosts_on("right0", true));
  Talker talker(bed.star.source, bed.group());
  Talker other(bed.star.source, "232.9.9.9");
  auto left = std::make_unique<Listener>(bed.star.left, bed.group(), Star::host(AF_INET, 1));
  REQUIRE(bed.flows(talker, *left));
  Listener right(bed.star.right, "232.9.9.9", Star::host(AF_INET, 1));
  CHECK(bed.turn_until([&] { return bed.router->pim()->counters().trees_refused > 0; }));
  CHECK(bed.silent(other, right));
  left.reset();
  CHECK(bed.flows(other, right));
}
