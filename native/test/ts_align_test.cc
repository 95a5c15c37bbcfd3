#include "codec/ts_align.h"

#include <doctest/doctest.h>

#include <vector>

#include "test/ts_source.h"

using namespace sluice::codec;

namespace {

std::vector<std::uint8_t> feed_in_pieces(TsAligner& aligner, const std::vector<std::uint8_t>& bytes,
                                         std::size_t piece) {
  std::vector<std::uint8_t> got;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    aligner.feed(Bytes(bytes).subspan(at, std::min(piece, bytes.size() - at)), [&](Bytes packet) {
      CHECK(packet.size() == kTsPacketSize);
      got.insert(got.end(), packet.begin(), packet.end());
    });
  }
  return got;
}

}  // namespace

TEST_CASE("ts_align: packets come out whole, whatever the pieces they came in") {
  const auto bytes = sluice::test::TsSource().make(50);
  for (std::size_t piece = 1; piece <= 400; piece++) {
    CAPTURE(piece);
    TsAligner aligner;
    CHECK(feed_in_pieces(aligner, bytes, piece) == bytes);
    CHECK(aligner.losses() == 0);
    CHECK(aligner.skipped() == 0);
  }
}

TEST_CASE("ts_align: begins in the middle of a packet, at every offset") {
  const auto bytes = sluice::test::TsSource().make(20);
  for (std::size_t offset = 1; offset < kTsPacketSize; offset++) {
    CAPTURE(offset);
    TsAligner aligner;
    const std::vector<std::uint8_t> cut(bytes.begin() + static_cast<std::ptrdiff_t>(offset), bytes.end());
    const auto got = feed_in_pieces(aligner, cut, 64);
    const std::vector<std::uint8_t> whole(bytes.begin() + kTsPacketSize, bytes.end());
    CHECK(got == whole);
    CHECK(aligner.losses() == 0);
  }
}

TEST_CASE("ts_align: bytes that were lost cost one packet and one loss") {
  auto bytes = sluice::test::TsSource().make(20);
  bytes.erase(bytes.begin() + 5 * kTsPacketSize + 10, bytes.begin() + 5 * kTsPacketSize + 60);
  for (const std::size_t piece : {1U, 100U, 188U, 5000U}) {
    CAPTURE(piece);
    TsAligner aligner;
    const auto got = feed_in_pieces(aligner, bytes, piece);
    // The shortened packet is taken as it is found; what follows it is out of step until the next border.
    CHECK(got.size() >= 18 * kTsPacketSize);
    CHECK(aligner.losses() == 1);
    CHECK(std::equal(got.end() - 5 * kTsPacketSize, got.end(), bytes.end() - 5 * kTsPacketSize));
  }
}

TEST_CASE("ts_align: what is no transport stream gives nothing and is counted") {
  TsAligner aligner;
  const std::vector<std::uint8_t> text(100'000, 'x');
  CHECK(feed_in_pieces(aligner, text, 1000).empty());
  CHECK(aligner.skipped() + kTsPacketSize + 1 >= text.size());
  CHECK_FALSE(aligner.locked());
  // Sync bytes alone are not enough: two must be 188 apart.
  TsAligner strict;
  std::vector<std::uint8_t> sparse(10'000, 0);
  for (std::size_t i = 0; i < sparse.size(); i += 187) sparse[i] = kTsSync;
  CHECK(feed_in_pieces(strict, sparse, 333).empty());
}

TEST_CASE("ts_align: reset drops what was begun without counting a loss") {
  TsAligner aligner;
  const auto bytes = sluice::test::TsSource().make(3);
  feed_in_pieces(aligner, {bytes.begin(), bytes.begin() + 300}, 300);
  aligner.reset();
  CHECK(feed_in_pieces(aligner, bytes, 100) == bytes);
  CHECK(aligner.losses() == 0);
}
