#include "codec/capture_flows.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <random>
#include <string>

#include "codec/mpegts.h"
#include "codec/rtp.h"
#include "test/capture_maker.h"

using namespace sluice::codec;
using namespace sluice::test;

TEST_CASE("capture flows: random bytes neither crash nor loop") {
  std::mt19937 random(20261120);
  for (int round = 0; round < 20'000; round++) {
    Buffer file = file_header(0xa1b2c3d4,
                              std::initializer_list<std::uint32_t>{0, 1, 101, 113}.begin()[round % 4], false);
    Buffer packet(random() % 120);
    for (auto& byte : packet) byte = static_cast<std::uint8_t>(random());
    if (packet.size() > 20 && round % 2 == 0) std::copy(kIpv4.begin(), kIpv4.end() - 8, packet.begin());
    put_record(file, 1, 0, packet, false);
    if (round % 3 == 0) file[random() % file.size()] = static_cast<std::uint8_t>(random());
    const auto result = read_capture_flows(file);
    CHECK(result.index() == 1);
  }
}

TEST_CASE("capture flows: RTP is put in order, duplicates and other traffic are left out") {
  const auto rtp = [](std::uint16_t sequence, std::uint8_t mark) {
    Buffer out(kRtpHeaderSize);
    RtpHeader header;
    header.sequence = sequence;
    write_rtp_header(header, out.data());
    Buffer ts(kTsPacketSize, mark);
    ts[0] = kTsSync;
    return out + ts;
  };
  const auto packet = [](const Buffer& payload, std::uint8_t port_low) {
    Buffer out = kIpv4 + kUdp;
    out.resize(28);
    out = out + payload;
    store16(out.data() + 2, static_cast<std::uint16_t>(out.size()));
    store16(out.data() + 24, static_cast<std::uint16_t>(out.size() - 20));
    out[23] = port_low;
    return out;
  };
  Buffer file = file_header(0xa1b2c3d4, 101, false);
  std::uint32_t second = 0;
  for (const std::uint16_t sequence : {65534, 0, 65535, 1, 0, 2}) {
    put_record(file, second++, 0, packet(rtp(sequence, static_cast<std::uint8_t>(sequence + 2)), 0x88),
               false);
  }
  put_record(file, second, 0, packet({0x80, 200, 0, 6}, 0x89), false);
  auto result = read_capture_flows(file);
  auto* read = std::get_if<CaptureFlows>(&result);
  REQUIRE(read != nullptr);
  CHECK_FALSE(read->damage);
  REQUIRE(read->flows.size() == 1);
  const CaptureFlow& flow = read->flows.front();
  CHECK(flow.rtp);
  CHECK(flow.packets == 5);
  CHECK(flow.duration_ns == 5'000'000'000);
  REQUIRE(flow.ts.size() == 5 * kTsPacketSize);
  for (std::size_t i = 0; i < 5; i++) CHECK(flow.ts[i * kTsPacketSize + 1] == i);
  // Cut in the last record: what is before it stays.
  file.resize(file.size() - 60);
  auto cut = read_capture_flows(file);
  const auto* before = std::get_if<CaptureFlows>(&cut);
  REQUIRE(before != nullptr);
  CHECK(before->flows.front().packets == 4);
  REQUIRE(before->damage);
  CHECK(before->damage->text().find("at byte ") == 0);
}

TEST_CASE("capture flows: a capture without MPEG-TS tells what was in it") {
  Buffer file = file_header(0xa1b2c3d4, 1, false);
  put_record(file, 0, 0, kEthernet + kIpv4 + kUdp, false);
  put_record(file, 0, 0, kEthernet + kIpv4, false);
  put_record(file, 0, 0, {1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 3, 0x42, 0x42, 3}, false);
  const auto result = read_capture_flows(file);
  const auto* error = std::get_if<CaptureError>(&result);
  REQUIRE(error != nullptr);
  CHECK(std::string(error->code) == "CAPTURE_EMPTY");
  CHECK(error->message ==
        "expected MPEG-TS over UDP or RTP, got 3 packets with 1 whole UDP datagrams, none of them MPEG-TS; 1 "
        "packets were cut "
        "(capture with snap length 0); 1 were IEEE 802.3 with LLC");
}
