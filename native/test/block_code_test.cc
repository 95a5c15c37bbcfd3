#include "repair/block_code.h"

#include <doctest/doctest.h>

#include "test/allocations.h"
#include "test/repair_bed.h"

using namespace sluice;
using codec::BlockParityPacket;
using repair::BlockDecoder;
using repair::BlockEncoder;
using repair::BlockOptions;
using repair::Origin;
using repair::PacketWindow;
using test::Datagram;
using test::Repaired;
using test::Source;

namespace {

struct Taken final : repair::BlockOutput {
  void on_block_parity(const BlockParityPacket& packet) noexcept override {
    Datagram written(codec::kRtpHeaderSize + codec::kBlockParityHeaderSize);
    codec::write_block_parity({false, 98, sequence++, 0, 1}, packet, written.data());
    written.insert(written.end(), packet.symbol.begin(), packet.symbol.end());
    all.push_back(std::move(written));
  }
  std::uint16_t sequence = 0;
  std::vector<Datagram> all;
};

std::vector<Datagram> encode(const Source& source, const BlockOptions& options) {
  BlockEncoder encoder(options);
  Taken taken;
  for (std::int64_t i = source.first(); i < source.end(); i++) encoder.push(source.packet(i), taken);
  encoder.flush(taken);
  return taken.all;
}

}  // namespace

TEST_CASE("block code: every pattern of losses of small blocks, as many as there is parity") {
  for (const auto& [k, m] : {std::pair{1U, 1U}, {1U, 4U}, {4U, 2U}, {5U, 3U}, {8U, 4U}, {3U, 6U}}) {
    CAPTURE(k);
    CAPTURE(m);
    const Source source(65534, k, 1, 80, k);
    const BlockOptions options{k, m, 100};
    const auto parities = encode(source, options);
    REQUIRE(parities.size() == m);
    for (std::uint32_t lost = 0; lost < 1U << (k + m); lost++) {
      PacketWindow window(32, 128);
      Repaired repaired;
      BlockDecoder decoder(window, repaired, options);
      decoder.set_source(0xcafe);
      for (unsigned i = 0; i < k; i++)
        if ((lost >> i & 1) == 0) window.store(65534 + i, source.datagram(65534 + i), Origin::received);
      for (unsigned i = 0; i < m; i++)
        if ((lost >> (k + i) & 1) == 0)
          decoder.on_repair(*codec::parse_block_parity(parities[i]), 65536, 65534);
      const bool enough = static_cast<unsigned>(__builtin_popcount(lost)) <= m;
      for (unsigned i = 0; i < k; i++) {
        const std::int64_t sequence = 65534 + i;
        REQUIRE(window.has(sequence) == (enough || (lost >> i & 1) == 0));
        if (window.has(sequence)) REQUIRE(test::same(window.datagram(sequence), source.datagram(sequence)));
      }
      REQUIRE(decoder.damaged() == 0);
    }
  }
}

TEST_CASE("block code: patterns of large blocks, in any order") {
  std::mt19937 random(6);
  for (int round = 0; round < 60; round++) {
    const unsigned k = 1 + random() % 200;
    const unsigned m = 1 + random() % std::min(255 - k, 50U);
    const Source source(round * 1000, k, 1, 1400, static_cast<unsigned>(round));
    const BlockOptions options{k, m, 1488};
    const auto parities = encode(source, options);
    PacketWindow window(512, 1500);
    Repaired repaired;
    BlockDecoder decoder(window, repaired, options);
    decoder.set_source(0xcafe);
    std::vector<unsigned> order(k + m);
    for (unsigned i = 0; i < k + m; i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    // Any k of them are enough.
    order.resize(k);
    for (const unsigned one : order) {
      if (one >= k) {
        decoder.on_repair(*codec::parse_block_parity(parities[one - k]), source.end(), source.first());
      } else if (!window.has(source.first() + one)) {
        window.store(source.first() + one, source.datagram(source.first() + one), Origin::received);
        if (decoder.waits()) decoder.on_stored(source.first());
      }
    }
    for (std::int64_t i = source.first(); i < source.end(); i++) {
      REQUIRE(window.has(i));
      REQUIRE(test::same(window.datagram(i), source.datagram(i)));
    }
    REQUIRE(decoder.damaged() == 0);
    REQUIRE(!decoder.waits());
  }
}

TEST_CASE("block code: what is no frame of ours, does not fit, or was turned over, makes nothing up") {
  const Source source(50, 4, 60, 60);
  const BlockOptions options{4, 2, 100};
  auto parities = encode(source, options);
  Datagram& parity = parities[0];
  for (std::size_t size = 0; size < codec::kRtpHeaderSize + 16; size++)
    CHECK(!codec::parse_block_parity(codec::Bytes(parity).first(size)));
  const auto broken = [&](std::size_t at, std::uint8_t value) {
    Datagram copy = parity;
    copy[codec::kRtpHeaderSize + at] = value;
    return codec::parse_block_parity(copy).has_value();
  };
  CHECK(!broken(0, 2));
  CHECK(!broken(1, 2));
  CHECK(!broken(2, 0));
  CHECK(!broken(2, 254));
  CHECK(!broken(3, 0));
  PacketWindow window(64, 100);
  Repaired repaired;
  BlockDecoder decoder(window, repaired, options);
  for (std::int64_t i = 51; i < 54; i++) window.store(i, source.datagram(i), Origin::received);
  parity[codec::kRtpHeaderSize + 8 + 2] ^= 0x80;
  decoder.on_repair(*codec::parse_block_parity(parity), 53, 0);
  CHECK(repaired.all.empty());
  CHECK(decoder.damaged() == 1);
  CHECK(!window.has(50));
  // Too long for the window's slots, and too old.
  BlockParityPacket other = *codec::parse_block_parity(parities[1]);
  const Datagram large(108);
  other.symbol = large;
  decoder.on_repair(other, 53, 0);
  other.symbol = codec::parse_block_parity(parities[1])->symbol;
  decoder.on_repair(other, 53, 51);
  CHECK(!decoder.waits());
}

TEST_CASE("block code: nothing is taken from the heap") {
  const Source source(0, 40, 900, 1300);
  const BlockOptions options{10, 4, 1488};
  const auto parities = encode(source, options);
  BlockEncoder encoder(options);
  struct None final : repair::BlockOutput {
    void on_block_parity(const BlockParityPacket&) noexcept override { count++; }
    int count = 0;
  } none;
  struct Count final : repair::RepairOutput {
    void on_repaired(std::int64_t) noexcept override { count++; }
    int count = 0;
  } count;
  PacketWindow window(64, 1500);
  BlockDecoder decoder(window, count, options);
  const std::uint64_t before = test::allocations();
  for (std::int64_t i = 0; i < 40; i++) {
    encoder.push(source.packet(i), none);
    if (i % 10 > 3) window.store(i, source.datagram(i), Origin::received);
  }
  encoder.flush(none);
  for (const Datagram& parity : parities) decoder.on_repair(*codec::parse_block_parity(parity), 40, 0);
  CHECK(test::allocations() == before);
  CHECK(none.count == 16);
  CHECK(count.count == 16);
}
