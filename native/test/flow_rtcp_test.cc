// RTCP of flows over real sockets: relayed both ways, made where there is none, and kept.
#include "plane/flow_rtcp.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "codec/ntp.h"
#include "codec/rtcp_writer.h"
#include "kernel/file.h"
#include "test/flow_bed.h"
#include "test/rtcp_bytes.h"

using namespace sluice;
using codec::RtcpCompound;
using codec::RtcpForm;
using test::bytes_of;
using test::Datagram;
using test::FlowBed;
using test::Got;
using test::Peer;
using test::rtp_packet;

namespace {

constexpr std::uint32_t kSource = 0xcafebabe;
constexpr std::uint64_t kNtp = 0xe8a1b2c380000000;

/** A relay with RTCP: a source, and whom it is sent to. */
struct Scene {
  FlowBed bed;
  Peer source;
  plane::Handle port = 0;
  std::uint16_t number = 0;
  plane::Handle control = 0;
  std::uint16_t control_number = 0;
  plane::Handle flow = 0;
  plane::FlowCounters& counters;

  explicit Scene(bool port_of_its_own = false, double bandwidth = 64e3)
      : port(bed.port()), number(bed.last_port), counters(bed.flow_counters.emplace_back()) {
    if (port_of_its_own) {
      control = bed.port();
      control_number = bed.last_port;
    }
    flow = bed.next++;
    plane::AddFlow options;
    options.flow.name = "test";
    options.flow.clock_rate = 8000;
    options.port = port;
    options.match.remote = source.address();
    options.match.remote_port = source.address().port();
    options.rtcp = {"relay@here", bandwidth};
    options.rtcp_port = control;
    const auto error = bed.flows.add_flow(flow, options, counters);
    REQUIRE_MESSAGE(!error, error->message);
  }
  /** With an SSRC of its own, and numbers that begin elsewhere. */
  plane::Handle receiver(const Peer& to, std::uint32_t ssrc, std::uint16_t rtcp_port = 0) {
    plane::FlowReceiverOptions o;
    o.ssrc = ssrc;
    o.sequence_offset = 1000;
    o.timestamp_offset = 500;
    o.rtcp_port = rtcp_port;
    return bed.receiver(flow, port, to.address(), o);
  }
  void packets(std::uint16_t first, std::uint16_t count) {
    const std::uint64_t before = counters.packets_in;
    for (std::uint16_t i = 0; i < count; i++)
      source.send(bed.at(number), rtp_packet(static_cast<std::uint16_t>(first + i), 160U * i, kSource));
    bed.until([&] { return counters.packets_in == before + count; });
  }
  /** The next RTCP that comes to a peer; RTP is passed over. */
  Datagram rtcp_at(const Peer& peer) {
    Datagram found;
    bed.until([&] {
      for (Got& got : peer.take())
        if (found.empty() && codec::is_rtcp(got.bytes)) found = std::move(got.bytes);
      return !found.empty();
    });
    return found;
  }
  plane::FlowReceiverRow row(plane::Handle of = 0) {
    return bed.flows.receivers(of != 0 ? of : flow, 0, 1).at(0);
  }
};

Datagram sender_report(std::uint32_t ssrc, std::uint32_t timestamp) {
  Datagram bytes(256);
  codec::RtcpWriter writer(bytes);
  writer.sender_report(ssrc, {kNtp, timestamp, 999, 99999});
  writer.cname(ssrc, "phone");
  bytes.resize(writer.size());
  return bytes;
}

Datagram receiver_report(std::uint32_t by, const codec::ReportBlock& block) {
  Datagram bytes(256);
  codec::RtcpWriter writer(bytes);
  writer.receiver_report(by, {&block, 1});
  bytes.resize(writer.size());
  return bytes;
}

}  // namespace

TEST_CASE("flow rtcp: a source's report comes to each receiver in its own numbers") {
  Scene scene;
  const Peer one;
  const Peer plain;
  scene.receiver(one, 0x11111111);
  scene.bed.receiver(scene.flow, scene.port, plain.address());
  scene.packets(65530, 10);
  scene.source.send(scene.bed.at(scene.number), sender_report(kSource, 1600));
  const Datagram own = scene.rtcp_at(one);
  CHECK(own == bytes_of("80c80006 11111111 e8a1b2c380000000 00000834 0000000a 00000640"
                        "81ca0003 11111111 01057068 6f6e6500"));
  CHECK(scene.rtcp_at(plain) == bytes_of("80c80006 cafebabe e8a1b2c380000000 00000640 0000000a 00000640"
                                         "81ca0003 cafebabe 01057068 6f6e6500"));
  CHECK(scene.counters.rtcp_in == 1);
  CHECK(scene.counters.rtcp_out == 2);
  // Reports of another are none of the flow's.
  scene.source.send(scene.bed.at(scene.number), sender_report(0x99999999, 1600));
  scene.bed.until([&] { return scene.counters.rtcp_in == 2; });
  CHECK(scene.counters.rtcp_out == 2);
  scene.source.send(scene.bed.at(scene.number), bytes_of("80c80006 cafebabe"));
  scene.bed.until([&] { return scene.counters.rtcp_malformed == 1; });
}

TEST_CASE("flow rtcp: a receiver's report is kept, and comes to the source in the source's numbers") {
  Scene scene;
  const Peer one;
  scene.receiver(one, 0x11111111);
  scene.packets(65530, 10);
  scene.source.send(scene.bed.at(scene.number), sender_report(kSource, 1600));
  scene.rtcp_at(one);
  CHECK_FALSE(scene.row().report.has_value());
  // The last packet, 3 after the wrap, is 1,003 with its offset, of the receiver's first cycle.
  one.send(scene.bed.at(scene.number),
           receiver_report(7, {0x11111111, 64, 2, 1003, 80, codec::ntp_middle(kNtp), 0}));
  scene.bed.until([&] { return scene.row().report.has_value(); });
  const auto report = *scene.row().report;
  CHECK(report.fraction_lost == doctest::Approx(0.25));
  CHECK(report.lost == 2);
  CHECK(report.jitter == 10 * kernel::kMillisecond);
  REQUIRE(report.round_trip.has_value());
  CHECK(*report.round_trip < 10 * kernel::kSecond);

  const Datagram bytes = scene.rtcp_at(scene.source);
  const auto compound = RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  std::vector<codec::RtcpPacket> packets;
  for (const auto& packet : *compound) packets.push_back(packet);
  REQUIRE(packets.size() == 3);
  // The relay's own: what it received, and the source's SR.
  REQUIRE(codec::report_block_count(packets[0]) == 1);
  const auto ours = codec::report_block(packets[0], 0);
  CHECK(ours.ssrc == kSource);
  CHECK(ours.lost == 0);
  CHECK(static_cast<std::uint16_t>(ours.highest_sequence) == 3);
  CHECK(ours.last_report == codec::ntp_middle(kNtp));
  codec::SdesChunks chunks(packets[1]);
  CHECK(test::text_of(chunks.next()->item(codec::sdes_item::kCname)->text) == "relay@here");
  CHECK(packets[2].ssrc() == 7);
  const auto theirs = codec::report_block(packets[2], 0);
  CHECK(theirs.ssrc == kSource);
  CHECK(theirs.fraction_lost == 64);
  CHECK(theirs.highest_sequence == 65536 + 3);
  CHECK(theirs.last_report == codec::ntp_middle(kNtp));
}

TEST_CASE(
    "flow rtcp: requests for packets and pictures go to the source at once, as long as their share lasts") {
  Scene scene;
  const Peer one;
  scene.receiver(one, 0x11111111);
  scene.packets(65530, 10);
  // 1,000 of the receiver is the source's number 0.
  one.send(scene.bed.at(scene.number), bytes_of("81cd0003 00000007 11111111 03e80000"));
  CHECK(scene.rtcp_at(scene.source) == bytes_of("81cd0003 00000007 cafebabe 00000000"));
  std::uint64_t sent = 0;
  for (int i = 0; i < 200; i++) {
    one.send(scene.bed.at(scene.number), bytes_of("81ce0002 00000007 11111111"));
    scene.bed.until([&] { return scene.counters.rtcp_in == static_cast<std::uint64_t>(i) + 2; });
  }
  for (const Got& got : scene.source.take())
    sent += got.bytes == bytes_of("81ce0002 00000007 cafebabe") ? 1 : 0;
  CHECK(sent > 0);
  // 64 kbit/s: 400 bytes a second, twice that at once, 40 for each.
  CHECK(sent < 200);
}

TEST_CASE("flow rtcp: where the source sends no report the relay makes one") {
  Scene scene;
  const Peer one;
  scene.receiver(one, 0x11111111);
  scene.packets(65530, 10);
  const Datagram bytes = scene.rtcp_at(one);
  const std::uint64_t now = codec::ntp_from_unix(kernel::wall_now());
  const auto compound = RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  const auto info = codec::sender_info(*compound->begin());
  REQUIRE(info.has_value());
  CHECK((*compound->begin()).ssrc() == 0x11111111);
  CHECK(info->packets == 10);
  CHECK(info->octets == 1600);
  // Some seconds after the last packet, whose timestamp was 9 * 160 + 500.
  CHECK(info->timestamp - 1940 < 80000);
  CHECK((now >> 32) - (info->ntp >> 32) <= 10);
  // An answer to it tells the round trip.
  one.send(scene.bed.at(scene.number),
           receiver_report(7, {0x11111111, 0, 0, 1003, 0, codec::ntp_middle(info->ntp), 0}));
  scene.bed.until([&] { return scene.row().report.has_value(); });
  CHECK(scene.row().report->round_trip.has_value());
}

TEST_CASE("flow rtcp: with ports of its own") {
  Scene scene(true);
  const Peer control_of_source;
  const Peer one;
  const Peer control_of_one;
  scene.receiver(one, 0x11111111, control_of_one.address().port());
  scene.packets(0, 3);
  control_of_source.send(scene.bed.at(scene.control_number), sender_report(kSource, 480));
  CHECK(RtcpCompound::parse(scene.rtcp_at(control_of_one)).has_value());
  control_of_one.send(scene.bed.at(scene.control_number),
                      receiver_report(7, {0x11111111, 0, 0, 1002, 0, codec::ntp_middle(kNtp), 0}));
  scene.bed.until([&] { return scene.row().report.has_value(); });
  // To where the source's own came from.
  const Datagram bytes = scene.rtcp_at(control_of_source);
  CHECK(RtcpCompound::parse(bytes).has_value());
  for (const Got& got : one.take()) CHECK_FALSE(codec::is_rtcp(got.bytes));
  CHECK(scene.bed.flows.remove_port(scene.control)->code == std::string("FLOWS_ATTACHED"));
  scene.bed.flows.remove_flow(scene.flow);
  CHECK_FALSE(scene.bed.flows.remove_port(scene.control).has_value());
}

TEST_CASE("flow rtcp: after a gate has moved nothing of before is told to the new source") {
  Scene scene;
  const Peer one;
  const auto handle = scene.receiver(one, 0x11111111);
  scene.packets(100, 10);
  scene.source.send(scene.bed.at(scene.number), sender_report(kSource, 1600));
  scene.rtcp_at(one);
  one.send(scene.bed.at(scene.number), receiver_report(7, {0x11111111, 0, 5, 1109, 0, 0, 0}));
  scene.bed.until([&] { return scene.row().report.has_value(); });

  const Peer other;
  const plane::Handle second = scene.bed.next++;
  auto& counters = scene.bed.flow_counters.emplace_back();
  plane::AddFlow options;
  options.flow.name = "second";
  options.flow.clock_rate = 8000;
  options.port = scene.port;
  options.match.remote = other.address();
  options.match.remote_port = other.address().port();
  options.rtcp = {"relay@here", 64e3};
  REQUIRE_FALSE(scene.bed.flows.add_flow(second, options, counters));
  scene.bed.gate(handle, true, second);
  for (std::uint16_t i = 0; i < 5; i++)
    other.send(scene.bed.at(scene.number), rtp_packet(static_cast<std::uint16_t>(40000 + i), 160U * i, 0x55));
  scene.bed.until([&] { return counters.packets_out == 5; });
  // Numbers went on: 1,110 to 1,114 are 40,000 to 40,004. It asks for one of before, and for one of these.
  one.send(scene.bed.at(scene.number), bytes_of("81cd0004 00000007 11111111 04550000 04570000"));
  CHECK(scene.rtcp_at(other) == bytes_of("81cd0003 00000007 00000055 9c410000"));
  one.send(scene.bed.at(scene.number), receiver_report(7, {0x11111111, 0, 6, 1114, 0, 0, 0}));
  const Datagram bytes = scene.rtcp_at(other);
  const auto compound = RtcpCompound::parse(bytes);
  REQUIRE(compound.has_value());
  std::vector<codec::ReportBlock> blocks;
  for (const auto& packet : *compound)
    if (packet.ssrc() == 7) blocks.push_back(codec::report_block(packet, 0));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].ssrc == 0x55);
  CHECK(blocks[0].highest_sequence == 40004);
  CHECK(blocks[0].lost == 1);
  // The old source is heard of no more; its report is not for the receiver.
  scene.source.send(scene.bed.at(scene.number), sender_report(kSource, 3200));
  scene.bed.until([&] { return scene.counters.rtcp_in == 3; });
  for (const Got& got : one.take()) CHECK_FALSE(got.bytes == sender_report(kSource, 3200));
  scene.bed.flows.remove_receivers({&handle, 1});
  CHECK(scene.bed.flows.receivers(second, 0, 1).empty());
}
