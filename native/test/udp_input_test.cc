#include "plane/udp_input.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "plane/receiver.h"
#include "test/allocations.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::Nanos;
using plane::InputCounters;
using plane::UdpInput;
using plane::UdpInputOptions;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Sink final : plane::TsSink {
  Bytes bytes;
  std::vector<Nanos> arrivals;
  int splices = 0;
  Nanos beat = 0;
  void write(codec::Bytes ts, Nanos arrival) noexcept override {
    bytes.insert(bytes.end(), ts.begin(), ts.end());
    arrivals.push_back(arrival);
  }
  void splice() noexcept override { splices++; }
  [[nodiscard]] bool wants_more() const noexcept override { return true; }
  [[nodiscard]] Nanos patience() const noexcept override { return beat; }
};

/** A sender on loopback. */
class Sender {
 public:
  Sender(const std::string& to, std::uint16_t port, const std::string& from = "")
      : to_(*kernel::Address::parse(to, port)) {
    fd_.reset(::socket(to_.family(), SOCK_DGRAM, 0));
    if (!from.empty()) {
      const auto source = *kernel::Address::parse(from, 0);
      REQUIRE(::bind(fd_.get(), source.get(), source.size()) == 0);
    }
    if (to_.family() == AF_INET) {
      ip_mreqn loopback{};
      loopback.imr_ifindex = 1;
      setsockopt(fd_.get(), IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
    } else {
      const int index = 1;
      setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    }
  }
  bool send(const Bytes& bytes) const {
    return ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, to_.get(), to_.size()) ==
           static_cast<ssize_t>(bytes.size());
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  kernel::Address to_;
  kernel::Fd fd_;
};

struct Fixture {
  kernel::Reactor reactor;
  Sink sink;
  InputCounters counters{};
  std::unique_ptr<UdpInput> input;

  explicit Fixture(const std::string& address = "127.0.0.1", const std::string& source = "",
                   bool coalesce = false, Nanos reorder = 30 * kMillisecond) {
    UdpInputOptions options;
    options.socket = {address, 0,       source, address == "127.0.0.1" || address == "::1" ? "" : "lo",
                      1 << 20, coalesce};
    options.reorder = reorder;
    auto opened = UdpInput::open(reactor, options, sink, counters);
    if (!opened.ok()) FAIL(opened.error().message);
    input = std::move(opened.value());
  }
  void turn_until(const std::function<bool()>& done) {
    const Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) reactor.turn();
    REQUIRE(done());
  }
};

Bytes ts_payload(std::uint8_t mark, std::size_t packets = 7) {
  Bytes bytes(packets * 188, mark);
  for (std::size_t i = 0; i < packets; i++) bytes[i * 188] = 0x47;
  return bytes;
}

Bytes rtp(std::uint16_t sequence, const Bytes& payload, std::uint32_t ssrc = 1, std::uint8_t type = 33) {
  Bytes bytes(12);
  codec::write_rtp_header({false, type, sequence, sequence * 900U, ssrc}, bytes.data());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

std::string message_of(const kernel::UdpRxOptions& options, const std::string& code) {
  auto opened = kernel::UdpRx::open(options);
  REQUIRE_FALSE(opened.ok());
  CHECK(std::string(opened.error().code) == code);
  return opened.error().message;
}

}  // namespace

TEST_CASE("RTP over loopback: header parts are taken off, order is restored") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  Bytes full = rtp(65535, {});
  full[0] = 0x80 | 0x20 | 0x10 | 2;  // padding, extension, two CSRCs
  full.insert(full.end(), {1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 9, 9, 9, 9});
  const Bytes payload = ts_payload(1);
  full.insert(full.end(), payload.begin(), payload.end());
  full.insert(full.end(), {0, 0, 0, 4});
  const Nanos before = kernel::monotonic_now();
  REQUIRE(sender.send(full));
  REQUIRE(sender.send(rtp(1, ts_payload(3))));
  REQUIRE(sender.send(rtp(0, ts_payload(2))));
  f.turn_until([&] { return f.counters.packets == 3; });
  Bytes expected = ts_payload(1);
  for (const std::uint8_t mark : {2, 3}) {
    const Bytes next = ts_payload(mark);
    expected.insert(expected.end(), next.begin(), next.end());
  }
  CHECK(f.sink.bytes == expected);
  CHECK(f.counters.rtp_reordered == 1);
  CHECK(f.counters.last_sequence == 131072 + 1);
  CHECK(f.sink.arrivals[0] >= before);
  CHECK(f.sink.arrivals[0] <= kernel::monotonic_now());
}

TEST_CASE("where the sink is patient, datagrams gather until its beat; a quiet socket is watched again") {
  Fixture f;
  f.sink.beat = 20 * kMillisecond;
  const Sender sender("127.0.0.1", f.input->port());
  std::uint64_t sent = 0;
  const auto send = [&] {
    REQUIRE(sender.send(ts_payload(static_cast<std::uint8_t>(sent))));
    sent++;
  };
  const auto came = [&] { return f.counters.packets == sent; };
  send();
  f.turn_until(came);
  for (int i = 0; i < 3; i++) {
    const Nanos beat = kernel::next_beat(f.reactor.now() + 1, f.sink.beat);
    send();
    send();
    f.turn_until(came);
    CHECK(f.reactor.now() >= beat);
  }
  // Ten beats later no timer would read the socket any more.
  const Nanos quiet = f.reactor.now() + 15 * f.sink.beat;
  f.turn_until([&] {
    f.reactor.wake();
    return f.reactor.now() >= quiet;
  });
  send();
  f.turn_until(came);
  f.sink.beat = 0;
  for (int i = 0; i < 3; i++) {
    send();
    f.turn_until(came);
  }
}

TEST_CASE("a gap is given up by the timer") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  sender.send(rtp(10, ts_payload(1, 1)));
  sender.send(rtp(12, ts_payload(2, 1)));
  f.turn_until([&] { return f.sink.bytes.size() == 2 * 188; });
  CHECK(f.counters.rtp_lost == 1);
}

TEST_CASE("plain MPEG-TS is told by its first byte") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  for (std::uint8_t i = 0; i < 5; i++) sender.send(ts_payload(i));
  f.turn_until([&] { return f.counters.packets == 5; });
  CHECK(f.sink.bytes.size() == 5 * 1316);
  CHECK(f.counters.bytes == 5 * 1316);
  CHECK(f.counters.malformed == 0);
}

TEST_CASE("a flow that becomes RTP is believed after some packets, and spliced") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  sender.send(ts_payload(1));
  for (std::uint16_t i = 0; i < 20; i++) sender.send(rtp(i, ts_payload(2)));
  f.turn_until([&] { return f.counters.packets == 21; });
  CHECK(f.sink.splices == 1);
  CHECK(f.counters.malformed == 15);
  CHECK(f.sink.bytes.size() == 6 * 1316);
}

TEST_CASE("what is no media is counted and dropped, RTCP is passed over") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  Bytes rtcp{0x80, 200, 0, 6};
  rtcp.resize(28);
  sender.send(rtcp);
  sender.send({0x00, 0x01});
  sender.send(Bytes{});
  sender.send(rtp(1, {0x00, 0x01, 0x02}, 1, 96));
  sender.send(rtp(1, ts_payload(1), 1, 96));
  f.turn_until([&] { return f.counters.packets == 5; });
  CHECK(f.counters.malformed == 3);
  CHECK(f.sink.bytes == ts_payload(1));
}

TEST_CASE("datagrams cut at every length, and random ones") {
  Fixture f;
  const Sender sender("127.0.0.1", f.input->port());
  Bytes whole = rtp(1, ts_payload(1, 1));
  whole[0] |= 0x10 | 0x20 | 3;
  std::uint64_t sent = 0;
  for (std::size_t n = 0; n <= whole.size(); n++, sent++)
    sender.send(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
  std::mt19937 random(2);
  for (int i = 0; i < 300; i++, sent++) {
    Bytes noise(random() % 200);
    for (auto& b : noise) b = static_cast<std::uint8_t>(random());
    if (!noise.empty() && i % 2 == 0) noise[0] = static_cast<std::uint8_t>(0x80 | (noise[0] & 0x3f));
    sender.send(noise);
    f.reactor.turn();
  }
  f.turn_until([&] { return f.counters.packets == sent; });
  CHECK(f.counters.malformed > 100);
}

TEST_CASE("coalesced datagrams are taken apart") {
  for (const bool coalesce : {false, true}) {
    Fixture f("127.0.0.1", "", coalesce);
    const Sender sender("127.0.0.1", f.input->port());
    const int segment = 1328;
    REQUIRE(setsockopt(sender.fd(), IPPROTO_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof segment) == 0);
    Bytes batch;
    for (std::uint16_t i = 0; i < 20; i++) {
      const Bytes one = rtp(i, ts_payload(static_cast<std::uint8_t>(i), i == 19 ? 3 : 7));
      batch.insert(batch.end(), one.begin(), one.end());
    }
    REQUIRE(sender.send(batch));
    f.turn_until([&] { return f.counters.packets == 20; });
    CHECK(f.sink.bytes.size() == 19 * 1316 + 3 * 188);
    CHECK(f.counters.rtp_lost == 0);
    CHECK(f.counters.malformed == 0);
  }
}

TEST_CASE("multicast: any source and one source") {
  Fixture any("239.255.77.1");
  REQUIRE(Sender("239.255.77.1", any.input->port()).send(ts_payload(1)));
  any.turn_until([&] { return any.counters.packets == 1; });
  Fixture wanted("232.255.77.2", "127.0.0.2");
  Fixture other("232.255.77.2", "127.0.0.3");
  const Sender to_wanted("232.255.77.2", wanted.input->port(), "127.0.0.2");
  const Sender stranger("232.255.77.2", wanted.input->port(), "127.0.0.4");
  const Sender to_other("232.255.77.2", other.input->port(), "127.0.0.3");
  REQUIRE(stranger.send(ts_payload(9)));
  REQUIRE(to_wanted.send(ts_payload(1)));
  REQUIRE(to_other.send(ts_payload(2)));
  wanted.turn_until([&] { return wanted.counters.packets == 1; });
  other.turn_until([&] { return other.counters.packets == 1; });
  CHECK(wanted.sink.bytes == ts_payload(1));
  CHECK(other.sink.bytes == ts_payload(2));
}

TEST_CASE("a unicast input may be held to one sender") {
  Fixture f("127.0.0.1", "127.0.0.9");
  Sender("127.0.0.1", f.input->port(), "127.0.0.8").send(ts_payload(8));
  Sender("127.0.0.1", f.input->port(), "127.0.0.9").send(ts_payload(9));
  f.turn_until([&] { return f.counters.packets == 1; });
  CHECK(f.sink.bytes == ts_payload(9));
}

TEST_CASE("what the kernel had no room for is counted") {
  kernel::UdpRxOptions options;
  options.address = "127.0.0.1";
  options.receive_buffer = 4096;
  auto opened = kernel::UdpRx::open(options);
  REQUIRE(opened.ok());
  kernel::UdpRx& rx = *opened.value();
  const Sender sender("127.0.0.1", rx.port());
  for (int i = 0; i < 100; i++) sender.send(ts_payload(1));
  std::size_t got = 0;
  for (auto batch = rx.receive(); !batch.empty(); batch = rx.receive()) got += batch.size();
  // The count comes with the next datagram that finds room.
  sender.send(ts_payload(2));
  got += rx.receive().size();
  CHECK(rx.drops() + got == 101);
  CHECK(rx.drops() > 0);
}

TEST_CASE("receiving, reordering and measuring take nothing from the heap") {
  kernel::Reactor reactor;
  InputCounters counters{};
  plane::ReceiverOptions options;
  options.input.socket.address = "127.0.0.1";
  auto opened = plane::Receiver::open(reactor, options, counters);
  REQUIRE(opened.ok());
  const Sender sender("127.0.0.1", opened.value()->port());
  std::vector<Bytes> packets;
  for (std::uint16_t i = 0; i < 400; i++)
    packets.push_back(rtp(static_cast<std::uint16_t>(65400 + (i ^ 3)), ts_payload(1)));
  packets.erase(packets.begin() + 200);
  std::uint64_t taken = 0;
  std::uint64_t sent = 0;
  for (const Bytes& packet : packets) {
    REQUIRE(sender.send(packet));
    sent++;
    const std::uint64_t before = test::allocations();
    while (counters.packets < sent) reactor.turn();
    taken += test::allocations() - before;
  }
  CHECK(taken == 0);
  CHECK(counters.rtp_reordered > 100);
}

TEST_CASE("errors name what is wrong") {
  kernel::UdpRxOptions o;
  o.address = "239.1.1.1";
  o.interface_name = "nosuch0";
  const std::string unknown = message_of(o, "INTERFACE_UNKNOWN");
  CHECK(unknown.find("`nosuch0`") != std::string::npos);
  CHECK(unknown.find("lo") != std::string::npos);
  o.interface_name = "lo";
  o.source = "::1";
  CHECK(message_of(o, "ADDRESS_INVALID").find("::1") != std::string::npos);
  o.source = "239.1.1.2";
  message_of(o, "ADDRESS_INVALID");
  o = {};
  o.address = "news.example";
  message_of(o, "ADDRESS_INVALID");
  o.address = "127.0.0.1";
  auto first = kernel::UdpRx::open(o);
  REQUIRE(first.ok());
  o.port = first.value()->port();
  message_of(o, "ADDRESS_IN_USE");
}

TEST_CASE("a receiver measures and writes to a pipe, a file, and a reader that goes") {
  std::signal(SIGPIPE, SIG_IGN);  // as in Node
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  kernel::Fd reading(ends[0]);
  kernel::Fd writing(ends[1]);
  kernel::Reactor reactor;
  InputCounters counters{};
  plane::ReceiverOptions options;
  options.input.socket.address = "127.0.0.1";
  options.output_fd = writing.get();
  auto opened = plane::Receiver::open(reactor, options, counters);
  REQUIRE(opened.ok());
  const Sender sender("127.0.0.1", opened.value()->port());
  const auto turn_until = [&](const std::function<bool()>& done) {
    const Nanos end = kernel::monotonic_now() + 5 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) reactor.turn();
    REQUIRE(done());
  };
  std::uint16_t sequence = 0;
  const auto send = [&](int n) {
    for (int i = 0; i < n; i++, sequence++) {
      sender.send(rtp(sequence, ts_payload(5)));
      if (i % 50 == 49) turn_until([&] { return counters.packets == sequence + 1U; });
    }
    turn_until([&] { return counters.packets == sequence; });
  };
  // A reader that does not read: the pipe fills, then the queue; then whole payloads are dropped and counted.
  send(5000);
  CHECK(counters.output_errors > 1000);
  CHECK(counters.output_bytes <= 1 << 20);
  CHECK((fcntl(writing.get(), F_GETFL) & O_NONBLOCK) == 0);
  std::uint64_t read_bytes = 0;
  Bytes buffer(1 << 16);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  turn_until([&] {
    for (ssize_t n = 0; (n = read(reading.get(), buffer.data(), buffer.size())) > 0;)
      read_bytes += static_cast<std::uint64_t>(n);
    return read_bytes >= (sequence - counters.output_errors) * 1316;
  });
  CHECK(read_bytes == (sequence - counters.output_errors) * 1316);
  CHECK(counters.output_bytes == read_bytes);
  const std::uint64_t errors = counters.output_errors;
  reading.reset();
  send(200);
  turn_until([&] { return counters.output_errors == errors + 1; });
  send(200);
  CHECK(counters.output_errors == errors + 1);
  CHECK(counters.ts_packets == sequence * 7U);
  opened.value().reset();

  kernel::Fd file(::open("/tmp", O_TMPFILE | O_RDWR, 0600));
  REQUIRE(file);
  options.output_fd = file.get();
  counters = {};
  sequence = 0;
  auto second = plane::Receiver::open(reactor, options, counters);
  REQUIRE(second.ok());
  const Sender to_second("127.0.0.1", second.value()->port());
  for (; sequence < 100; sequence++) to_second.send(rtp(sequence, ts_payload(6)));
  turn_until([&] { return counters.packets == 100; });
  second.value().reset();
  CHECK(lseek(file.get(), 0, SEEK_END) == 100 * 1316);
  CHECK(counters.output_errors == 0);
}
