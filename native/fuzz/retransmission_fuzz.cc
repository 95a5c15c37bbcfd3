// Fuzz target: bytes as a datagram to a retransmission server that wants tokens, from a sender that has shown
// none: what comes back is no media, and no longer than what was sent.
#include <sys/socket.h>

#include <array>

#include "fuzz/check.h"
#include "plane/retransmission_server.h"
#include "plane/sender.h"
#include "test/stream_bed.h"

using namespace sluice;

namespace {

constexpr std::uint64_t kPackets = 300;

kernel::Address bound_to(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return *kernel::Address::from(storage);
}

/** A port that is free just now. */
std::uint16_t free_port() {
  const kernel::Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  SLUICE_HOLDS(bind(fd.get(), any.get(), any.size()) == 0);
  return bound_to(fd.get()).port();
}

/** A stream whose ring holds packets, its server, and a socket that asks. */
struct Scene {
  Scene() : asking(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    test::TsSource source{test::fast()};
    while (bed.counters.packets_released < kPackets) {
      if (bed.stream->wants_more()) bed.stream->write(source.make(350), kernel::monotonic_now());
      bed.reactor.turn();
    }
    plane::RetransmissionOptions options;
    options.port.socket.address = "127.0.0.1";
    options.port.socket.port = free_port();
    options.token_lifetime = 60 * kernel::kSecond;
    auto opened = plane::RetransmissionServer::open(bed.reactor, *bed.stream, options, counters);
    SLUICE_HOLDS(opened.ok());
    server = std::move(opened.value());
    const auto to = *kernel::Address::parse("127.0.0.1", options.port.socket.port);
    SLUICE_HOLDS(connect(asking.get(), to.get(), to.size()) == 0);
  }

  test::StreamBed bed;
  plane::SenderCounters counters{};
  std::unique_ptr<plane::RetransmissionServer> server;
  kernel::Fd asking;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  const fuzz::Block datagram(data, data + size);
  const std::uint64_t before = scene.counters.feedback_in;
  if (send(scene.asking.get(), datagram.data(), datagram.size(), 0) < 0) return 0;
  while (scene.counters.feedback_in == before) scene.bed.reactor.turn();
  std::array<std::uint8_t, 2048> answer;
  std::size_t answers = 0;
  for (ssize_t n = 0; (n = recv(scene.asking.get(), answer.data(), answer.size(), MSG_DONTWAIT)) > 0;) {
    answers += static_cast<std::size_t>(n);
    SLUICE_HOLDS(codec::is_rtcp(codec::Bytes(answer).first(static_cast<std::size_t>(n))));
  }
  SLUICE_HOLDS(answers <= size);
  SLUICE_HOLDS(scene.counters.resent == 0 && scene.counters.nacks == 0);
  return 0;
}
