// Fuzz target: bytes as datagrams to a server of bursts (RFC 6285) from who may ask, and as its answers to a
// receiver that has asked.
#include <sys/socket.h>

#include <array>

#include "codec/rams.h"
#include "fuzz/check.h"
#include "plane/repaired_input.h"
#include "plane/retransmission_server.h"
#include "plane/sender.h"
#include "test/stream_bed.h"

using namespace sluice;

namespace {

constexpr std::uint64_t kPackets = 300;
constexpr std::size_t kBursts = 4;
/** Addresses that ask: each may begin some bursts only. */
constexpr std::size_t kReceivers = 64;
constexpr std::size_t kMostDatagrams = 32;

kernel::Address bound_to(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  SLUICE_HOLDS(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0);
  return *kernel::Address::from(storage);
}

kernel::Fd bound(const std::string& host) {
  kernel::Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse(host, 0);
  SLUICE_HOLDS(bind(fd.get(), any.get(), any.size()) == 0);
  return fd;
}

/** A stream whose ring holds packets, and its server. */
struct Server {
  Server() {
    test::TsSource source{test::fast()};
    while (bed.counters.packets_released < kPackets) {
      if (bed.stream->wants_more()) bed.stream->write(source.make(350), kernel::monotonic_now());
      bed.reactor.turn();
    }
    plane::RetransmissionOptions options;
    options.port.socket.address = "127.0.0.1";
    options.port.socket.port = bound_to(bound("127.0.0.1").get()).port();
    options.allowed.push_back(*kernel::AddressPrefix::parse("127.0.0.0/8"));
    options.acquisition = plane::AcquisitionOptions{300, kBursts, 100'000'000, 0, kernel::kMillisecond};
    auto opened = plane::RetransmissionServer::open(bed.reactor, *bed.stream, options, counters);
    SLUICE_HOLDS(opened.ok());
    server = std::move(opened.value());
    to = *kernel::Address::parse("127.0.0.1", options.port.socket.port);
    for (std::size_t i = 0; i < kReceivers; i++) receivers.push_back(bound("127.0.1." + std::to_string(i)));
  }

  /** What comes back is RTCP, or media of somebody who was told of a burst or asked for packets. */
  void drain(int fd) {
    std::array<std::uint8_t, 2048> answer;
    for (ssize_t n = 0; (n = recv(fd, answer.data(), answer.size(), MSG_DONTWAIT)) > 0;) {
      const auto bytes = codec::Bytes(answer).first(static_cast<std::size_t>(n));
      if (!codec::is_rtcp(bytes)) SLUICE_HOLDS(counters.acquisitions + counters.nacks > 0);
      if (!codec::is_rtcp(bytes)) continue;
      const auto compound = codec::RtcpCompound::parse(bytes, codec::RtcpForm::reduced_too);
      SLUICE_HOLDS(compound);
      const auto feedback = codec::feedback_packet(*compound->begin());
      SLUICE_HOLDS(feedback && codec::rams::parse_information(feedback->control));
    }
  }

  void take(const fuzz::Block& datagram, std::size_t from) {
    const int fd = receivers[from].get();
    const std::uint64_t before = counters.feedback_in;
    if (sendto(fd, datagram.data(), datagram.size(), 0, to.get(), to.size()) < 0) return;
    while (counters.feedback_in == before) bed.reactor.turn();
    drain(fd);
  }

  test::StreamBed bed;
  plane::SenderCounters counters{};
  std::unique_ptr<plane::RetransmissionServer> server;
  kernel::Address to;
  std::vector<kernel::Fd> receivers;
};

struct Sink final : plane::TsSink {
  void write(codec::Bytes ts, plane::Nanos) noexcept override {
    SLUICE_HOLDS(ts.size() % codec::kTsPacketSize == 0);
    for (std::size_t i = 0; i < ts.size(); i += codec::kTsPacketSize) SLUICE_HOLDS(ts[i] == 0x47);
  }
  void splice() noexcept override {}
  [[nodiscard]] bool wants_more() const noexcept override { return true; }
};

/** One that has asked, and hears whatever comes. */
struct Receiver {
  Receiver() : server(bound("127.0.0.1")) {
    plane::UdpInputOptions options;
    options.socket.address = "127.0.0.1";
    options.repair.emplace();
    options.repair->feedback = bound_to(server.get());
    options.repair->acquisition = true;
    options.repair->recovery.asks = true;
    options.repair->recovery.window = 64;
    options.repair->recovery.playout = kernel::kMillisecond;
    auto opened = plane::RepairedInput::open(reactor, options, sink, counters, nullptr);
    SLUICE_HOLDS(opened.ok());
    input = std::move(opened.value());
    std::array<std::uint8_t, 2048> request;
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    SLUICE_HOLDS(recvfrom(server.get(), request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&from),
                          &size) > 0);
    asking = *kernel::Address::from(from);
  }

  void take(const fuzz::Block& datagram) {
    if (sendto(server.get(), datagram.data(), datagram.size(), 0, asking.get(), asking.size()) < 0) return;
    reactor.turn();
  }

  kernel::Reactor reactor;
  Sink sink;
  plane::InputCounters counters{};
  kernel::Fd server;
  kernel::Address asking;
  std::unique_ptr<plane::RepairedInput> input;
};

/** Each is a byte that says how long it is, and so many bytes. */
template <class F>
void each_datagram(const fuzz::Block& body, F&& take) {
  codec::Bytes rest = body;
  for (std::size_t n = 0; n < kMostDatagrams && !rest.empty(); n++) {
    const std::size_t size = std::min<std::size_t>(rest[0], rest.size() - 1);
    const auto piece = rest.subspan(1, size);
    take(fuzz::Block(piece.begin(), piece.end()));
    rest = rest.subspan(1 + size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server server;
  fuzz::Input input(data, size);
  if (input.choose(2) == 0) {
    const std::size_t from = input.choose(kReceivers);
    each_datagram(input.body(), [&](const fuzz::Block& datagram) { server.take(datagram, from); });
  } else {
    Receiver receiver;
    each_datagram(input.body(), [&](const fuzz::Block& datagram) { receiver.take(datagram); });
    receiver.input->flush();
  }
  return 0;
}
