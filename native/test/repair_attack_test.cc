// Who asks the retransmission server without having proved an address: gets no more than was sent, and takes
// nothing from those who have.
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <random>

#include "codec/nack.h"
#include "codec/rams.h"
#include "test/own_network.h"
#include "test/repair_scene.h"
#include "test/rtcp_bytes.h"

using namespace sluice;
using kernel::kSecond;
using test::Datagram;
using test::Scene;
using test::Socket;
using test::Tokens;

namespace {

constexpr codec::TokenNonce kNonce{1, 2, 3, 4, 5, 6, 7, 8};

/** What there is to prove an address with. */
struct Token {
  Datagram token;
  std::uint64_t expiry = 0;
  [[nodiscard]] codec::TokenProof proof(const codec::TokenNonce& nonce = kNonce) const {
    return {7, nonce, token, expiry};
  }
};

template <class F>
Datagram compound(F&& fill) {
  Datagram bytes(1024);
  codec::RtcpWriter writer(bytes);
  fill(writer);
  bytes.resize(writer.size());
  return bytes;
}

/** A Port Mapping Request in as much as comes before it in a compound, which makes it as long as its answer.
 */
Datagram request() {
  return compound([](codec::RtcpWriter& writer) {
    writer.receiver_report(7);
    writer.cname(7, "a name of twenty-four let.");
    codec::write(writer, codec::PortMappingRequest{7, kNonce});
  });
}

/** Asks for the newest hundred packets of a stream. */
Datagram nack(const Scene& scene, const std::optional<codec::TokenProof>& proof = {}) {
  std::array<std::uint8_t, 64> pairs{};
  codec::NackWriter numbers(pairs);
  const std::int64_t end = scene.bed.stream->ring().released_sequence();
  for (std::int64_t n = end - 100; n < end; n++) numbers.add(static_cast<std::uint16_t>(n));
  return compound([&](codec::RtcpWriter& writer) {
    if (proof) codec::write(writer, *proof);
    writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack, 7,
                    scene.bed.stream->ssrc(), numbers.written());
  });
}

/** Asks for a burst (RFC 6285), and ends one. */
Datagram rapid(codec::rams::Message message, const Scene& scene,
               const std::optional<codec::TokenProof>& proof = {}) {
  std::array<std::uint8_t, codec::rams::kMostControl> control{};
  codec::rams::Writer fields(control);
  const bool asks = message == codec::rams::Message::request;
  const codec::Bytes written = asks ? fields.request({}, std::nullopt) : fields.termination({});
  return compound([&](codec::RtcpWriter& writer) {
    if (proof) codec::write(writer, *proof);
    writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rams::kFormat, 7,
                    asks ? 7 : scene.bed.stream->ssrc(), written);
  });
}

/** What went from a socket, and what came. */
struct Traffic {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t packets = 0;
  std::uint64_t retransmissions = 0;
  /** The last datagram of RTCP. */
  Datagram control;

  void drain(Socket& socket) {
    for (codec::Bytes bytes = socket.take(); !bytes.empty(); bytes = socket.take()) {
      received += bytes.size();
      packets++;
      if (codec::is_rtcp(bytes)) {
        control.assign(bytes.begin(), bytes.end());
      } else {
        retransmissions++;
      }
    }
  }
};

/** Sends one datagram to the server, and takes what it answers. */
Traffic exchange(Scene& scene, Socket& socket, codec::Bytes datagram) {
  Traffic traffic;
  const std::uint64_t before = scene.sent.feedback_in;
  socket.send(datagram, scene.server_port());
  traffic.sent = datagram.size();
  const plane::Nanos end = kernel::monotonic_now() + 5 * kSecond;
  while (scene.sent.feedback_in == before && kernel::monotonic_now() < end) scene.bed.reactor.turn();
  REQUIRE(scene.sent.feedback_in == before + 1);
  traffic.drain(socket);
  return traffic;
}

/** Until the input has its token, and says nothing more. */
void settle(Scene& scene) {
  const plane::Nanos end = kernel::monotonic_now() + 5 * kSecond;
  while (scene.received.tokens_granted == 0 && kernel::monotonic_now() < end) scene.bed.reactor.turn();
  REQUIRE(scene.received.tokens_granted == 1);
}

template <class F>
auto only(const Traffic& traffic, F&& as) -> decltype(as(codec::RtcpPacket{})) {
  const auto control = codec::RtcpCompound::parse(traffic.control, codec::RtcpForm::reduced_too);
  if (traffic.packets != 1 || !control) return std::nullopt;
  return as(*control->begin());
}

Token token_for(Scene& scene, Socket& socket) {
  const Traffic traffic = exchange(scene, socket, request());
  const auto response = only(traffic, codec::port_mapping_response);
  REQUIRE(response);
  CHECK(traffic.received <= traffic.sent);
  CHECK(response->nonce == kNonce);
  CHECK(response->asked_by == 7);
  return {{response->token.begin(), response->token.end()}, response->expiry};
}

/** One that proves nothing: asks, shows what others were given, breaks what it sends. */
class Attacker {
 public:
  explicit Attacker(Token stolen) : stolen_(std::move(stolen)) {}

  Datagram next(const Scene& scene) {
    Token invented = stolen_;
    for (std::uint8_t& byte : invented.token) byte = static_cast<std::uint8_t>(random_());
    using codec::rams::Message;
    switch (turn_++ % 11) {
      case 0:
        return nack(scene);
      case 1:
        return nack(scene, stolen_.proof());
      case 2:
        return nack(scene, invented.proof());
      case 3:
        return request();
      case 4:
        return compound([](codec::RtcpWriter& w) { codec::write(w, codec::PortMappingRequest{7, kNonce}); });
      case 5:
        return broken(nack(scene, stolen_.proof()));
      case 6:
        return rapid(Message::request, scene);
      case 7:
        return rapid(Message::request, scene, stolen_.proof());
      case 8:
        return rapid(Message::termination, scene, invented.proof());
      case 9:
        return broken(rapid(Message::request, scene, stolen_.proof()));
      default:
        return broken(request());
    }
  }

 private:
  Datagram broken(Datagram datagram) {
    for (int i = 0; i < 4; i++)
      datagram[random_() % datagram.size()] ^= static_cast<std::uint8_t>(1U << random_() % 8);
    datagram.resize(1 + random_() % datagram.size());
    return datagram;
  }

  const Token stolen_;
  std::mt19937 random_{1};
  unsigned turn_ = 0;
};

/** Bytes a second for all. */
constexpr std::uint64_t kRate = 100'000'000;

bool none(std::uint16_t, int) {
  return false;
}

bool tenth(std::uint16_t, int n) {
  return n % 10 == 3;
}

}  // namespace

TEST_CASE("tokens: an input gets one, and is answered from then on") {
  Scene scene({}, true, tenth, kRate, Tokens{});
  CHECK(scene.play(2000));
  CHECK(scene.received.missing > 150);
  CHECK(scene.received.by_retransmission == scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
  CHECK(scene.received.tokens_granted == 1);
  CHECK(scene.sent.tokens_refused == 0);
  CHECK(scene.sent.feedback_refused == 0);
  CHECK(test::damage_of(scene.sink.bytes).gaps == 0);
}

TEST_CASE("tokens: an input renews its token before it expires") {
  Scene scene({}, true, tenth, kRate, Tokens{kSecond});
  const plane::Nanos end = kernel::monotonic_now() + 20 * kSecond;
  while (scene.received.tokens_granted < 3 && kernel::monotonic_now() < end) scene.bed.reactor.turn();
  CHECK(scene.received.tokens_granted == 3);
  CHECK(scene.play(500));
  CHECK(scene.received.rtp_lost == 0);
  CHECK(scene.sent.tokens_refused == 0);
}

TEST_CASE("tokens: whoever shows none of its own gets at most as much as it sent") {
  Scene scene({}, true, none, kRate, Tokens{60 * kSecond, false});
  REQUIRE(scene.play(500));
  Socket own(0);
  Socket neighbour(0);
  Socket other(0, "127.0.0.2");
  const Token token = token_for(scene, own);

  const Traffic proved = exchange(scene, own, nack(scene, token.proof()));
  CHECK(proved.retransmissions == 100);
  const Traffic nothing = exchange(scene, own, nack(scene));
  CHECK(nothing.packets == 0);
  for (Socket* const thief : {&neighbour, &other}) {
    const Traffic replayed = exchange(scene, *thief, nack(scene, token.proof()));
    CHECK(replayed.retransmissions == 0);
    CHECK(replayed.received <= replayed.sent);
    const auto failure = only(replayed, codec::token_failure);
    REQUIRE(failure);
    CHECK(failure->nonce == kNonce);
  }
  const Traffic wrong = exchange(scene, own, nack(scene, token.proof({8})));
  CHECK(wrong.retransmissions == 0);
  CHECK(only(wrong, codec::token_failure));
  // A request shorter than its answer has none.
  const Datagram brief = compound([](codec::RtcpWriter& w) {
    codec::write(w, codec::PortMappingRequest{7, kNonce});
  });
  CHECK(exchange(scene, other, brief).packets == 0);
  // Whatever is asked in one datagram, there is one answer.
  const Datagram many = compound([&](codec::RtcpWriter& w) {
    for (int i = 0; i < 20; i++) codec::write(w, codec::PortMappingRequest{7, kNonce});
  });
  CHECK(exchange(scene, other, many).packets == 1);
  CHECK(scene.sent.tokens_granted == 2);
  CHECK(scene.sent.tokens_refused == 3);
}

TEST_CASE("tokens: a burst is for whoever shows its own, and ends when it goes") {
  Scene scene({}, true, none, kRate, Tokens{60 * kSecond, false});
  REQUIRE(scene.play(500));
  Socket own(0);
  Socket thief(0);
  const Token token = token_for(scene, own);
  const auto asking = [&](const std::optional<codec::TokenProof>& proof) {
    return rapid(codec::rams::Message::request, scene, proof);
  };
  CHECK(exchange(scene, own, asking({})).packets == 0);
  const Traffic replayed = exchange(scene, thief, asking(token.proof()));
  CHECK(replayed.received <= replayed.sent);
  CHECK(only(replayed, codec::token_failure));
  CHECK(scene.sent.acquisitions == 0);
  CHECK(exchange(scene, own, asking(token.proof())).retransmissions > 0);
  CHECK(scene.sent.acquisitions == 1);
  // Nobody else ends it.
  const Datagram end = rapid(codec::rams::Message::termination, scene, token.proof());
  CHECK(exchange(scene, thief, end).retransmissions == 0);
  const auto response = [&](const Traffic& traffic) -> std::uint16_t {
    const auto control = codec::RtcpCompound::parse(traffic.control, codec::RtcpForm::reduced_too);
    const auto feedback = control ? codec::feedback_packet(*control->begin()) : std::nullopt;
    const auto told = feedback ? codec::rams::parse_information(feedback->control) : std::nullopt;
    return told ? told->response : 0;
  };
  CHECK(response(exchange(scene, own, asking(token.proof()))) == 200);
  CHECK(response(exchange(scene, own, end)) == 201);
}

TEST_CASE("tokens: an expired one is refused") {
  Scene scene({}, true, none, kRate, Tokens{kSecond, false});
  REQUIRE(scene.play(500));
  Socket own(0);
  const Token token = token_for(scene, own);
  CHECK(exchange(scene, own, nack(scene, token.proof())).retransmissions == 100);
  const plane::Nanos end = kernel::monotonic_now() + 5 * kSecond;
  Traffic last;
  while (scene.sent.tokens_refused == 0 && kernel::monotonic_now() < end)
    last = exchange(scene, own, nack(scene, token.proof()));
  CHECK(scene.sent.tokens_refused == 1);
  CHECK(last.retransmissions == 0);
  CHECK(only(last, codec::token_failure));
}

TEST_CASE("tokens: refusals have a budget") {
  Scene scene({}, true, none, kRate, Tokens{60 * kSecond, false});
  REQUIRE(scene.play(500));
  Socket own(0);
  Socket thief(0);
  const Datagram stolen = nack(scene, token_for(scene, own).proof());
  const plane::Nanos began = kernel::monotonic_now();
  Traffic all;
  for (int i = 0; i < 5000; i++) {
    const Traffic one = exchange(scene, thief, stolen);
    all.received += one.received;
    all.retransmissions += one.retransmissions;
  }
  const double seconds = static_cast<double>(kernel::monotonic_now() - began) / kSecond;
  CHECK(scene.sent.tokens_refused == 5000);
  CHECK(all.received > 0);
  CHECK(static_cast<double>(all.received) <= 1000 * codec::kTokenFailureSize * (1 + seconds));
  CHECK(all.retransmissions == 0);
}

TEST_CASE("attack: a flood of requests without proof, with others' tokens and with broken ones") {
  Scene scene({}, true, tenth, kRate, Tokens{});
  settle(scene);
  Socket own(0);
  Attacker attacker(token_for(scene, own));
  std::vector<std::unique_ptr<Socket>> sockets;
  sockets.reserve(4);
  for (int i = 0; i < 4; i++) sockets.push_back(std::make_unique<Socket>(0));
  std::vector<Traffic> traffic(sockets.size());
  scene.meanwhile = [&] {
    for (std::size_t i = 0; i < sockets.size(); i++) {
      for (int n = 0; n < 5; n++) {
        const Datagram datagram = attacker.next(scene);
        sockets[i]->send(datagram, scene.server_port());
        traffic[i].sent += datagram.size();
      }
      traffic[i].drain(*sockets[i]);
    }
  };
  CHECK(scene.play(2000));
  for (std::size_t i = 0; i < sockets.size(); i++) {
    traffic[i].drain(*sockets[i]);
    CHECK(traffic[i].received > 0);
    CHECK(traffic[i].received <= traffic[i].sent);
    CHECK(traffic[i].retransmissions == 0);
  }
  CHECK(scene.sent.burst_packets == 0);
  CHECK(scene.sent.tokens_refused > 100);
  CHECK(scene.sent.feedback_refused > 100);
  CHECK(scene.sent.feedback_malformed > 100);
  // The one that has proved its address loses nothing by it.
  CHECK(scene.received.missing > 150);
  CHECK(scene.received.by_retransmission == scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
  CHECK(test::damage_of(scene.sink.bytes).gaps == 0);
}

namespace {

/** Sends UDP over IPv4 in another's name. */
class Forger {
 public:
  Forger() : fd_(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)) {}
  void send(codec::Bytes bytes, const char* from, std::uint16_t from_port, std::uint16_t to_port) {
    const auto source = *kernel::Address::parse(from, from_port);
    const auto target = *kernel::Address::parse("127.0.0.1", to_port);
    Datagram packet(sizeof(iphdr) + sizeof(udphdr) + bytes.size());
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.ttl = 64;
    ip.protocol = IPPROTO_UDP;
    ip.saddr = reinterpret_cast<const sockaddr_in*>(source.get())->sin_addr.s_addr;
    ip.daddr = reinterpret_cast<const sockaddr_in*>(target.get())->sin_addr.s_addr;
    udphdr udp{};
    udp.source = htons(from_port);
    udp.dest = htons(to_port);
    udp.len = htons(static_cast<std::uint16_t>(sizeof udp + bytes.size()));
    std::memcpy(packet.data(), &ip, sizeof ip);
    std::memcpy(packet.data() + sizeof ip, &udp, sizeof udp);
    std::copy(bytes.begin(), bytes.end(), packet.begin() + sizeof ip + sizeof udp);
    if (sendto(fd_.get(), packet.data(), packet.size(), 0, target.get(), target.size()) > 0) sent_++;
  }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  kernel::Fd fd_;
  std::uint64_t sent_ = 0;
};

}  // namespace

TEST_CASE("attack: requests in the name of a victim bring it no more than was sent, and no media") {
  const test::OwnNetwork network(1500);
  if (!network.ok()) {
    MESSAGE("only root can have a network of its own");
    return;
  }
  Scene scene({}, true, tenth, kRate, Tokens{});
  settle(scene);
  Socket own(0);
  Socket victim(0, "127.0.0.9");
  Attacker attacker(token_for(scene, own));
  Forger forger;
  Traffic traffic;
  scene.meanwhile = [&] {
    for (int n = 0; n < 10; n++) {
      const Datagram datagram = attacker.next(scene);
      forger.send(datagram, "127.0.0.9", victim.port(), scene.server_port());
      traffic.sent += datagram.size();
    }
    traffic.drain(victim);
  };
  CHECK(scene.play(2000));
  traffic.drain(victim);
  CHECK(forger.sent() > 1000);
  // They came, and were answered.
  CHECK(scene.sent.feedback_in > forger.sent() / 2);
  CHECK(traffic.received > 0);
  CHECK(traffic.received <= traffic.sent);
  CHECK(traffic.retransmissions == 0);
  CHECK(scene.sent.acquisitions == 0);
  CHECK(scene.received.by_retransmission == scene.received.missing);
  CHECK(scene.received.rtp_lost == 0);
}
