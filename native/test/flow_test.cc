// Relay and fan-out: what receivers get, as their kernels tell it.
#include <set>

#include "test/flow_bed.h"
#include "test/own_network.h"

using namespace sluice;
using plane::Batching;
using plane::FlowMatch;
using plane::FlowOptions;
using plane::FlowReceiverOptions;
using plane::Handle;
using test::FlowBed;
using test::Got;
using test::Peer;
using test::rtp_packet;

namespace {

/** Turns until the peer has so many, and gives them. */
std::vector<Got> collect(FlowBed& bed, const Peer& peer, std::size_t count) {
  std::vector<Got> all;
  bed.until([&] {
    for (Got& got : peer.take()) all.push_back(std::move(got));
    return all.size() >= count;
  });
  return all;
}

}  // namespace

TEST_CASE(
    "flow: what comes is handed on byte for byte, from the port's own address, with the receiver's DSCP") {
  for (const std::string address : {"127.0.0.1", "::1"}) {
    for (const Batching batching : {Batching::automatic, Batching::many, Batching::plain}) {
      CAPTURE(address);
      FlowBed bed;
      const Peer source(address);
      const Peer sink(address);
      const Handle port = bed.port(address, batching);
      FlowReceiverOptions o;
      o.dscp = 46;
      bed.receiver(bed.flow(port), port, sink.address(), o);
      std::vector<std::vector<std::uint8_t>> sent;
      for (std::uint16_t i = 0; i < 20; i++) {
        sent.push_back(rtp_packet(static_cast<std::uint16_t>(65530 + i), i * 160U, 77, 40U + i % 3));
        source.send(bed.at(bed.last_port, address), sent.back());
      }
      const auto got = collect(bed, sink, sent.size());
      REQUIRE(got.size() == sent.size());
      for (std::size_t i = 0; i < got.size(); i++) {
        CHECK(got[i].bytes == sent[i]);
        CHECK(got[i].traffic_class == 46 << 2);
        CHECK(got[i].from.port() == bed.last_port);
      }
      const auto& c = bed.flow_counters[0];
      CHECK(c.packets_in == 20);
      CHECK(c.packets_out == 20);
      CHECK(c.sequence == 65549);
      CHECK(c.ssrc == 77);
    }
  }
}

TEST_CASE(
    "flow: each receiver has its own SSRC, payload type, sequence and timestamp, and the rest as it came") {
  FlowBed bed;
  const Peer source;
  const Peer plain;
  const Peer own;
  const Handle port = bed.port();
  const Handle flow = bed.flow(port);
  FlowReceiverOptions o;
  o.ssrc = 0xcafe;
  o.payload_type = 96;
  o.sequence_offset = 65000;
  o.timestamp_offset = 0xfffffff0;
  bed.receiver(flow, port, plain.address());
  bed.receiver(flow, port, own.address(), o);
  // With a contributing source and a header extension of one word.
  auto bytes = rtp_packet(1000, 5000, 9, 50, true);
  bytes[0] |= 0x11;
  const std::array<std::uint8_t, 12> more{1, 2, 3, 4, 0xbe, 0xde, 0, 1, 9, 8, 7, 6};
  bytes.insert(bytes.begin() + codec::kRtpHeaderSize, more.begin(), more.end());
  source.send(bed.at(bed.last_port), bytes);
  CHECK(collect(bed, plain, 1)[0].bytes == bytes);
  auto expected = bytes;
  expected[1] = 0x80 | 96;
  codec::store16(expected.data() + 2, static_cast<std::uint16_t>(1000 + 65000));
  codec::store32(expected.data() + 4, 5000 + 0xfffffff0);
  codec::store32(expected.data() + 8, 0xcafe);
  CHECK(collect(bed, own, 1)[0].bytes == expected);
}

TEST_CASE("flow: batches come and go as one, of whatever sizes, and are the same datagrams one by one") {
  for (const Batching batching : {Batching::segment, Batching::many, Batching::plain}) {
    for (const bool rewrite : {false, true}) {
      FlowBed bed;
      const Peer source;
      const Peer sink;
      const Handle port = bed.port("127.0.0.1", batching);
      FlowReceiverOptions o;
      if (rewrite) o.sequence_offset = 1;
      bed.receiver(bed.flow(port), port, sink.address(), o);
      std::vector<std::vector<std::uint8_t>> sent;
      std::uint16_t sequence = 0;
      for (const std::size_t count : {1, 2, 7, 40, 64}) {
        std::vector<std::uint8_t> together;
        for (std::size_t i = 0; i < count; i++) {
          sent.push_back(rtp_packet(sequence++, 0, 1, i + 1 == count ? 100 : 500));
          together.insert(together.end(), sent.back().begin(), sent.back().end());
        }
        source.send_segmented(bed.at(bed.last_port), together, 512);
      }
      const auto got = collect(bed, sink, sent.size());
      REQUIRE(got.size() == sent.size());
      for (std::size_t i = 0; i < got.size(); i++) {
        if (rewrite) codec::store16(sent[i].data() + 2, static_cast<std::uint16_t>(i + 1));
        CHECK(got[i].bytes == sent[i]);
      }
      // Loopback keeps batches together: far fewer calls than datagrams, both ways.
      const auto& c = bed.port_counters[0];
      CHECK(c.segmentation == (batching == Batching::segment ? 1 : 0));
      if (batching == Batching::segment) CHECK(c.send_calls <= 10);
      if (batching == Batching::plain) CHECK(c.send_calls == sent.size());
    }
  }
}

TEST_CASE("flow: what the way out takes only in fragments is handed on in fragments") {
  const test::OwnNetwork network(1280);
  if (!network.ok()) {
    MESSAGE("only root can have a network of its own");
    return;
  }
  for (const Batching batching : {Batching::segment, Batching::many, Batching::plain}) {
    FlowBed bed;
    const Peer source;
    const Peer sink;
    const Handle port = bed.port("127.0.0.1", batching);
    bed.receiver(bed.flow(port), port, sink.address());
    std::vector<std::vector<std::uint8_t>> sent;
    std::uint16_t sequence = 0;
    for (const std::size_t size : {500, 3000, 500, 1400, 1400, 1400, 1400, 9000, 1252}) {
      sent.push_back(rtp_packet(sequence++, 0, 1, size));
      source.send(bed.at(bed.last_port), sent.back());
    }
    const auto got = collect(bed, sink, sent.size());
    REQUIRE(got.size() == sent.size());
    for (std::size_t i = 0; i < got.size(); i++) CHECK(got[i].bytes == sent[i]);
    CHECK(bed.flow_counters[0].send_errors == 0);
    CHECK(bed.flow_counters[0].packets_out == sent.size());
  }
}

TEST_CASE("flow: a port with many receivers sends from a socket of its own, and hears all that comes to it") {
  for (const std::string address : {"127.0.0.1", "::1"}) {
    CAPTURE(address);
    FlowBed bed;
    std::vector<std::unique_ptr<Peer>> sinks;
    const Handle port = bed.port(address);
    const Handle flow = bed.flow(port);
    for (int i = 0; i < 20; i++) {
      sinks.push_back(std::make_unique<Peer>(address));
      bed.receiver(flow, port, sinks.back()->address());
    }
    // Senders of many addresses would be spread over a group of sockets, were they not all sent to the first.
    std::vector<std::unique_ptr<Peer>> sources;
    for (std::uint16_t i = 0; i < 50; i++) {
      sources.push_back(std::make_unique<Peer>(address));
      sources.back()->send(bed.at(bed.last_port, address), rtp_packet(i, 0, 7, 100));
    }
    for (const auto& sink : sinks) {
      const auto got = collect(bed, *sink, 50);
      REQUIRE(got.size() == 50);
      for (const Got& one : got) CHECK(one.from.port() == bed.last_port);
    }
    CHECK(bed.flow_counters[0].packets_in == 50);
    CHECK(bed.flow_counters[0].send_errors == 0);
    // The address is still taken.
    kernel::UdpInbox inbox(1);
    kernel::UdpPortOptions again;
    again.socket.address = address;
    again.socket.port = bed.last_port;
    auto second = kernel::UdpPort::open(again, inbox);
    REQUIRE(!second.ok());
    CHECK(std::string_view(second.error().code) == "ADDRESS_IN_USE");
  }
}

TEST_CASE("flow: any UDP is handed on when it is not said to be RTP; what is not RTP is counted when it is") {
  FlowBed bed;
  const Peer source;
  const Peer sink;
  const Handle port = bed.port();
  FlowOptions raw;
  raw.rtp = false;
  const Handle flow = bed.flow(port, raw);
  bed.receiver(flow, port, sink.address());
  const std::vector<std::vector<std::uint8_t>> sent{
      {}, {1}, {0x80, 200, 3}, std::vector<std::uint8_t>(9000, 7)};
  for (const auto& bytes : sent) source.send(bed.at(bed.last_port), bytes);
  const auto got = collect(bed, sink, sent.size());
  for (std::size_t i = 0; i < sent.size(); i++) CHECK(got[i].bytes == sent[i]);

  const Handle strict = bed.port();
  bed.receiver(bed.flow(strict), strict, sink.address());
  auto truncated = rtp_packet(1, 2, 3, 0);
  truncated[0] |= 0x0f;
  for (const auto& bytes : {std::vector<std::uint8_t>{}, std::vector<std::uint8_t>(12, 0x40), truncated})
    source.send(bed.at(bed.last_port), bytes);
  source.send(bed.at(bed.last_port), rtp_packet(5, 6, 7));
  CHECK(collect(bed, sink, 1)[0].rtp().sequence == 5);
  CHECK(bed.flow_counters[1].malformed == 3);
}

TEST_CASE("flow: flows of one port are told apart by sender and by SSRC, the more particular first") {
  FlowBed bed;
  const Peer first;
  const Peer second;
  const Handle port = bed.port();
  const std::array<Peer, 4> sinks;
  FlowMatch by_ssrc;
  by_ssrc.ssrc = 11;
  FlowMatch by_sender;
  by_sender.remote = second.address();
  by_sender.remote_port = second.address().port();
  FlowMatch by_both = by_sender;
  by_both.ssrc = 11;
  const std::array<FlowMatch, 4> matches{FlowMatch{}, by_ssrc, by_sender, by_both};
  for (std::size_t i = 0; i < matches.size(); i++)
    bed.receiver(bed.flow(port, {}, matches[i]), port, sinks[i].address());
  const auto taken = bed.flows.add_flow(99, {{.name = "again"}, port, by_both, nullptr, {}, 0},
                                        bed.flow_counters.emplace_back());
  REQUIRE(taken);
  CHECK(std::string(taken->code) == "MATCH_TAKEN");
  first.send(bed.at(bed.last_port), rtp_packet(0, 0, 10));
  first.send(bed.at(bed.last_port), rtp_packet(1, 0, 11));
  second.send(bed.at(bed.last_port), rtp_packet(2, 0, 10));
  second.send(bed.at(bed.last_port), rtp_packet(3, 0, 11));
  for (std::size_t i = 0; i < sinks.size(); i++) {
    const auto got = collect(bed, sinks[i], 1);
    CHECK(got.size() == 1);
    CHECK(got[0].rtp().sequence == i);
  }
  bed.flows.remove_flow(2);
  first.send(bed.at(bed.last_port), rtp_packet(4, 0, 10));
  bed.until([&] { return bed.port_counters[0].unmatched == 1; });
}

TEST_CASE("flow: thousands of receivers get every packet once and in order, in rounds of several turns") {
  for (const bool rewrite : {false, true}) {
    FlowBed bed;
    const Peer source;
    const Handle port = bed.port();
    const Handle flow = bed.flow(port);
    std::vector<std::unique_ptr<Peer>> sinks;
    FlowReceiverOptions o;
    if (rewrite) o.ssrc = 5;
    for (int i = 0; i < 20; i++) sinks.push_back(std::make_unique<Peer>());
    // 2000 receivers share 20 sockets: each socket gets each packet a hundred times.
    for (int i = 0; i < 2000; i++)
      bed.receiver(flow, port, sinks[static_cast<std::size_t>(i) % 20]->address(), o);
    std::vector<std::vector<std::uint16_t>> got(sinks.size());
    const auto drain = [&] {
      std::size_t all = 0;
      for (std::size_t i = 0; i < sinks.size(); i++) {
        for (const Got& g : sinks[i]->take()) got[i].push_back(g.rtp().sequence);
        all += got[i].size();
      }
      return all;
    };
    // Five at a time: what waits for 100 ms is shed.
    for (std::uint16_t s = 0; s < 30;) {
      for (int k = 0; k < 5; k++) source.send(bed.at(bed.last_port), rtp_packet(s++, 0, 1));
      bed.until([&] { return drain() == std::size_t{2000} * s; });
    }
    for (const auto& sequences : got) {
      std::array<int, 30> counts{};
      for (const std::uint16_t s : sequences) counts.at(s)++;
      for (const int count : counts) CHECK(count == 100);
    }
    CHECK(bed.flow_counters[0].shed_late == 0);
    CHECK(bed.flow_counters[0].packets_out == 60000);
  }
}

TEST_CASE("flow: receivers that come and go leave no gap with those that stay, in any state of a round") {
  FlowBed bed;
  const Peer source;
  const Handle port = bed.port();
  const Handle flow = bed.flow(port);
  std::vector<std::unique_ptr<Peer>> staying;
  const Peer passing("127.0.0.1", 1 << 16);
  std::vector<Handle> guests;
  std::uint32_t random = 1;
  const auto next_random = [&random](std::size_t n) { return (random = random * 1664525 + 1013904223) % n; };
  for (int i = 0; i < 400; i++) {
    guests.push_back(bed.receiver(flow, port, passing.address()));
    if (i % 10 != 0) continue;
    staying.push_back(std::make_unique<Peer>());
    bed.receiver(flow, port, staying.back()->address());
  }
  std::vector<std::vector<std::uint16_t>> got(staying.size());
  const auto drain = [&] {
    passing.take();
    std::size_t least = 1U << 20;
    for (std::size_t i = 0; i < staying.size(); i++) {
      for (const Got& g : staying[i]->take()) got[i].push_back(g.rtp().sequence);
      least = std::min(least, got[i].size());
    }
    return least;
  };
  constexpr std::uint16_t kPackets = 300;
  for (std::uint16_t s = 0; s < kPackets; s++) {
    source.send(bed.at(bed.last_port), rtp_packet(s, 0, 1));
    for (int k = 0; k < 3; k++) {
      bed.reactor.wake();
      bed.reactor.turn();
      const std::size_t at = next_random(guests.size());
      bed.flows.remove_receivers({&guests[at], 1});
      guests[at] = bed.receiver(flow, port, passing.address());
    }
    drain();
  }
  bed.until([&] { return drain() >= kPackets; });
  for (const auto& sequences : got) {
    REQUIRE(sequences.size() == kPackets);
    for (std::uint16_t s = 0; s < kPackets; s++) CHECK(sequences[s] == s);
  }
  CHECK(bed.flow_counters[0].receivers == 440);
}

TEST_CASE("flow: packets are gathered for the time that is given, and leave as a batch") {
  FlowBed bed;
  const Peer source;
  const Peer sink;
  const Handle port = bed.port();
  FlowOptions options;
  options.wait = 2 * kernel::kMillisecond;
  bed.receiver(bed.flow(port, options), port, sink.address());
  std::vector<Got> got;
  for (std::uint16_t s = 0; s < 8; s++) {
    source.send(bed.at(bed.last_port), rtp_packet(s, 0, 1));
    bed.reactor.turn();
  }
  got = collect(bed, sink, 8);
  CHECK(got.size() == 8);
  CHECK(bed.port_counters[0].send_calls <= 2);
  CHECK(bed.budget.take("nothing", 255 << 20) == std::nullopt);
}

TEST_CASE("flow: a store that does not fit is refused by name, and so are receivers that would need one") {
  FlowBed bed(1 << 19);
  const Peer sink;
  const Handle port = bed.port();
  FlowOptions options;
  options.history = 1 << 20;
  options.name = "studio";
  const auto refused =
      bed.flows.add_flow(9, {options, port, {}, nullptr, {}, 0}, bed.flow_counters.emplace_back());
  REQUIRE(refused);
  CHECK(std::string(refused->code) == "MEMORY_BUDGET");
  CHECK(refused->message.find("studio") != std::string::npos);
  const Handle flow = bed.flow(port);
  std::vector<FlowReceiverOptions> many(65);
  for (auto& o : many) {
    o.port = port;
    o.destination = sink.address();
  }
  const auto error = bed.flows.add_receivers(flow, many, 100);
  REQUIRE(error);
  CHECK(std::string(error->code) == "MEMORY_BUDGET");
  CHECK(bed.flows.receivers(flow, 0, 1000).empty());
  CHECK_FALSE(bed.flows.add_receivers(flow, std::span(many).first(64), 100));
  CHECK(bed.flows.receivers(flow, 60, 1000).size() == 4);
}

TEST_CASE("flow: a port is not taken away beneath those who use it; families do not mix") {
  FlowBed bed;
  const Peer sink;
  const Handle in = bed.port();
  const Handle out = bed.port();
  const Handle flow = bed.flow(in);
  const Handle receiver = bed.receiver(flow, out, sink.address());
  CHECK(std::string(bed.flows.remove_port(in)->code) == "FLOWS_ATTACHED");
  CHECK(std::string(bed.flows.remove_port(out)->code) == "FLOWS_ATTACHED");
  FlowReceiverOptions o;
  o.port = out;
  o.destination = *kernel::Address::parse("::1", 5000);
  CHECK(std::string(bed.flows.add_receivers(flow, {&o, 1}, 50)->code) == "ADDRESS_INVALID");
  bed.flows.remove_receivers({&receiver, 1});
  CHECK_FALSE(bed.flows.remove_port(out));
  bed.flows.remove_flow(flow);
  CHECK_FALSE(bed.flows.remove_port(in));
  CHECK(std::string(bed.flows.remove_port(in)->code) == "HANDLE_UNKNOWN");
}

TEST_CASE("flow: a rate that varies is paced; everything arrives once and in order") {
  FlowBed bed;
  const Peer source;
  const Peer sink;
  const Handle port = bed.port();
  FlowOptions options;
  options.smoothing = plane::SmootherOptions{0.2, 300 * kernel::kMillisecond, 0};
  bed.receiver(bed.flow(port, options), port, sink.address());
  std::vector<Got> got;
  std::uint16_t sequence = 0;
  // A burst every 400 ms; pacing begins once the variation has been seen.
  for (int burst = 0; burst < 8; burst++) {
    for (int i = 0; i < 30; i++) source.send(bed.at(bed.last_port), rtp_packet(sequence++, 0, 1, 1316));
    const kernel::Nanos end = kernel::monotonic_now() + 400 * kernel::kMillisecond;
    bed.until([&] { return kernel::monotonic_now() >= end; });
  }
  // A loop that comes too late sheds, and says so.
  const auto shed = [&] { return bed.flow_counters[0].shed_late; };
  bed.until([&] {
    for (Got& more : sink.take()) got.push_back(std::move(more));
    return got.size() + shed() >= sequence;
  });
  CHECK(got.size() + shed() == sequence);
  for (std::size_t i = 1; i < got.size(); i++) CHECK(got[i].rtp().sequence > got[i - 1].rtp().sequence);
  bed.flows.housekeeping(kernel::monotonic_now());
  CHECK(bed.flow_counters[0].smoothing_delay_us > 0);
  CHECK(bed.flow_counters[0].bitrate > 0);
  CHECK(bed.flow_counters[0].peak_rate > bed.flow_counters[0].bitrate);
}
