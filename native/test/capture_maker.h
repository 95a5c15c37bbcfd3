// Captures and packets made byte by byte, for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codec/capture_reader.h"

namespace sluice::test {

using Buffer = std::vector<std::uint8_t>;

inline void put16(Buffer& out, std::uint32_t v, bool big) {
  for (int i : {0, 1}) out.push_back(static_cast<std::uint8_t>(v >> (big ? 8 - 8 * i : 8 * i)));
}

inline void put32(Buffer& out, std::uint32_t v, bool big) {
  for (int i : {0, 1, 2, 3}) out.push_back(static_cast<std::uint8_t>(v >> (big ? 24 - 8 * i : 8 * i)));
}

inline Buffer file_header(std::uint32_t magic, std::uint32_t link_type, bool big) {
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

inline void put_record(Buffer& out, std::uint32_t seconds, std::uint32_t fraction, const Buffer& packet,
                       bool big) {
  put32(out, seconds, big);
  put32(out, fraction, big);
  put32(out, static_cast<std::uint32_t>(packet.size()), big);
  put32(out, static_cast<std::uint32_t>(packet.size()), big);
  out.insert(out.end(), packet.begin(), packet.end());
}

inline Buffer operator+(const Buffer& a, const Buffer& b) {
  Buffer out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

inline const Buffer kEthernet = {
    0x01, 0x00, 0x5e, 0x01, 0x01, 0x01,  // destination: the group's
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01,  // source
    0x08, 0x00,                          // EtherType IPv4
};
inline const Buffer kTagged = {
    0x01, 0x00, 0x5e, 0x01, 0x01, 0x01, 0x02, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x88, 0xa8, 0x00, 0x64,  // service tag, VLAN 100
    0x81, 0x00, 0x00, 0x0a,                          // customer tag, VLAN 10
    0x08, 0x00,                                      // EtherType IPv4
};
inline const Buffer kCooked = {
    0x00, 0x02, 0x03, 0x04,                          // multicast; loopback
    0x00, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,  // address
    0x00, 0x00, 0x08, 0x00,                          // protocol IPv4
};
inline const Buffer kCooked2 = {
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,  // protocol IPv4; interface 2
    0x00, 0x01, 0x02, 0x06,                          // Ethernet; multicast
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,  // address
};
inline const Buffer kIpv4 = {
    0x45, 0xb8, 0x00, 0x20,  // version 4, header 5 words, DSCP EF, total length 32
    0x00, 0x01, 0x40, 0x00,  // identification, do not fragment
    0x08, 0x11, 0x00, 0x00,  // TTL 8, UDP, checksum not filled in
    0xc0, 0x00, 0x02, 0x01,  // 192.0.2.1
    0xef, 0x01, 0x01, 0x01,  // 239.1.1.1
};
inline const Buffer kUdp = {
    0x9c, 0x40, 0x13, 0x88,  // 40000 -> 5000
    0x00, 0x0c, 0x00, 0x00,  // length 12
    0xde, 0xad, 0xbe, 0xef,  // payload
};
inline const Buffer kIpv6 = {
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
inline const Buffer kNullLittle = {0x02, 0x00, 0x00, 0x00};
inline const Buffer kNullBig = {0x00, 0x00, 0x00, 0x02};

/** One pcapng block: its length is put before and behind `body`, which is padded. */
inline Buffer block(std::uint32_t type, const Buffer& body, bool big) {
  Buffer out;
  const auto padded = static_cast<std::uint32_t>((body.size() + 3) / 4 * 4);
  put32(out, type, big);
  put32(out, padded + 12, big);
  out.insert(out.end(), body.begin(), body.end());
  out.resize(8 + padded);
  put32(out, padded + 12, big);
  return out;
}

/** A pcapng option, padded. */
inline Buffer option(std::uint16_t code, const Buffer& value, bool big) {
  Buffer out;
  put16(out, code, big);
  put16(out, static_cast<std::uint32_t>(value.size()), big);
  out.insert(out.end(), value.begin(), value.end());
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}

inline Buffer section(bool big, const Buffer& options = {}) {
  Buffer body;
  put32(body, 0x1a2b3c4d, big);
  put16(body, 1, big);
  put16(body, 0, big);
  put32(body, 0xffffffff, big);
  put32(body, 0xffffffff, big);
  return block(0x0a0d0d0a, body + options, big);
}

inline Buffer interface(std::uint16_t link_type, std::uint32_t snaplen, bool big,
                        const Buffer& options = {}) {
  Buffer body;
  put16(body, link_type, big);
  put16(body, 0, big);
  put32(body, snaplen, big);
  return block(1, body + options, big);
}

/** An enhanced packet block, or with `obsolete` the packet block before it. */
inline Buffer packet_block(std::uint32_t interface, std::uint64_t ticks, const Buffer& packet, bool big,
                           bool obsolete = false, const Buffer& options = {}) {
  Buffer body;
  if (obsolete) {
    put16(body, interface, big);
    put16(body, 0xffff, big);
  } else {
    put32(body, interface, big);
  }
  put32(body, static_cast<std::uint32_t>(ticks >> 32), big);
  put32(body, static_cast<std::uint32_t>(ticks), big);
  put32(body, static_cast<std::uint32_t>(packet.size()), big);
  put32(body, static_cast<std::uint32_t>(packet.size() + 1), big);
  body.insert(body.end(), packet.begin(), packet.end());
  body.resize((body.size() + 3) / 4 * 4);
  return block(obsolete ? 2 : 6, body + options, big);
}

/** What a reader gave. */
struct ReadAll {
  struct Packet {
    std::int64_t time_ns;
    bool timed;
    std::uint64_t offset;
    std::uint32_t link_type;
    std::uint32_t interface;
    std::uint32_t original_length;
    Buffer data;
    friend bool operator==(const Packet&, const Packet&) = default;
  };
  std::vector<Packet> packets;
  std::optional<codec::CaptureDamage> damage;
};

/** Reads a file that comes in pieces of `piece` bytes; 0 for all at once. */
inline ReadAll read_in_pieces(codec::Bytes file, std::size_t piece = 0) {
  using Step = codec::CaptureReader::Step;
  codec::CaptureReader reader;
  ReadAll out;
  std::size_t begin = 0;
  std::size_t end = piece == 0 ? file.size() : 0;
  for (;;) {
    codec::Bytes window = file.subspan(begin, end - begin);
    codec::CapturePacket p;
    const Step step = reader.next(window, end == file.size(), p);
    begin = end - window.size();
    if (step == Step::packet) {
      out.packets.push_back({p.time_ns,
                             p.timed,
                             p.offset,
                             p.link_type,
                             p.interface,
                             p.original_length,
                             {p.data.begin(), p.data.end()}});
    } else if (step == Step::more) {
      end = std::min(file.size(), std::max(end + piece, begin + reader.needed()));
    } else {
      out.damage = reader.damage();
      return out;
    }
  }
}

}  // namespace sluice::test
