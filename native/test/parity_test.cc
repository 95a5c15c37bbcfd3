#include "codec/parity.h"

#include <doctest/doctest.h>

#include "repair/parity_decoder.h"
#include "repair/parity_encoder.h"
#include "test/allocations.h"
#include "test/repair_bed.h"

using namespace sluice;
using codec::ParityPacket;
using repair::Origin;
using repair::PacketWindow;
using repair::ParityDecoder;
using repair::ParityEncoder;
using repair::ParityOptions;
using test::Datagram;
using test::Repaired;
using test::Source;

namespace {

struct Taken final : repair::ParityOutput {
  void on_parity(const ParityPacket& packet) noexcept override {
    Datagram written(codec::kParityHeadersSize);
    codec::write_parity({false, 96, sequence++, 0, 0}, packet, written.data());
    written.insert(written.end(), packet.payload.begin(), packet.payload.end());
    all.push_back(std::move(written));
    after.push_back(pushed);
  }
  std::uint16_t sequence = 0;
  std::int64_t pushed = 0;
  std::vector<Datagram> all;
  /** How many packets had been pushed. */
  std::vector<std::int64_t> after;
};

std::vector<Datagram> encode(const Source& source, const ParityOptions& options) {
  ParityEncoder encoder(options);
  Taken taken;
  for (std::int64_t i = source.first(); i < source.end(); i++) encoder.push(source.packet(i), taken);
  encoder.flush(taken);
  return taken.all;
}

/** Whether every packet of the matrix that can be found is: sets of lost rows and columns as the edges of a
 * graph. */
bool solvable(unsigned columns, unsigned rows, std::uint32_t lost, bool row_parity) {
  for (bool found = true; found && lost != 0;) {
    found = false;
    for (unsigned c = 0; c < columns; c++) {
      std::uint32_t mask = 0;
      for (unsigned r = 0; r < rows; r++) mask |= 1U << (r * columns + c);
      if (__builtin_popcount(lost & mask) == 1) {
        lost &= ~mask;
        found = true;
      }
    }
    for (unsigned r = 0; row_parity && r < rows; r++) {
      const std::uint32_t mask = ((1U << columns) - 1) << (r * columns);
      if (__builtin_popcount(lost & mask) == 1) {
        lost &= ~mask;
        found = true;
      }
    }
  }
  return lost == 0;
}

}  // namespace

TEST_CASE("parity: the header is what ST 2022-1 draws") {
  const Datagram body{1, 2, 3};
  ParityPacket packet{{0x1234, 10, 5, false}, 0x21, 0x80 | 33, 0x0102, 0x0a0b0c0d, body};
  std::array<std::uint8_t, codec::kParityHeadersSize> out{};
  codec::write_parity({true, 96, 7, 0x11223344, 0}, packet, out.data());
  const std::array<std::uint8_t, codec::kParityHeadersSize> expected{
      0xa1, 0xe0, 0, 7, 0x11, 0x22, 0x33, 0x44, 0,    0,    0,    0,                   // RTP: P, CC 1, M
      0x12, 0x34, 1, 2, 0xa1, 0,    0,    0,    0x0a, 0x0b, 0x0c, 0x0d, 0, 10, 5, 0};  // E, PT 33
  CHECK(out == expected);
  Datagram datagram(out.begin(), out.end());
  datagram.insert(datagram.end(), body.begin(), body.end());
  const auto read = codec::parse_parity(datagram);
  REQUIRE(read);
  CHECK(read->scope.base == 0x1234);
  CHECK(read->scope.offset == 10);
  CHECK(read->scope.count == 5);
  CHECK(!read->scope.row);
  CHECK(read->flags == 0x21);
  CHECK(read->type == (0x80 | 33));
  CHECK(read->length == 0x0102);
  CHECK(read->timestamp == 0x0a0b0c0d);
  CHECK(test::same(read->payload, body));
  packet.scope.row = true;
  codec::write_parity({false, 96, 7, 0, 0}, packet, datagram.data());
  CHECK(codec::parse_parity(datagram)->scope.row);
  for (std::size_t size = 0; size < codec::kParityHeadersSize; size++)
    CHECK(!codec::parse_parity(codec::Bytes(datagram).first(size)));
}

TEST_CASE("parity: one column and one row each, columns spread over the packets that follow") {
  const Source source(65000, 40, 100, 100);
  ParityEncoder encoder({5, 4, true});
  Taken taken;
  for (std::int64_t i = source.first(); i < source.end(); i++) {
    taken.pushed = i - source.first();
    encoder.push(source.packet(i), taken);
  }
  // Four rows, then with each of the next five a column; rows of the second matrix between.
  std::vector<std::string> seen;
  for (std::size_t i = 0; i < taken.all.size(); i++) {
    const auto packet = codec::parse_parity(taken.all[i]);
    REQUIRE(packet);
    seen.push_back((packet->scope.row ? "row " : "column ") +
                   std::to_string(static_cast<std::uint16_t>(packet->scope.base - 65000)) + " after " +
                   std::to_string(taken.after[i]));
  }
  CHECK(seen == std::vector<std::string>{"row 0 after 4", "row 5 after 9", "row 10 after 14",
                                         "row 15 after 19", "column 0 after 20", "column 1 after 21",
                                         "column 2 after 22", "column 3 after 23", "column 4 after 24",
                                         "row 20 after 24", "row 25 after 29", "row 30 after 34",
                                         "row 35 after 39"});
}

TEST_CASE("parity: every pattern of a small matrix that can be repaired is, and nothing else is made up") {
  for (const bool row_parity : {false, true}) {
    for (const auto& [columns, rows] : {std::pair{3U, 4U}, {4U, 3U}, {1U, 6U}, {6U, 1U}, {2U, 2U}}) {
      CAPTURE(columns);
      CAPTURE(rows);
      const unsigned count = columns * rows;
      const Source source(65530, count, 20, 60, columns);
      const auto parities = encode(source, {columns, rows, row_parity});
      for (std::uint32_t lost = 0; lost < 1U << count; lost++) {
        PacketWindow window(64, 128);
        Repaired repaired;
        ParityDecoder decoder(window, repaired);
        decoder.set_source(0xcafe);
        for (unsigned i = 0; i < count; i++)
          if ((lost >> i & 1) == 0) window.store(65530 + i, source.datagram(65530 + i), Origin::received);
        for (const Datagram& parity : parities) decoder.on_parity(*codec::parse_parity(parity), 65536, 65530);
        bool all = true;
        for (unsigned i = 0; i < count; i++) {
          all = all && window.has(65530 + i);
          if (window.has(65530 + i))
            REQUIRE(test::same(window.datagram(65530 + i), source.datagram(65530 + i)));
        }
        REQUIRE(all == solvable(columns, rows, lost, row_parity));
        REQUIRE(decoder.damaged() == 0);
      }
    }
  }
}

TEST_CASE("parity: patterns of large matrices, packets in any order, parity lost as well") {
  std::mt19937 random(5);
  for (int round = 0; round < 300; round++) {
    const unsigned columns = 1 + random() % 20;
    const unsigned rows = 1 + random() % (100 / columns);
    const unsigned count = columns * rows;
    const Source source(1'000'000 + round, count, 1, 1400, static_cast<unsigned>(round));
    const auto parities = encode(source, {columns, rows, true});
    PacketWindow window(256, 1500);
    Repaired repaired;
    ParityDecoder decoder(window, repaired);
    decoder.set_source(0xcafe);
    struct Arrival {
      std::int64_t sequence;
      const Datagram* parity;
    };
    std::vector<Arrival> arrivals;
    for (std::int64_t i = source.first(); i < source.end(); i++)
      if (random() % 10 != 0) arrivals.push_back({i, nullptr});
    for (const Datagram& parity : parities)
      if (random() % 10 != 0) arrivals.push_back({0, &parity});
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    for (const Arrival& one : arrivals) {
      if (one.parity != nullptr) {
        decoder.on_parity(*codec::parse_parity(*one.parity), source.end(), source.first());
      } else if (!window.has(one.sequence)) {
        window.store(one.sequence, source.datagram(one.sequence), Origin::received);
        if (decoder.waits()) decoder.on_stored(source.first());
      }
    }
    for (std::int64_t i = source.first(); i < source.end(); i++)
      if (window.has(i)) REQUIRE(test::same(window.datagram(i), source.datagram(i)));
    // Nothing is left that one of the parities which came could still give.
    for (const Arrival& one : arrivals) {
      if (one.parity == nullptr) continue;
      const auto scope = codec::parse_parity(*one.parity)->scope;
      const std::int64_t base = codec::extend_sequence(source.end(), scope.base);
      unsigned missing = 0;
      for (unsigned i = 0; i < scope.count; i++)
        missing += window.has(base + std::int64_t{i} * scope.offset) ? 0 : 1;
      REQUIRE(missing != 1);
    }
    REQUIRE(decoder.damaged() == 0);
  }
}

TEST_CASE("parity: parity that fits nothing is counted, and makes nothing up") {
  const Source source(100, 10, 50, 50);
  auto parities = encode(source, {5, 2, false});
  PacketWindow window(64, 200);
  Repaired repaired;
  ParityDecoder decoder(window, repaired);
  for (std::int64_t i = 101; i < 110; i++) window.store(i, source.datagram(i), Origin::received);
  // A bit turned over in the length.
  parities[0][codec::kRtpHeaderSize + 2] ^= 0x40;
  decoder.on_parity(*codec::parse_parity(parities[0]), 110, 0);
  CHECK(repaired.all.empty());
  CHECK(!window.has(100));
  CHECK(decoder.damaged() == 1);
  // Of packets that are long past, of more than the window holds, and longer than its slots.
  decoder.on_parity(*codec::parse_parity(parities[1]), 110, 105);
  ParityPacket wide = *codec::parse_parity(parities[1]);
  wide.scope.offset = 255;
  decoder.on_parity(wide, 110, 0);
  const Datagram large(1000);
  wide.scope.offset = 1;
  wide.payload = large;
  decoder.on_parity(wide, 110, 0);
  CHECK(!decoder.waits());
}

TEST_CASE("parity: a gap begins a new matrix; nothing is taken from the heap") {
  const Source source(0, 60, 900, 1300);
  ParityEncoder encoder({5, 4, true});
  struct Count final : repair::ParityOutput {
    void on_parity(const ParityPacket& packet) noexcept override { bases.at(count++) = packet.scope.base; }
    std::array<std::uint16_t, 64> bases{};
    std::size_t count = 0;
  } counted;
  const std::uint64_t before = test::allocations();
  for (std::int64_t i = 0; i < 60; i++)
    if (i != 7) encoder.push(source.packet(i), counted);
  encoder.flush(counted);
  CHECK(test::allocations() == before);
  // A row before the gap; from 8 on two matrices, and two rows and twelve packets of a third.
  CHECK(counted.count == 1 + 2 * 9 + 2);
  CHECK(counted.bases[1] == 8);
}
