#include "codec/pcap.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "codec/capture_flows.h"
#include "codec/mpegts.h"
#include "codec/rtp.h"

using namespace sluice::codec;

namespace {

using Buffer = std::vector<std::uint8_t>;

void put16(Buffer& out, std::uint32_t v, bool big) {
  for (int i : {0, 1}) out.push_back(static_cast<std::uint8_t>(v >> (big ? 8 - 8 * i : 8 * i)));
}

void put32(Buffer& out, std::uint32_t v, bool big) {
  for (int i : {0, 1, 2, 3}) out.push_back(static_cast<std::uint8_t>(v >> (big ? 24 - 8 * i : 8 * i)));
}

Buffer file_header(std::uint32_t magic, std::uint32_t link_type, bool big) {
  Buffer out;
  put32(out, magic, big);
  put16(out, 2, big);
  put16(out, 4, big);
  put32(out, 0, big);
  put32(out, 0, big);
  put32(out, 262144, big);
  put32(out, link_type, big);
  return out;
}

void put_record(Buffer& out, std::uint32_t seconds, std::uint32_t fraction, const Buffer& packet, bool big) {
  put32(out, seconds, big);
  put32(out, fraction, big);
  put32(out, static_cast<std::uint32_t>(packet.size()), big);
  put32(out, static_cast<std::uint32_t>(packet.size()), big);
  out.insert(out.end(), packet.begin(), packet.end());
}

Buffer operator+(const Buffer& a, const Buffer& b) {
  Buffer out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

const Buffer kEthernet = {
    0x01, 0x00, 0x5e, 0x01, 0x01, 0x01,  // destination: the group's
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01,  // source
    0x08, 0x00,                          // EtherType IPv4
};
const Buffer kTagged = {
    0x01, 0x00, 0x5e, 0x01, 0x01, 0x01, 0x02, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x88, 0xa8, 0x00, 0x64,  // service tag, VLAN 100
    0x81, 0x00, 0x00, 0x0a,                          // customer tag, VLAN 10
    0x08, 0x00,                                      // EtherType IPv4
};
const Buffer kCooked = {
    0x00, 0x02, 0x03, 0x04,                          // multicast; loopback
    0x00, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,  // address
    0x00, 0x00, 0x08, 0x00,                          // protocol IPv4
};
const Buffer kCooked2 = {
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,  // protocol IPv4; interface 2
    0x00, 0x01, 0x02, 0x06,                          // Ethernet; multicast
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,  // address
};
const Buffer kIpv4 = {
    0x45, 0xb8, 0x00, 0x20,  // version 4, header 5 words, DSCP EF, total length 32
    0x00, 0x01, 0x40, 0x00,  // identification, do not fragment
    0x08, 0x11, 0x00, 0x00,  // TTL 8, UDP, checksum not filled in
    0xc0, 0x00, 0x02, 0x01,  // 192.0.2.1
    0xef, 0x01, 0x01, 0x01,  // 239.1.1.1
};
const Buffer kUdp = {
    0x9c, 0x40, 0x13, 0x88,  // 40000 -> 5000
    0x00, 0x0c, 0x00, 0x00,  // length 12
    0xde, 0xad, 0xbe, 0xef,  // payload
};
const Buffer kIpv6 = {
    0x60, 0x00, 0x00, 0x00,                       // version 6
    0x00, 0x1c, 0x00, 0x01,                       // payload length 28, next header hop-by-hop, hop limit 1
    0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,  // 2001:db8::1
    0x00, 0x00, 0x00, 0x00, 0,    0,    0,    1,    0xff,
    0x35, 0x00, 0x00, 0,    0,    0,    0,  // ff35::8000:1
    0x00, 0x00, 0x00, 0x00, 0x80, 0,    0,    1,    0x3c,
    0x00, 0x05, 0x02, 0x00, 0x00, 0x01, 0x00,  // hop-by-hop: next destination options, router alert, PadN
    0x11, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00,  // destination options: next UDP, PadN
};
/** Families of BSD loopback: AF_INET as a little-endian and as a big-endian machine writes it. */
const Buffer kNullLittle = {0x02, 0x00, 0x00, 0x00};
const Buffer kNullBig = {0x00, 0x00, 0x00, 0x02};

Buffer read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(__FILE__).parent_path() / "../../fixtures/pcap" / name;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text + separator);
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}

}  // namespace

TEST_CASE("pcap: both byte orders and both units of time") {
  struct Case {
    std::uint32_t magic;
    bool big;
    std::int64_t time_ns;
  };
  for (const Case& c : std::initializer_list<Case>{{0xa1b2c3d4, false, 1'000'500'000},
                                                   {0xa1b2c3d4, true, 1'000'500'000},
                                                   {0xa1b23c4d, false, 1'000'000'500},
                                                   {0xa1b23c4d, true, 1'000'000'500}}) {
    Buffer file = file_header(c.magic, 1, c.big);
    put_record(file, 1, 500, {1, 2, 3}, c.big);
    put_record(file, 2, 0, {}, c.big);
    PcapReader reader(file);
    CHECK(reader.link_type() == 1);
    const auto first = reader.next();
    REQUIRE(first);
    CHECK(first->time_ns == c.time_ns);
    CHECK(first->offset == 24);
    CHECK(first->original_length == 3);
    CHECK(Buffer(first->data.begin(), first->data.end()) == Buffer{1, 2, 3});
    const auto second = reader.next();
    REQUIRE(second);
    CHECK(second->data.empty());
    CHECK_FALSE(reader.next());
    CHECK_FALSE(reader.error());
  }
}

TEST_CASE("pcap: what is wrong is told with its offset") {
  struct Case {
    std::size_t at;
    Buffer bytes;
    std::size_t offset;
    std::string got;
  };
  Buffer good = file_header(0xa1b2c3d4, 1, true);
  put_record(good, 1, 999'999, {1, 2, 3}, true);
  const std::vector<Case> cases = {
      {0, {0x0a, 0x0d, 0x0d, 0x0a}, 0, "pcapng, which \"editcap -F pcap IN OUT\" converts"},
      {0, {0x47, 0x40, 0x00, 0x10}, 0, "47400010"},
      {4, {0x00, 0x01}, 4, "1.4"},
      {20, {0x00, 0x00, 0x00, 0x69}, 20, "105"},
      {28, {0x00, 0x0f, 0x42, 0x40}, 28, "1000000"},
      {32, {0xff, 0xff, 0xff, 0xff}, 32, "4294967295"},
      {32, {0x00, 0x04, 0x00, 0x01}, 32, "262145"},
      {32, {0x00, 0x00, 0x00, 0x04}, 32, "4 bytes announced, 3 left"},
  };
  for (const Case& c : cases) {
    Buffer file = good;
    std::copy(c.bytes.begin(), c.bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(c.at));
    PcapReader reader(file);
    while (reader.next()) continue;
    REQUIRE(reader.error());
    CHECK(reader.error()->offset == c.offset);
    CHECK(std::string(reader.error()->got.data()) == c.got);
  }
}

TEST_CASE("pcap: every truncation but at a border between records is an error at or before the cut") {
  Buffer file = file_header(0xa1b2c3d4, 1, false);
  put_record(file, 1, 0, kEthernet + kIpv4 + kUdp, false);
  put_record(file, 2, 0, kEthernet + kIpv4 + kUdp, false);
  const std::size_t record = (file.size() - 24) / 2;
  for (std::size_t size = 0; size <= file.size(); size++) {
    const Buffer cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    PcapReader reader(cut);
    std::size_t records = 0;
    while (reader.next()) records++;
    const bool border = size >= 24 && (size - 24) % record == 0;
    CHECK(reader.error().has_value() == !border);
    if (reader.error()) CHECK(reader.error()->offset <= size);
    CHECK(records == (size < 24 ? 0 : (size - 24) / record));
  }
}

TEST_CASE("pcap: UDP is found below every link type") {
  const std::vector<std::pair<std::uint32_t, Buffer>> cases = {
      {1, kEthernet}, {1, kTagged},     {113, kCooked}, {276, kCooked2}, {101, {}}, {12, {}},
      {14, {}},       {0, kNullLittle}, {0, kNullBig},  {108, kNullBig}, {228, {}},
  };
  for (const auto& [link_type, header] : cases) {
    CAPTURE(link_type);
    const Buffer packet = header + kIpv4 + kUdp + Buffer(6, 0);
    UdpDatagram datagram;
    REQUIRE(find_udp(packet, link_type, datagram) == UdpFind::udp);
    CHECK(datagram.version == 4);
    CHECK(load32(datagram.source.data()) == 0xc0000201);
    CHECK(load32(datagram.destination.data()) == 0xef010101);
    CHECK(datagram.source_port == 40000);
    CHECK(datagram.destination_port == 5000);
    // Ethernet's padding is not payload.
    CHECK(Buffer(datagram.payload.begin(), datagram.payload.end()) == Buffer{0xde, 0xad, 0xbe, 0xef});
    for (std::size_t size = 0; size < packet.size() - 6; size++) {
      CHECK(find_udp(Bytes(packet).first(size), link_type, datagram) == UdpFind::cut);
    }
  }
}

TEST_CASE("pcap: UDP is found behind IPv6 extension headers") {
  const Buffer packet = kIpv6 + kUdp;
  UdpDatagram datagram;
  REQUIRE(find_udp(packet, 101, datagram) == UdpFind::udp);
  CHECK(datagram.version == 6);
  CHECK(datagram.destination[0] == 0xff);
  CHECK(datagram.payload.size() == 4);
  for (std::size_t size = 0; size < packet.size(); size++) {
    CHECK(find_udp(Bytes(packet).first(size), 101, datagram) == UdpFind::cut);
  }
}

TEST_CASE("pcap: fragments and other protocols are told apart") {
  UdpDatagram datagram;
  const auto with = [](Buffer packet, std::size_t at, std::uint8_t value) {
    packet[at] = value;
    return packet;
  };
  const Buffer ipv4 = kIpv4 + kUdp;
  const Buffer ipv6 = kIpv6 + kUdp;
  CHECK(find_udp(with(ipv4, 6, 0x20), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv4, 7, 0x01), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv6, 40, 44), 101, datagram) == UdpFind::fragment);
  CHECK(find_udp(with(ipv4, 9, 6), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 0, 0x44), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 0, 0x15), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 25, 7), 101, datagram) == UdpFind::other);
  CHECK(find_udp(with(ipv4, 25, 13), 101, datagram) == UdpFind::cut);
  CHECK(find_udp(with(ipv4, 0, 0x4f), 101, datagram) == UdpFind::other);
}

TEST_CASE("pcap: random bytes neither crash nor loop") {
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
  auto* flows = std::get_if<std::vector<CaptureFlow>>(&result);
  REQUIRE(flows != nullptr);
  REQUIRE(flows->size() == 1);
  const CaptureFlow& flow = flows->front();
  CHECK(flow.rtp);
  CHECK(flow.packets == 5);
  CHECK(flow.duration_ns == 5'000'000'000);
  REQUIRE(flow.ts.size() == 5 * kTsPacketSize);
  for (std::size_t i = 0; i < 5; i++) CHECK(flow.ts[i * kTsPacketSize + 1] == i);
}

TEST_CASE("capture flows: a capture without MPEG-TS tells what was in it") {
  Buffer file = file_header(0xa1b2c3d4, 1, false);
  put_record(file, 0, 0, kEthernet + kIpv4 + kUdp, false);
  put_record(file, 0, 0, kEthernet + kIpv4, false);
  const auto result = read_capture_flows(file);
  const auto* error = std::get_if<CaptureError>(&result);
  REQUIRE(error != nullptr);
  CHECK(std::string(error->code) == "CAPTURE_EMPTY");
  CHECK(error->message ==
        "expected MPEG-TS over UDP or RTP, got 2 packets with 1 whole UDP datagrams, none of them MPEG-TS; 1 "
        "packets were cut "
        "(capture with snap length 0)");
}

TEST_CASE("pcap: the fixtures are read as tshark reads them, packet by packet") {
  for (const std::string name : {"demo-high", "demo-low"}) {
    const Buffer file = read_all(fixture(name + ".pcap"));
    REQUIRE(file.size() > 100'000);
    std::ifstream dissection(fixture(name + ".tshark.txt"));
    std::string line;
    std::getline(dissection, line);
    PcapReader reader(file);
    std::size_t frames = 0;
    while (const auto record = reader.next()) {
      REQUIRE(std::getline(dissection, line));
      const auto f = split(line, '\t');
      REQUIRE(f.size() == 13);
      CAPTURE(line);
      frames++;
      const auto dot = f[1].find('.');
      CHECK(record->time_ns ==
            std::stoll(f[1].substr(0, dot)) * 1'000'000'000 + std::stoll(f[1].substr(dot + 1)));
      CHECK(record->data.size() == std::stoull(f[2]));
      UdpDatagram datagram;
      REQUIRE(find_udp(record->data, reader.link_type(), datagram) == UdpFind::udp);
      CHECK(datagram.source_port == std::stoul(f[4]));
      CHECK(datagram.destination_port == std::stoul(f[6]));
      CHECK(datagram.payload.size() + 8 == std::stoull(f[7]));
      if (f[8].empty()) continue;
      const auto rtp = parse_rtp(datagram.payload);
      REQUIRE(rtp);
      CHECK(rtp->header.sequence == std::stoul(f[8]));
      CHECK(rtp->header.timestamp == std::stoul(f[9]));
      CHECK(rtp->header.ssrc == std::stoul(f[10], nullptr, 16));
      const auto pids = split(f[11], ',');
      const auto counters = split(f[12], ',');
      REQUIRE(rtp->payload.size() == pids.size() * kTsPacketSize);
      for (std::size_t i = 0; i < pids.size(); i++) {
        const auto packet = TsPacket::parse(rtp->payload.subspan(i * kTsPacketSize, kTsPacketSize));
        REQUIRE(packet);
        CHECK(packet->pid() == std::stoul(pids[i], nullptr, 16));
        CHECK(packet->continuity_counter() == std::stoul(counters[i]));
      }
    }
    CHECK_FALSE(reader.error());
    CHECK_FALSE(std::getline(dissection, line));
    CHECK(frames > 500);
  }
}
