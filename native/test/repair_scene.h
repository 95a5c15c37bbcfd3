// A stream with parity and a retransmission server, a path that loses, and an input that repairs; over
// loopback, on one loop.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "plane/parity_sender.h"
#include "plane/repair_ports.h"
#include "plane/repaired_input.h"
#include "plane/retransmission_server.h"
#include "plane/sender.h"
#include "test/stream_bed.h"

namespace sluice::test {

inline constexpr std::array<std::uint16_t, 4> kRepairSteps{0, plane::kColumnPortStep, plane::kRowPortStep,
                                                           plane::kBlockPortStep};

/** A UDP socket on loopback. */
class Socket {
 public:
  explicit Socket(std::uint16_t port, const char* host = "127.0.0.1") : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    const auto to = *kernel::Address::parse(host, port);
    const int size = 4 << 20;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    ok_ = bind(fd_.get(), to.get(), to.size()) == 0;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    return kernel::Address::from(storage)->port();
  }
  /** Empty when there is nothing. */
  codec::Bytes take() {
    const ssize_t n = recv(fd_.get(), room_.data(), room_.size(), MSG_DONTWAIT);
    return codec::Bytes(room_).first(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  void send(codec::Bytes bytes, std::uint16_t port) {
    const auto to = *kernel::Address::parse("127.0.0.1", port);
    sendto(fd_.get(), bytes.data(), bytes.size(), 0, to.get(), to.size());
  }

 private:
  kernel::Fd fd_;
  bool ok_ = false;
  std::array<std::uint8_t, 2048> room_{};
};

/** The first of ports that are free up to the one of retransmissions. */
inline std::uint16_t free_ports() {
  for (int attempt = 0; attempt < 100; attempt++) {
    const std::uint16_t first = Socket(0).port() & 0xfffe;
    if (first > 65'000) continue;
    bool all = true;
    for (std::uint16_t step = 0; step <= 8; step = static_cast<std::uint16_t>(step + 2))
      all = all && Socket(static_cast<std::uint16_t>(first + step)).ok();
    if (all) return first;
  }
  FAIL("no free ports");
  return 0;
}

struct Sink final : plane::TsSink {
  void write(codec::Bytes ts, plane::Nanos) noexcept override {
    bytes.insert(bytes.end(), ts.begin(), ts.end());
  }
  void splice() noexcept override { splices++; }
  [[nodiscard]] bool wants_more() const noexcept override { return true; }
  std::vector<std::uint8_t> bytes;
  int splices = 0;
};

/** Whether the n-th datagram of a port is lost. */
using Loss = std::function<bool(std::uint16_t step, int n)>;

/** Tokens of the server, and whether the input gets one; one that does not is silent as long as nothing is
 * lost. */
struct Tokens {
  plane::Nanos lifetime = 60 * kernel::kSecond;
  bool for_input = true;
};

/** RTP packets that fast() makes in fifty milliseconds. */
inline constexpr std::uint64_t kAhead = 360;

struct Scene {
  /** With `tokens` nobody is answered without one. What so many ask for goes to `group`. */
  Scene(plane::ParitySenderOptions parity, bool asks, Loss lost, std::uint64_t rate = 100'000'000,
        std::optional<Tokens> tokens = {}, unsigned to_all_after = 0)
      : loses(std::move(lost)) {
    path_port = free_ports();
    for (const std::uint16_t step : kRepairSteps)
      path.push_back(std::make_unique<Socket>(static_cast<std::uint16_t>(path_port + step)));
    kernel::UdpTxOptions media;
    media.destination = *kernel::Address::parse("127.0.0.1", path_port);
    auto socket = kernel::UdpTx::open(media);
    REQUIRE(socket.ok());
    sender =
        std::make_unique<plane::Sender>(*bed.stream, std::move(socket.value()), plane::Batching::plain, sent);
    if (parity.any()) {
      auto opened = plane::ParitySender::open(*bed.stream, media, parity, sent);
      REQUIRE(opened.ok());
      sender->keep(std::move(opened.value()));
    }
    plane::RepairOptions repair;
    repair.columns = repair.rows = parity.parity.has_value();
    repair.recovery.block = parity.block;
    repair.recovery.playout = kernel::kSecond;
    repair.recovery.window = 1U << 14;
    if (asks) serve(rate, tokens, to_all_after, repair);
    ear_port = free_ports();
    plane::UdpInputOptions input_options;
    input_options.socket.address = "127.0.0.1";
    input_options.socket.port = ear_port;
    input_options.repair = repair;
    auto opened = plane::RepairedInput::open(bed.reactor, input_options, sink, received, nullptr);
    REQUIRE(opened.ok());
    input = std::move(opened.value());
  }

  /** A retransmission server, and an input that asks it. */
  void serve(std::uint64_t rate, const std::optional<Tokens>& tokens, unsigned to_all_after,
             plane::RepairOptions& repair) {
    plane::RetransmissionOptions options;
    options.port.socket.address = "127.0.0.1";
    options.port.socket.port = server_port();
    options.rate = rate;
    if (!tokens) options.allowed.push_back(*kernel::AddressPrefix::parse("127.0.0.0/8"));
    options.common.receivers = to_all_after;
    options.group.emplace();
    options.group->destination = *kernel::Address::parse("127.0.0.1", group.port());
    if (tokens) options.token_lifetime = tokens->lifetime;
    options.acquisition.emplace();
    auto opened = plane::RetransmissionServer::open(bed.reactor, *bed.stream, options, sent);
    REQUIRE(opened.ok());
    sender->keep(std::move(opened.value()));
    repair.feedback = kernel::Address::parse("127.0.0.1", server_port());
    repair.tokens = tokens && tokens->for_input;
    repair.recovery.asks = true;
    repair.recovery.round_trip = 5 * kernel::kMillisecond;
  }

  void hand_on() {
    for (std::size_t i = 0; i < path.size(); i++)
      for (codec::Bytes datagram = path[i]->take(); !datagram.empty(); datagram = path[i]->take()) {
        last_number = codec::load16(datagram.data() + 2);
        if (!loses(kRepairSteps[i], counts[i]++))
          path[i]->send(datagram, static_cast<std::uint16_t>(ear_port + kRepairSteps[i]));
      }
  }

  /** So many RTP packets, until all are delivered or given up; false when that takes twenty seconds. */
  bool play(std::uint64_t packets) {
    TsSource source{fast()};
    const plane::Nanos end = kernel::monotonic_now() + 20 * kernel::kSecond;
    std::uint64_t fed = 0;
    const std::uint64_t before = sent.packets;
    const auto done = [&] {
      return sent.packets > packets && received.packets + received.rtp_lost > 0 &&
             counts[0] >= static_cast<int>(sent.packets) &&
             sink.bytes.size() / 1316 + received.rtp_lost + 1 >= sent.packets;
    };
    while (!done() && kernel::monotonic_now() < end) {
      // Fifty milliseconds ahead of what has departed: the counter of that stands still while nothing is fed.
      if (fed < packets + 500 && bed.stream->wants_more() && fed < sent.packets - before + kAhead) {
        bed.stream->write(source.make(350), kernel::monotonic_now());
        fed += 50;
      }
      bed.reactor.turn();
      hand_on();
      if (meanwhile) meanwhile();
    }
    return done();
  }

  [[nodiscard]] std::uint16_t server_port() const { return static_cast<std::uint16_t>(path_port + 8); }

  StreamBed bed;
  std::uint16_t path_port = 0;
  std::uint16_t ear_port = 0;
  std::vector<std::unique_ptr<Socket>> path;
  std::array<int, 4> counts{};
  /** In the place of a group's port for what is sent again to all. */
  Socket group{0};
  Loss loses;
  /** RTP sequence number of the datagram that `loses` is asked about. */
  std::uint16_t last_number = 0;
  /** Called again and again while it plays. */
  std::function<void()> meanwhile;
  plane::SenderCounters sent{};
  plane::InputCounters received{};
  Sink sink;
  std::unique_ptr<plane::Sender> sender;
  std::unique_ptr<plane::RepairedInput> input;
};

}  // namespace sluice::test
