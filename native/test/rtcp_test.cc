#include "codec/rtcp.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include "codec/ntp.h"
#include "codec/rtcp_writer.h"
#include "test/rtcp_bytes.h"

using namespace sluice::codec;
using sluice::test::bytes_of;
using sluice::test::Datagram;
using sluice::test::text_of;

namespace {

/** Every type there is, with all that they can hold. */
const Datagram kEverything{
    0x81, 0xc8, 0x00, 0x0c,                          // SR with one block, 13 words
    0xca, 0xfe, 0xba, 0xbe,                          // SSRC
    0xe8, 0xa1, 0xb2, 0xc3, 0x80, 0x00, 0x00, 0x00,  // NTP: half a second past
    0xff, 0xff, 0xff, 0xf0,                          // RTP timestamp
    0x00, 0x00, 0x03, 0xe8,                          // 1,000 packets
    0x00, 0x02, 0x71, 0x00,                          // 160,000 octets
    0x11, 0x22, 0x33, 0x44,                          // block: about
    0x40, 0xff, 0xff, 0xfe,                          // a quarter lost, -2 in all
    0x00, 0x01, 0xff, 0xfe,                          // one cycle, number 65534
    0x00, 0x00, 0x00, 0x2a,                          // jitter 42
    0xb2, 0xc3, 0x80, 0x00,                          // LSR
    0x00, 0x00, 0x80, 0x00,                          // DLSR: half a second
    0x82, 0xca, 0x00, 0x08,                          // SDES with two chunks, 9 words
    0xca, 0xfe, 0xba, 0xbe,                          // chunk of this SSRC
    0x06, 0x02, 'h',  'i',  0x01, 0x03, 'a',  '@',   // TOOL, CNAME
    'b',  0x00, 0x00, 0x00,                          // its end, and what fills the word
    0x00, 0x00, 0x00, 0x07,                          // chunk of another
    0x01, 0x04, 'c',  'd',  'e',  'f',  0x00, 0x00,  // CNAME
    0x00, 0x00, 0x00, 0x00,                          // behind the last chunk
    0x85, 0xcc, 0x00, 0x03,                          // APP, subtype 5, 4 words
    0xca, 0xfe, 0xba, 0xbe, 'p',  'i',  'n',  'g',   // SSRC, name
    0x01, 0x02, 0x03, 0x04,                          // data
    0x81, 0xcd, 0x00, 0x03,                          // RTPFB: NACK
    0xca, 0xfe, 0xba, 0xbe, 0x11, 0x22, 0x33, 0x44,  // sender, media
    0xff, 0xff, 0x00, 0x05,                          // 65535, 0, 2
    0x81, 0xce, 0x00, 0x02,                          // PSFB: picture loss
    0xca, 0xfe, 0xba, 0xbe, 0x11, 0x22, 0x33, 0x44,  // sender, media
    0x80, 0xcf, 0x00, 0x02,                          // XR (RFC 3611)
    0xca, 0xfe, 0xba, 0xbe, 0x04, 0x00, 0x00, 0x00,  // SSRC, a block of no words
    0x80, 0xdf, 0x00, 0x00,                          // a type unknown
    0x82, 0xcb, 0x00, 0x04,                          // BYE of two, 5 words
    0xca, 0xfe, 0xba, 0xbe, 0x00, 0x00, 0x00, 0x07,  // who
    0x03, 'e',  'n',  'd',                           // why
    0x00, 0x00, 0x00, 0x00, 0xa0, 0xc9, 0x00, 0x02,  // RR with padding, 3 words
    0xca, 0xfe, 0xba, 0xbe,                          // SSRC
    0x00, 0x00, 0x00, 0x04,                          // padding: 4 bytes
};

std::vector<RtcpPacket> packets_of(const Datagram& datagram, RtcpForm form = RtcpForm::full) {
  std::vector<RtcpPacket> packets;
  if (const auto compound = RtcpCompound::parse(datagram, form)) {
    for (const RtcpPacket& packet : *compound) packets.push_back(packet);
  }
  return packets;
}

Datagram with(Datagram bytes, std::size_t at, std::uint8_t value) {
  bytes[at] = value;
  return bytes;
}

/** Reads all that can be read; the address sanitizer sees what is past the end. */
std::size_t read_everything(const RtcpCompound& compound) {
  std::size_t sum = 0;
  for (const RtcpPacket& packet : compound) {
    sum += packet.ssrc();
    if (const auto info = sender_info(packet)) sum += info->octets;
    for (std::size_t i = 0; i < report_block_count(packet); i++) sum += report_block(packet, i).delay;
    SdesChunks chunks(packet);
    while (const auto chunk = chunks.next()) {
      if (const auto name = chunk->item(sdes_item::kCname)) sum += text_of(name->text).size();
    }
    for (std::size_t i = 0; i < bye_count(packet); i++) sum += bye_source(packet, i);
    sum += text_of(bye_reason(packet)).size();
    if (const auto app = application_packet(packet)) sum += text_of(app->name).size() + app->data.size();
    if (const auto feedback = feedback_packet(packet)) sum += feedback->media;
  }
  return sum;
}

}  // namespace

TEST_CASE("rtcp: a compound of every type, byte by byte") {
  const auto packets = packets_of(kEverything);
  REQUIRE(packets.size() == 9);
  const auto info = sender_info(packets[0]);
  REQUIRE(info.has_value());
  CHECK(packets[0].ssrc() == 0xcafebabe);
  CHECK(info->ntp == 0xe8a1b2c380000000);
  CHECK(info->timestamp == 0xfffffff0);
  CHECK(info->packets == 1000);
  CHECK(info->octets == 160000);
  REQUIRE(report_block_count(packets[0]) == 1);
  const ReportBlock block = report_block(packets[0], 0);
  CHECK(block.ssrc == 0x11223344);
  CHECK(block.fraction_lost == 64);
  CHECK(block.lost == -2);
  CHECK(block.highest_sequence == 0x1fffe);
  CHECK(block.jitter == 42);
  CHECK(block.last_report == 0xb2c38000);
  CHECK(block.delay == 0x8000);

  SdesChunks chunks(packets[1]);
  const auto own = chunks.next();
  REQUIRE(own.has_value());
  CHECK(own->ssrc() == 0xcafebabe);
  CHECK(own->items().size() == 12);
  REQUIRE(own->item(sdes_item::kCname).has_value());
  CHECK(text_of(own->item(sdes_item::kCname)->text) == "a@b");
  CHECK_FALSE(own->item(2).has_value());
  const auto other = chunks.next();
  REQUIRE(other.has_value());
  CHECK(other->ssrc() == 7);
  CHECK(text_of(other->item(sdes_item::kCname)->text) == "cdef");
  CHECK_FALSE(chunks.next().has_value());

  const auto app = application_packet(packets[2]);
  REQUIRE(app.has_value());
  CHECK(app->subtype == 5);
  CHECK(text_of(app->name) == "ping");
  CHECK(app->data.size() == 4);
  const auto nack = feedback_packet(packets[3]);
  REQUIRE(nack.has_value());
  CHECK(nack->format == rtcp_feedback::kNack);
  CHECK(nack->sender == 0xcafebabe);
  CHECK(nack->media == 0x11223344);
  CHECK(load32(nack->control.data()) == 0xffff0005);
  CHECK(feedback_packet(packets[4])->format == rtcp_feedback::kPictureLoss);
  CHECK(packets[5].type == rtcp_type::kExtendedReport);
  CHECK(packets[6].type == 0xdf);
  CHECK(packets[6].ssrc() == 0);
  REQUIRE(bye_count(packets[7]) == 2);
  CHECK(bye_source(packets[7], 1) == 7);
  CHECK(text_of(bye_reason(packets[7])) == "end");
  CHECK(packets[8].type == rtcp_type::kReceiverReport);
  CHECK(packets[8].body.size() == 4);
}

TEST_CASE("rtcp: truncated at every length it is refused, or is a whole number of its packets") {
  for (std::size_t size = 0; size < kEverything.size(); size++) {
    CAPTURE(size);
    // A copy of exactly this size, so that the address sanitizer sees every byte read past the end.
    const Datagram cut(kEverything.begin(), kEverything.begin() + static_cast<std::ptrdiff_t>(size));
    const auto compound = RtcpCompound::parse(cut);
    const std::array<std::size_t, 8> ends{52, 88, 104, 120, 132, 144, 148, 168};
    CHECK(compound.has_value() == (std::ranges::find(ends, size) != ends.end()));
    if (compound) CHECK(read_everything(*compound) > 0);
  }
}

TEST_CASE("rtcp: whatever stands in any one byte, nothing is read past the end") {
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < kEverything.size(); at++) {
    for (const unsigned value :
         {0x00U, 0x01U, 0x07U, 0x1fU, 0x7fU, 0x80U, 0x9fU, 0xa0U, 0xc8U, 0xcaU, 0xffU}) {
      const Datagram changed = with(kEverything, at, static_cast<std::uint8_t>(value));
      const auto compound = RtcpCompound::parse(changed, RtcpForm::reduced_too);
      if (compound && read_everything(*compound) > 0) accepted++;
    }
  }
  CHECK(accepted > 1000);
}

TEST_CASE("rtcp: impossible lengths and orders are refused") {
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 0, 0x41)).has_value());    // version 1
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 52, 0x02)).has_value());   // version 0 in the second
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 0, 0x82)).has_value());    // more blocks than there are
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 0, 0xa1)).has_value());    // padding, not the last
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 3, 0xff)).has_value());    // longer than the datagram
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 61, 0xff)).has_value());   // an item past the packet
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 52, 0x9f)).has_value());   // more chunks than there are
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 160, 0xff)).has_value());  // a reason past the packet
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 179, 0x00)).has_value());  // padding of none
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 179, 0x03)).has_value());  // not whole words
  CHECK_FALSE(RtcpCompound::parse(with(kEverything, 179, 0x0c)).has_value());  // more than the packet
  // A chunk without its end.
  CHECK_FALSE(RtcpCompound::parse(bytes_of("80c9000100000001 81ca000200000001 01024142")).has_value());
  // A chunk that the packet has no room for at all.
  CHECK_FALSE(RtcpCompound::parse(bytes_of("80c9000100000001 81ca0000")).has_value());
}

TEST_CASE("rtcp: a datagram without a report is taken only where reduced size is") {
  const Datagram picture_loss = bytes_of("81ce0002 11223344 cafebabe");
  CHECK_FALSE(RtcpCompound::parse(picture_loss).has_value());
  REQUIRE(packets_of(picture_loss, RtcpForm::reduced_too).size() == 1);
  CHECK(feedback_packet(packets_of(picture_loss, RtcpForm::reduced_too)[0])->media == 0xcafebabe);
}

TEST_CASE("rtcp: told from RTP by its type; payload types 64 to 95 with the marker are taken for it") {
  for (unsigned type = 0; type < 128; type++) {
    for (const bool marker : {false, true}) {
      CAPTURE(type);
      const Datagram rtp{0x80, static_cast<std::uint8_t>((marker ? 0x80U : 0U) | type), 0, 1};
      CHECK(is_rtcp(rtp) == (marker && collides_with_rtcp(static_cast<std::uint8_t>(type))));
    }
  }
  CHECK(collides_with_rtcp(72));
  CHECK_FALSE(collides_with_rtcp(63));
  CHECK_FALSE(collides_with_rtcp(96));
  CHECK_FALSE(is_rtcp(bytes_of("80c800")));
  CHECK_FALSE(is_rtcp(bytes_of("40c80000")));
}

TEST_CASE("rtcp: what is written is what another implementation writes") {
  // Made by the npm package rtp-packet 0.4.2 (buildSR, buildRR, buildSDES, buildNACK, buildPLI, buildFIR,
  // buildBYE, buildCompound).
  const Datagram sender = bytes_of(
      "80c80006cafebabee8a1b2c380000000fffffff0000003e80002710081ca0006cafebabe011172656c6179406578616d706c65"
      "2e6e657400");
  const Datagram nacks = bytes_of(
      "81c9000711223344cafebabe40fffffe0001fffe0000002ab2c380000000800081ca0004112233440106766965776572"
      "0000000081cd000511223344cafebabe0003000000c80000fffe0001");
  const Datagram leaving = bytes_of(
      "81c9000711223344cafebabe40fffffe0001fffe0000002ab2c380000000800081ce000211223344cafebabe"
      "84ce00041122334400000000cafebabe0700000081cb000311223344046f766572000000");
  const ReportBlock block{0xcafebabe, 64, -2, 0x1fffe, 42, 0xb2c38000, 0x8000};
  std::array<std::uint8_t, 256> out{};

  RtcpWriter first(out);
  CHECK(first.sender_report(0xcafebabe, {0xe8a1b2c380000000, 0xfffffff0, 1000, 160000}));
  CHECK(first.cname(0xcafebabe, "relay@example.net"));
  CHECK(std::ranges::equal(first.written(), sender));

  RtcpWriter second(out);
  CHECK(second.receiver_report(0x11223344, {&block, 1}));
  CHECK(second.cname(0x11223344, "viewer"));
  CHECK(second.feedback(rtcp_type::kTransportFeedback, rtcp_feedback::kNack, 0x11223344, 0xcafebabe,
                        bytes_of("00030000 00c80000 fffe0001")));
  CHECK(std::ranges::equal(second.written(), nacks));

  RtcpWriter third(out);
  CHECK(third.receiver_report(0x11223344, {&block, 1}));
  CHECK(third.feedback(rtcp_type::kPayloadFeedback, rtcp_feedback::kPictureLoss, 0x11223344, 0xcafebabe, {}));
  CHECK(third.feedback(rtcp_type::kPayloadFeedback, rtcp_feedback::kFullIntra, 0x11223344, 0,
                       bytes_of("cafebabe 07000000")));
  CHECK(third.bye(0x11223344, "over"));
  CHECK(std::ranges::equal(third.written(), leaving));
}

TEST_CASE("rtcp: as ffmpeg and GStreamer send it") {
  // Recorded on loopback: ffmpeg 5.1 (`-f rtp`, PCMA), its second SR; GStreamer 1.22 (rtpbin, PCMA).
  const Datagram by_ffmpeg = bytes_of("80c800064c9762eaeeaad3deba5e353f92642a37000000d800009cac");
  const auto ffmpeg = packets_of(by_ffmpeg);
  REQUIRE(ffmpeg.size() == 1);
  CHECK(sender_info(ffmpeg[0])->ntp == 0xeeaad3deba5e353f);
  CHECK(sender_info(ffmpeg[0])->timestamp == 0x92642a37);
  CHECK(sender_info(ffmpeg[0])->packets == 216);
  CHECK(sender_info(ffmpeg[0])->octets == 40108);
  const Datagram by_gstreamer = bytes_of(
      "80c80006d0d92309eeaad3ff705ea24c4ce27ae2000000010000040081ca000cd0d92309011c75736572343037383135373334"
      "3040686f73742d623835623261643606094753747265616d6572000000");
  const auto gstreamer = packets_of(by_gstreamer);
  REQUIRE(gstreamer.size() == 2);
  CHECK(sender_info(gstreamer[0])->packets == 1);
  CHECK(sender_info(gstreamer[0])->octets == 1024);
  SdesChunks chunks(gstreamer[1]);
  const auto chunk = chunks.next();
  REQUIRE(chunk.has_value());
  CHECK(chunk->ssrc() == 0xd0d92309);
  CHECK(text_of(chunk->item(sdes_item::kCname)->text) == "user4078157340@host-b85b2ad6");
  CHECK(text_of(chunk->item(6)->text) == "GStreamer");
}

TEST_CASE("rtcp: what does not fit is not begun") {
  const std::vector<ReportBlock> blocks(kMostReportBlocks + 1);
  std::array<std::uint8_t, 28 + 31 * 24> out{};
  RtcpWriter whole(out);
  CHECK_FALSE(whole.sender_report(1, {}, blocks));
  CHECK(whole.size() == 0);
  CHECK(whole.sender_report(1, {}, std::span(blocks).first(kMostReportBlocks)));
  CHECK(whole.size() == out.size());
  CHECK_FALSE(whole.bye(1));

  RtcpWriter texts(out);
  CHECK_FALSE(texts.cname(1, std::string(256, 'x')));
  CHECK_FALSE(texts.bye(1, std::string(256, 'x')));
  CHECK_FALSE(texts.packet(204, 0, 1, bytes_of("010203")));
  CHECK_FALSE(texts.feedback(205, 32, 1, 2, {}));
  CHECK(texts.size() == 0);
  CHECK(texts.receiver_report(1));
  for (std::size_t length = 0; length <= 255; length++) {
    CAPTURE(length);
    for (std::size_t room = 8; room < 8 + 4 + 4 + 2 + length + 1; room++) {
      RtcpWriter narrow(MutableBytes(out).first(room));
      CHECK(narrow.receiver_report(1));
      CHECK_FALSE(narrow.cname(1, std::string(length, 'x')));
      CHECK(narrow.size() == 8);
    }
    RtcpWriter wide(out);
    CHECK((wide.receiver_report(1) && wide.cname(1, std::string(length, 'x'))));
    const auto compound = RtcpCompound::parse(wide.written());
    REQUIRE(compound.has_value());
    SdesChunks chunks(*++compound->begin());
    CHECK(text_of(chunks.next()->item(sdes_item::kCname)->text) == std::string(length, 'x'));
  }
}

TEST_CASE("rtcp: a loss beyond 24 bits is the most that they hold") {
  for (const auto& [given, read] :
       std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 0},
                                                          {1, 1},
                                                          {-1, -1},
                                                          {0x7fffff, 0x7fffff},
                                                          {0x800000, 0x7fffff},
                                                          {-0x800000, -0x800000},
                                                          {-0x800001, -0x800000}}) {
    std::array<std::uint8_t, kRtcpReportBlockSize> bytes{};
    ReportBlock block;
    block.lost = given;
    block.fraction_lost = 255;
    store_report_block(block, bytes.data());
    CHECK(load_report_block(bytes.data()).lost == read);
    CHECK(load_report_block(bytes.data()).fraction_lost == 255);
  }
}

TEST_CASE("rtcp: NTP timestamps of known moments, and lengths of time") {
  CHECK(ntp_from_unix(0) == std::uint64_t{2208988800} << 32);
  // 2004-02-29T12:00:00.5Z.
  CHECK(ntp_from_unix(1078056000'500000000) == 0xc3ec52c0'80000000);
  CHECK(ntp_middle(0x1122334455667788) == 0x33445566);
  CHECK(short_from_nanos(500'000'000) == 0x8000);
  CHECK(short_from_nanos(-1) == 0);
  CHECK(short_from_nanos(65'536'000'000'000) == 0xffffffff);
  CHECK(nanos_from_short(0x00018000) == 1'500'000'000);
  for (const std::int64_t nanos : {0LL, 1LL, 15'259LL, 999'999'999LL, 65'535'999'999'999LL}) {
    CHECK(nanos - nanos_from_short(short_from_nanos(nanos)) >= 0);
    CHECK(nanos - nanos_from_short(short_from_nanos(nanos)) <= 1'000'000'000 / 65536 + 1);
  }
}
