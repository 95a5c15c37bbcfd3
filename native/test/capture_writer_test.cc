#include "codec/capture_writer.h"

#include <doctest/doctest.h>

#include <string>

#include "test/allocations.h"
#include "test/capture_maker.h"

using namespace sluice::codec;
using namespace sluice::test;

namespace {

struct Written {
  Buffer bytes;
  void append(const Buffer& room, std::size_t size) {
    bytes.insert(bytes.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(size));
  }
};

Buffer write(const CaptureHeader& header, const std::vector<Buffer>& packets) {
  const CaptureWriter writer(header.format, header.snaplen);
  Buffer room(CaptureWriter::kMostPacket);
  Written out;
  out.append(room, CaptureWriter::begin(header, room));
  std::int64_t time = 1'763'635'000'123'456'789;
  for (const Buffer& packet : packets) {
    const Bytes head = Bytes(packet).first(packet.size() / 3);
    const auto length = static_cast<std::uint32_t>(packet.size());
    out.append(room, writer.packet(time++, length, head, Bytes(packet).subspan(head.size()), room));
  }
  out.append(room, writer.end({time, 7, 2}, room));
  return out.bytes;
}

}  // namespace

TEST_CASE("capture writer: what is written is read again, in both formats") {
  const std::vector<Buffer> packets = {{}, {1}, {1, 2}, {1, 2, 3, 4, 5}, Buffer(1500, 9)};
  for (const CaptureFormat format : {CaptureFormat::pcapng, CaptureFormat::pcap}) {
    const std::string long_text(500, 'x');
    const Buffer file = write({format, 276, 1000, "eth0", long_text, "test"}, packets);
    const ReadAll read = read_in_pieces(file);
    if (read.damage) FAIL(read.damage->text());
    REQUIRE(read.packets.size() == packets.size());
    for (std::size_t i = 0; i < packets.size(); i++) {
      CHECK(read.packets[i].time_ns == 1'763'635'000'123'456'789 + static_cast<std::int64_t>(i));
      CHECK(read.packets[i].link_type == 276);
      CHECK(read.packets[i].original_length == packets[i].size());
      const std::size_t kept = std::min<std::size_t>(packets[i].size(), 1000);
      CHECK(read.packets[i].data ==
            Buffer(packets[i].begin(), packets[i].begin() + static_cast<std::ptrdiff_t>(kept)));
    }
  }
}

TEST_CASE("capture writer: every byte of a small pcapng file") {
  const Buffer file = write({CaptureFormat::pcapng, 1, 96, "lo", "", "s"}, {{0xaa, 0xbb, 0xcc}});
  const Buffer expected = {
      0x0a, 0x0d, 0x0d, 0x0a, 0x28, 0,    0,    0,     // section header, 40 bytes
      0x4d, 0x3c, 0x2b, 0x1a, 0x01, 0,    0,    0,     // little-endian, version 1.0
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // of unknown length
      0x04, 0,    0x01, 0,    's',  0,    0,    0,     // shb_userappl
      0,    0,    0,    0,    0x28, 0,    0,    0,     // end of options
      0x01, 0,    0,    0,    0x28, 0,    0,    0,     // interface description, 40 bytes
      0x01, 0,    0,    0,    0x60, 0,    0,    0,     // Ethernet, snap length 96
      0x02, 0,    0x02, 0,    'l',  'o',  0,    0,     // if_name
      0x09, 0,    0x01, 0,    0x09, 0,    0,    0,     // if_tsresol: 10^-9
      0,    0,    0,    0,    0x28, 0,    0,    0,     // end of options
  };
  REQUIRE(file.size() > expected.size());
  CHECK(Buffer(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(expected.size())) == expected);
}

TEST_CASE("capture writer: too little room writes nothing, and nothing is allocated") {
  const CaptureWriter writer(CaptureFormat::pcapng, kMaxCaptured);
  Buffer room(CaptureWriter::kMostHeader - 1);
  CHECK(CaptureWriter::begin({}, room) == 0);
  CHECK(writer.end({}, room) == 0);
  CHECK(CaptureWriter::interface({}, room) == 0);
  const Buffer packet(1000, 1);
  CHECK(writer.packet(0, 1000, {}, packet, room) == 0);
  Buffer enough(2000);
  CaptureHeader pcap;
  pcap.format = CaptureFormat::pcap;
  CHECK(CaptureWriter::interface(pcap, enough) == 0);
  const std::uint64_t before = allocations();
  CHECK(writer.packet(0, 1000, {}, packet, enough) == 32 + 1000);
  CHECK(allocations() == before);
}
