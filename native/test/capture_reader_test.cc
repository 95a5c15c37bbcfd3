#include "codec/capture_reader.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <random>
#include <sstream>
#include <string>

#include "codec/mpegts.h"
#include "codec/packet.h"
#include "codec/rtp.h"
#include "test/allocations.h"
#include "test/capture_maker.h"

using namespace sluice::codec;
using namespace sluice::test;

namespace {

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

/** Little and big endian: two sections, three interfaces, every kind of packet block, and blocks to pass
 * over. */
Buffer rich_pcapng(bool big) {
  const Buffer nanos = option(9, {9}, big) + option(0, {}, big);
  Buffer file = section(big, option(1, {'h', 'e', 'l', 'l', 'o'}, big) + option(0, {}, big));
  file = file + interface(1, 0, big) + interface(101, 4, big, option(2, {'e', 't', 'h', '7'}, big) + nanos);
  file = file + packet_block(0, 1'000'000'500'000, {1, 2, 3}, big);
  file = file + block(4, Buffer(64, 0xaa), big);  // name resolution
  file = file +
         packet_block(1, 7'000'000'009, {4, 5, 6, 7}, big, false, option(1, {'x'}, big) + option(0, {}, big));
  file = file + packet_block(0, 2, {8}, big, true);
  Buffer simple;
  put32(simple, 6, big);
  file = file + block(3, simple + Buffer{1, 2, 3, 4, 5, 6}, big);
  file = file + block(0x80000001, {}, big);  // somebody's own
  // The other section is in the other byte order, and forgets the interfaces.
  file = file + section(!big) + interface(276, 262144, !big);
  return file + packet_block(0, 3, {9, 9}, !big);
}

}  // namespace

TEST_CASE("capture reader: pcap in both byte orders and both units of time") {
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
    const ReadAll read = read_in_pieces(file);
    REQUIRE(read.packets.size() == 2);
    CHECK(read.packets[0] == ReadAll::Packet{c.time_ns, true, 24, 1, 0, 3, {1, 2, 3}});
    CHECK(read.packets[1].data.empty());
    CHECK_FALSE(read.damage);
  }
}

TEST_CASE("capture reader: pcapng sections, interfaces and blocks of every kind") {
  for (const bool big : {false, true}) {
    const ReadAll read = read_in_pieces(rich_pcapng(big));
    if (read.damage) FAIL(read.damage->text());
    REQUIRE(read.packets.size() == 5);
    CHECK(read.packets[0].time_ns == 1'000'000'500'000'000);  // microseconds where nothing is said
    CHECK(read.packets[0].original_length == 4);
    CHECK(read.packets[0].data == Buffer{1, 2, 3});
    CHECK(read.packets[1].time_ns == 7'000'000'009);
    CHECK(read.packets[1].link_type == 101);
    CHECK(read.packets[1].interface == 1);
    CHECK(read.packets[2].time_ns == 2000);
    CHECK(read.packets[2].data == Buffer{8});
    CHECK_FALSE(read.packets[3].timed);
    CHECK(read.packets[3].data == Buffer{1, 2, 3, 4, 5, 6});
    CHECK(read.packets[4].link_type == 276);
    CHECK(read.packets[4].time_ns == 3000);
  }
}

TEST_CASE("capture reader: the file may come in pieces of any size, and nothing is allocated") {
  Buffer classic = file_header(0xa1b23c4d, 1, false);
  for (std::uint32_t i = 0; i < 5; i++) put_record(classic, i, i, Buffer(i * 7, 1), false);
  for (const Buffer& file : {rich_pcapng(false), rich_pcapng(true), classic}) {
    const ReadAll whole = read_in_pieces(file);
    for (std::size_t piece = 1; piece < 90; piece++)
      CHECK(read_in_pieces(file, piece).packets == whole.packets);
    CaptureReader reader;
    const std::uint64_t before = allocations();
    Bytes window = file;
    CapturePacket packet;
    while (reader.next(window, true, packet) == CaptureReader::Step::packet) continue;
    CHECK(allocations() == before);
  }
}

TEST_CASE("capture reader: a block that holds no packet may be larger than every window") {
  Buffer file = section(false) + interface(1, 0, false) + block(0x0bad0000, Buffer(5'000'000, 7), false);
  file = file + packet_block(0, 1, {1}, false);
  std::size_t most = 0;
  CaptureReader reader;
  std::size_t begin = 0;
  CapturePacket packet;
  std::size_t end = 0;
  for (;;) {
    Bytes window = Bytes(file).subspan(begin, end - begin);
    const auto step = reader.next(window, end == file.size(), packet);
    begin = end - window.size();
    if (step != CaptureReader::Step::more) break;
    most = std::max(most, reader.needed());
    end = std::min(file.size(), std::max(end + 4096, begin + reader.needed()));
  }
  CHECK(packet.data.size() == 1);
  CHECK(most <= 64);
}

TEST_CASE("capture reader: resolutions and offsets of time") {
  struct Case {
    Buffer options;
    std::uint64_t ticks;
    std::int64_t time_ns;
  };
  const Buffer hour = {0x10, 0x0e, 0, 0, 0, 0, 0, 0};
  const Buffer before = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const std::vector<Case> cases = {
      {{}, 1'500'000, 1'500'000'000},
      {option(9, {0}, false), 3, 3'000'000'000},
      {option(9, {3}, false), 1'500, 1'500'000'000},
      {option(9, {9}, false), 1'500'000'001, 1'500'000'001},
      {option(9, {12}, false), 1'500'000'000'999, 1'500'000'000},
      {option(9, {19}, false), 20'000'000'000ULL, 2},
      {option(9, {0x80}, false), 2, 2'000'000'000},
      {option(9, {0x81}, false), 3, 1'500'000'000},
      {option(9, {0x94}, false), (1U << 20) + (1U << 19), 1'500'000'000},
      {option(9, {0xbf}, false), std::uint64_t{1} << 62, 500'000'000},
      {option(14, hour, false), 1, 3'600'000'001'000},
      {option(14, before, false), 1'500'000, 500'000'000},
      {option(9, {0}, false), ~std::uint64_t{0}, INT64_MAX},
  };
  for (const Case& c : cases) {
    const Buffer file =
        section(false) + interface(1, 0, false, c.options) + packet_block(0, c.ticks, {}, false);
    const ReadAll read = read_in_pieces(file);
    REQUIRE(read.packets.size() == 1);
    CHECK(read.packets[0].time_ns == c.time_ns);
  }
}

TEST_CASE("capture reader: what is wrong is told with its offset") {
  struct Case {
    std::size_t at;
    Buffer bytes;
    std::size_t offset;
    std::string got;
  };
  Buffer classic = file_header(0xa1b2c3d4, 1, true);
  put_record(classic, 1, 999'999, {1, 2, 3}, true);
  const std::vector<Case> of_pcap = {
      {0, {0x47, 0x40, 0x00, 0x10}, 0, "47400010"},
      {4, {0x00, 0x01}, 4, "1.4"},
      {28, {0x00, 0x0f, 0x42, 0x40}, 28, "1000000"},
      {32, {0xff, 0xff, 0xff, 0xff}, 32, "4294967295"},
      {32, {0x00, 0x04, 0x00, 0x01}, 32, "262145"},
      {32, {0x00, 0x00, 0x00, 0x04}, 32, "4 bytes announced, 3 left"},
  };
  // A section at 0, an interface at 28, a packet at 60.
  const Buffer block_file = section(true) +
                            interface(1, 0, true, option(9, {9}, true) + option(0, {}, true)) +
                            packet_block(0, 1, {1, 2, 3, 4}, true);
  const std::vector<Case> of_pcapng = {
      {8, {0, 0, 0, 0}, 8, "00000000"},
      {12, {0, 2}, 12, "2.0"},
      {4, {0, 0, 0, 24}, 4, "24"},
      {24, {0, 0, 0, 32}, 24, "32 in place of 28"},
      {32, {0, 0, 0, 30}, 32, "30"},
      {32, {0, 0, 0, 16}, 32, "16"},
      {46, {0, 200}, 46, "200 bytes announced, 8"},
      {48, {20}, 48, "exponent 20"},
      {48, {0x80 | 64}, 48, "exponent 64"},
      {68, {0, 0, 0, 1}, 68, "number 1 of 1, counted from 0"},
      {80, {0, 0, 0, 5}, 80, "5 bytes in a block of 36"},
      {64, {0, 0, 0, 8}, 64, "8"},
      {64, {0, 0, 0, 37}, 64, "37"},
      {64, {0xff, 0, 0, 0}, 64, "4278190080"},
      {92, {0, 0, 0, 1}, 92, "1 in place of 36"},
  };
  const auto check = [](const Buffer& good, const std::vector<Case>& cases) {
    REQUIRE_FALSE(read_in_pieces(good).damage);
    for (const Case& c : cases) {
      Buffer file = good;
      std::copy(c.bytes.begin(), c.bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(c.at));
      const ReadAll read = read_in_pieces(file);
      REQUIRE(read.damage);
      CHECK(read.damage->offset == c.offset);
      CHECK(std::string(read.damage->got.data()) == c.got);
    }
  };
  check(classic, of_pcap);
  REQUIRE(block_file.size() == 96);
  check(block_file, of_pcapng);
}

TEST_CASE("capture reader: truncated at every byte, the packets before are read and the cut is told") {
  Buffer classic = file_header(0xa1b2c3d4, 1, false);
  put_record(classic, 1, 0, kEthernet + kIpv4 + kUdp, false);
  put_record(classic, 2, 0, kEthernet + kIpv4 + kUdp, false);
  for (const Buffer& file : {classic, rich_pcapng(false), rich_pcapng(true)}) {
    const ReadAll whole = read_in_pieces(file);
    std::vector<std::uint64_t> borders;
    std::size_t clean = 0;
    for (std::size_t size = 0; size <= file.size(); size++) {
      for (const std::size_t piece : {std::size_t{0}, std::size_t{13}}) {
        const ReadAll read = read_in_pieces(Bytes(file).first(size), piece);
        CHECK(read.packets.size() <= whole.packets.size());
        CHECK(std::equal(read.packets.begin(), read.packets.end(), whole.packets.begin()));
        if (read.damage) CHECK(read.damage->offset <= size);
        if (!read.damage && piece == 0) clean++;
        // Nothing that is there as a whole is lost.
        if (read.packets.size() < whole.packets.size()) {
          const auto& next = whole.packets[read.packets.size()];
          CHECK(size < next.offset + 16 + next.data.size() + 48);
        }
      }
    }
    // Only between records or blocks: the file header, two records; or 12 blocks.
    CHECK(clean == (file[0] == 0x0a ? 12 : 3));
  }
}

TEST_CASE("capture reader: random damage neither crashes nor loops, and ends the same in pieces") {
  std::mt19937 random(20261120);
  for (int round = 0; round < 20'000; round++) {
    Buffer file = round % 2 == 0 ? rich_pcapng(round % 4 == 0) : file_header(0xa1b2c3d4, 1, false);
    if (round % 2 == 1) put_record(file, 1, 0, kEthernet + kIpv4 + kUdp, false);
    for (unsigned n = 1 + random() % 3; n > 0; n--)
      file[random() % file.size()] = static_cast<std::uint8_t>(random() % 4 == 0 ? 0 : random());
    const ReadAll read = read_in_pieces(file);
    const ReadAll in_pieces = read_in_pieces(file, 1 + random() % 50);
    CHECK(read.packets == in_pieces.packets);
    CHECK(read.damage.has_value() == in_pieces.damage.has_value());
    CHECK(read.packets.size() <= 16);
  }
}

TEST_CASE("capture reader: the fixtures are read as tshark reads them, packet by packet") {
  for (const std::string name : {"demo-high", "demo-low"}) {
    const Buffer file = read_all(fixture(name + ".pcap"));
    REQUIRE(file.size() > 100'000);
    std::ifstream dissection(fixture(name + ".tshark.txt"));
    std::string line;
    std::getline(dissection, line);
    CaptureReader reader;
    Bytes window = file;
    CapturePacket packet;
    std::size_t frames = 0;
    while (reader.next(window, true, packet) == CaptureReader::Step::packet) {
      REQUIRE(std::getline(dissection, line));
      const auto f = split(line, '\t');
      REQUIRE(f.size() == 13);
      CAPTURE(line);
      frames++;
      const auto dot = f[1].find('.');
      CHECK(packet.time_ns ==
            std::stoll(f[1].substr(0, dot)) * 1'000'000'000 + std::stoll(f[1].substr(dot + 1)));
      CHECK(packet.data.size() == std::stoull(f[2]));
      UdpDatagram datagram;
      REQUIRE(find_udp(packet.data, packet.link_type, datagram) == UdpFind::udp);
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
        const auto ts = TsPacket::parse(rtp->payload.subspan(i * kTsPacketSize, kTsPacketSize));
        REQUIRE(ts);
        CHECK(ts->pid() == std::stoul(pids[i], nullptr, 16));
        CHECK(ts->continuity_counter() == std::stoul(counters[i]));
      }
    }
    CHECK_FALSE(reader.damage());
    CHECK_FALSE(std::getline(dissection, line));
    CHECK(frames > 500);
  }
}
