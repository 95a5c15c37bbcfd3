// Messages of routers and hosts on real devices, read as a file.
#include "plane/control_capture.h"

#include <doctest/doctest.h>

#include <linux/if_ether.h>

#include "test/capture_maker.h"
#include "test/namespaces.h"

using namespace sluice;
using plane::ControlCapture;
using test::Buffer;
using test::eventually;
using test::Network;

namespace {

constexpr std::size_t kEthernet = 14;

/** An IPv4 packet with or without a router alert. */
Buffer v4(std::uint8_t protocol, bool alert, const Buffer& payload) {
  Buffer out(alert ? 24 : 20);
  out[0] = alert ? 0x46 : 0x45;
  out[8] = 1;
  out[9] = protocol;
  if (alert) out[20] = 0x94, out[21] = 4;
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

/** An IPv6 packet; `options` is the length of the hop-by-hop options, 0 for none. */
Buffer v6(std::uint8_t protocol, std::size_t options, const Buffer& payload) {
  Buffer out(40 + options);
  out[0] = 0x60;
  out[6] = options == 0 ? protocol : 0;
  if (options != 0) {
    out[40] = protocol;
    out[41] = static_cast<std::uint8_t>(options / 8 - 1);
  }
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

/** A device that frames are injected into, at the other end of the cable. */
class Injector {
 public:
  Injector(const Network& network, const std::string& device) {
    auto opened = network.in([&] { return kernel::PacketTx::open(device); });
    REQUIRE(opened.ok());
    tx_.emplace(std::move(opened.value()));
  }
  void send(std::uint16_t ethertype, const Buffer& packet) {
    Buffer frame(kEthernet);
    std::fill_n(frame.begin(), 6, 0xff);
    frame[6] = 2;
    frame[12] = static_cast<std::uint8_t>(ethertype >> 8);
    frame[13] = static_cast<std::uint8_t>(ethertype);
    frame.insert(frame.end(), packet.begin(), packet.end());
    iovec piece{frame.data(), frame.size()};
    CHECK(eventually([&] { return tx_->send({&piece, 1}, ethertype).sent; }));
  }

 private:
  std::optional<kernel::PacketTx> tx_;
};

std::unique_ptr<ControlCapture> capture(const Network& network, const plane::ControlCaptureOptions& options) {
  auto opened = network.in([&] { return ControlCapture::open(options); });
  REQUIRE(opened.ok());
  return std::move(opened.value());
}

void append(Buffer& file, codec::Bytes piece) {
  file.insert(file.end(), piece.begin(), piece.end());
}

/** Everything up to the end, once so many packets have come. */
Buffer all(ControlCapture& capture, std::uint64_t packets) {
  Buffer file;
  CHECK(eventually([&] {
    append(file, capture.read());
    return capture.counters().packets >= packets;
  }));
  append(file, capture.finish());
  CHECK(capture.finish().empty());
  CHECK(capture.read().empty());
  return file;
}

/** Two cables of a router. */
struct Cables {
  Network router;
  Network left;
  Network right;
  Cables() {
    // Nothing but what is injected.
    for (const Network* one : {&router, &left, &right}) one->set("ipv6/conf/default/disable_ipv6", "1");
    REQUIRE(router.connect("left", left, "e"));
    REQUIRE(router.connect("right", right, "e"));
  }
};

}  // namespace

TEST_CASE("control capture: IGMP, MLD and PIM of every form, and nothing else") {
  SLUICE_NEEDS_NETWORKS();
  const Cables cables;
  const auto taken = capture(cables.router, {{"left"}, 0, 1 << 20, "test"});
  Injector host(cables.left, "e");
  const Buffer body(8, 7);
  std::vector<Buffer> wanted = {v4(2, false, body),  v4(2, true, body), v4(103, false, body),
                                v4(103, true, body), v6(103, 0, body),  v6(103, 8, body)};
  for (const int type : {130, 131, 132, 143})
    for (const std::size_t options : {0, 8, 16, 24}) {
      Buffer mld = body;
      mld[0] = static_cast<std::uint8_t>(type);
      wanted.push_back(v6(58, options, mld));
    }
  std::vector<Buffer> others = {v4(17, false, body), v4(1, true, body), v6(17, 0, body), v6(17, 8, body),
                                v6(43, 0, body),     v4(2, false, {}),  v6(58, 0, {}),   v6(58, 8, {})};
  others[5].resize(5);  // the protocol is beyond the end
  for (const int type : {1, 128, 129, 133, 135, 142, 144})
    for (const std::size_t options : {0, 8}) {
      Buffer icmp = body;
      icmp[0] = static_cast<std::uint8_t>(type);
      others.push_back(v6(58, options, icmp));
    }
  const auto send = [&](const Buffer& packet) {
    host.send(packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6, packet);
  };
  for (const Buffer& packet : others) send(packet);
  host.send(0x88b5, Buffer(60, 2));
  for (const Buffer& packet : wanted) send(packet);
  const auto read = test::read_in_pieces(all(*taken, wanted.size()));
  REQUIRE_FALSE(read.damage);
  REQUIRE(read.packets.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); i++) {
    CAPTURE(i);
    CHECK(read.packets[i].link_type == codec::kLinkEthernet);
    CHECK(Buffer(read.packets[i].data.begin() + kEthernet, read.packets[i].data.end()) == wanted[i]);
  }
  CHECK(taken->counters().dropped == 0);
}

TEST_CASE("control capture: several devices, both directions, merged") {
  SLUICE_NEEDS_NETWORKS();
  const Cables cables;
  const auto taken = capture(cables.router, {{"left", "gone", "right"}, 0, 1 << 20, "test"});
  Injector left(cables.left, "e");
  Injector right(cables.right, "e");
  Injector out(cables.router, "right");
  constexpr unsigned kRounds = 40;
  Buffer file;
  for (unsigned i = 0; i < kRounds; i++) {
    const Buffer message(8, static_cast<std::uint8_t>(i));
    left.send(ETH_P_IP, v4(2, true, message));
    right.send(ETH_P_IP, v4(103, false, message));
    out.send(ETH_P_IP, v4(2, false, message));
    append(file, taken->read());
  }
  append(file, all(*taken, 3 * kRounds));
  const auto read = test::read_in_pieces(file);
  REQUIRE_FALSE(read.damage);
  REQUIRE(read.packets.size() == 3 * kRounds);
  std::array<unsigned, 2> seen{};
  std::array<std::size_t, 2> last{};
  for (std::size_t i = 0; i < read.packets.size(); i++) {
    const auto interface = read.packets[i].interface;
    REQUIRE(interface < seen.size());
    seen[interface]++;
    last[interface] = i;
  }
  // Their last ones were sent one after the other.
  CHECK(last[0] + 4 >= last[1]);
  CHECK(seen == std::array<unsigned, 2>{kRounds, 2 * kRounds});
}

TEST_CASE("control capture: limits end it at a whole packet; what nobody reads is dropped and counted") {
  SLUICE_NEEDS_NETWORKS();
  const Cables cables;
  const auto three = capture(cables.router, {{"left"}, 3, 1 << 20, "test"});
  const auto small = capture(cables.router, {{"left"}, 0, ControlCapture::kLeastBytes, "test"});
  const auto slow = capture(cables.router, {{"left"}, 0, 1 << 30, "test"});
  Injector host(cables.left, "e");
  constexpr std::uint64_t kMany = 60'000;
  for (std::uint64_t i = 0; i < kMany; i++) host.send(ETH_P_IP, v4(2, true, Buffer(16, 1)));

  const Buffer first = all(*three, 3);
  CHECK(three->full());
  CHECK(test::read_in_pieces(first).packets.size() == 3);

  Buffer file;
  CHECK(eventually([&] {
    append(file, small->read());
    return small->full();
  }));
  CHECK(file.size() <= ControlCapture::kLeastBytes);
  append(file, small->finish());
  const auto read = test::read_in_pieces(file);
  REQUIRE_FALSE(read.damage);
  CHECK(read.packets.size() == small->counters().packets);

  CHECK(eventually([&] {
    (void)slow->read();
    return slow->counters().packets + slow->counters().dropped == kMany;
  }));
  CHECK(slow->counters().dropped > 0);
}

TEST_CASE("control capture: what comes after its end is not in it") {
  SLUICE_NEEDS_NETWORKS();
  const Cables cables;
  const auto taken = capture(cables.router, {{"left"}, 0, 1 << 20, "test"});
  const auto beside = capture(cables.router, {{"left"}, 0, 1 << 20, "test"});
  Injector host(cables.left, "e");
  Buffer file;
  Buffer all_of_it;
  const auto both_have = [&](std::uint64_t packets) {
    return eventually([&] {
      append(file, taken->read());
      append(all_of_it, beside->read());
      return taken->counters().packets == packets && beside->counters().packets >= packets;
    });
  };
  const Buffer message = v4(2, true, Buffer(8, 1));
  // The first may have no time stamp of its own yet: the kernel begins to stamp when the first asks for it.
  host.send(ETH_P_IP, message);
  CHECK(both_have(1));
  host.send(ETH_P_IP, message);
  CHECK(eventually([&] {
    append(all_of_it, beside->read());
    return beside->counters().packets == 2;
  }));
  taken->stop();
  host.send(ETH_P_IP, message);
  append(all_of_it, all(*beside, 3));
  CHECK(both_have(2));
  append(file, taken->finish());
  CHECK(test::read_in_pieces(file).packets.size() == 2);
  CHECK(test::read_in_pieces(all_of_it).packets.size() == 3);
}

TEST_CASE("control capture: no device that is there") {
  SLUICE_NEEDS_NETWORKS();
  const Network network;
  network.in([] {
    auto none = ControlCapture::open({{"gone"}, 0, 1 << 20, "test"});
    REQUIRE_FALSE(none.ok());
    CHECK(std::string(none.error().code) == "INTERFACE_UNKNOWN");
    auto empty = ControlCapture::open({{}, 0, 1 << 20, "test"});
    REQUIRE_FALSE(empty.ok());
    CHECK(std::string(empty.error().code) == "USAGE");
  });
}
