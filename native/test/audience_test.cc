// What receivers tell of their losses: the packet with the lengths, what all of them come to, and both over
// sockets.
#include "repair/audience.h"

#include "codec/nack.h"
#include "test/repair_scene.h"
#include "test/rtcp_bytes.h"

using namespace sluice;
using codec::LossRuns;
using kernel::kSecond;
using repair::Audience;
using test::bytes_of;
using test::Datagram;
using test::Scene;

namespace {

const Datagram runs_packet =
    bytes_of("80cc0008 11223344 52554e53 0001000200030004 0005000600070008 0009000a000bffff");
constexpr LossRuns kEach{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xffff};

std::optional<LossRuns> read(codec::Bytes bytes) {
  const auto compound = codec::RtcpCompound::parse(bytes, codec::RtcpForm::reduced_too);
  if (!compound) return std::nullopt;
  return codec::loss_runs(*compound->begin());
}

codec::ReportBlock block(std::uint32_t highest, std::int32_t lost) {
  return {1, 0, lost, highest, 0, 0, 0};
}

Datagram nacked(const std::vector<std::uint16_t>& numbers) {
  Datagram bytes(256);
  codec::NackWriter writer(bytes);
  for (const std::uint16_t number : numbers) writer.add(number);
  return {writer.written().begin(), writer.written().end()};
}

}  // namespace

TEST_CASE("loss runs: byte by byte; no other packet is taken for it, and none cut short") {
  CHECK(read(runs_packet) == kEach);
  Datagram written(codec::kLossRunsSize);
  codec::RtcpWriter writer(written);
  REQUIRE(codec::write(writer, 0x11223344, kEach));
  CHECK(writer.size() == written.size());
  CHECK(written == runs_packet);
  CHECK(!codec::write(writer, 0x11223344, kEach));
  for (std::size_t size = 0; size < runs_packet.size(); size++)
    CHECK(!read(codec::Bytes(runs_packet).first(size)));
  Datagram other = runs_packet;
  other[8] = 'G';
  CHECK(!read(other));
  other = runs_packet;
  other[0] = 0x81;
  CHECK(!read(other));
  CHECK(!read(bytes_of("80cc0003 11223344 52554e53 00010002")));
}

TEST_CASE("loss runs: each length has its class") {
  std::size_t before = 0;
  for (std::uint32_t length = 1; length < 200; length++) {
    const std::size_t one = codec::run_class(length);
    CHECK(one < codec::kRunClasses);
    CHECK(one >= before);
    before = one;
    if (one < codec::kRunEnds.size()) CHECK(length <= codec::kRunEnds[one]);
    if (one > 0) CHECK(length > codec::kRunEnds[one - 1]);
  }
  CHECK(codec::run_class(UINT32_MAX) == codec::kRunClasses - 1);
}

TEST_CASE("audience: totals grow by what each receiver tells between two reports") {
  Audience audience;
  audience.report(1, block(1000, 50), 0);
  audience.report(2, block(70'000, 0), 0);
  CHECK(audience.expected() == 0);
  audience.report(1, block(2000, 60), kSecond);
  audience.report(2, block(70'500, -3), kSecond);
  CHECK(audience.expected() == 1500);
  CHECK(audience.lost() == 10);
  CHECK(audience.reports() == 4);
  CHECK(audience.size() == 2);
  SUBCASE("one that begins anew is compared with itself from then on") {
    audience.report(1, block(5, 0), 2 * kSecond);
    CHECK(audience.expected() == 1500);
    audience.report(1, block(105, 1), 3 * kSecond);
    CHECK(audience.expected() == 1600);
    CHECK(audience.lost() == 11);
  }
  SUBCASE("no more is lost than was expected") {
    audience.report(1, block(2010, 5'000'000), 2 * kSecond);
    CHECK(audience.expected() == 1510);
    CHECK(audience.lost() == 20);
  }
  SUBCASE("who is silent is gone") {
    audience.report(2, block(71'000, 0), 12 * kSecond);
    CHECK(audience.size() == 1);
  }
}

TEST_CASE("audience: nineteen of twenty miss less than the tail") {
  Audience audience;
  for (std::uint64_t i = 0; i < 100; i++) audience.report(i, block(0, 0), 0);
  // The last five miss a tenth, the others a hundredth.
  for (std::uint64_t i = 0; i < 100; i++) audience.report(i, block(1000, i >= 95 ? 100 : 10), kSecond / 2);
  audience.report(0, block(1000, 10), kSecond);
  CHECK(audience.tail_loss_ppm() == 10'000);
  CHECK(audience.size() == 100);
  // They miss nothing any more: what was fades.
  for (int second = 2; second < 30; second++)
    for (std::uint64_t i = 0; i < 100; i++)
      audience.report(i, block(static_cast<std::uint32_t>(second) * 1000, i >= 95 ? 100 : 10),
                      second * kSecond);
  CHECK(audience.tail_loss_ppm() < 100);
}

TEST_CASE(
    "audience: lengths are those that receivers tell, and of those that tell none the runs of their "
    "requests") {
  Audience audience;
  audience.nacked(1, nacked({1, 2, 3, 10, 65'535, 0}), 0);
  CHECK(audience.runs()[codec::run_class(3)] == 1);
  CHECK(audience.runs()[codec::run_class(1)] == 1);
  CHECK(audience.runs()[codec::run_class(2)] == 1);
  audience.nacked(1, {}, 0);
  audience.report(2, LossRuns{5}, 0);
  audience.nacked(2, nacked({1}), 0);
  CHECK(audience.runs()[0] == 6);
}

TEST_CASE(
    "audience: of more receivers than there is room for some are not known, and none is taken for another") {
  Audience audience;
  for (std::uint64_t i = 0; i < 10'000; i++) audience.report(i << 20, block(1000, 0), 0);
  for (std::uint64_t i = 0; i < 10'000; i++) audience.report(i << 20, block(1100, 1), kSecond);
  CHECK(audience.size() > 2000);
  CHECK(audience.size() <= 4096);
  CHECK(audience.expected() == audience.lost() * 100);
}

namespace {

void play_until(Scene& scene, bool (*done)(const Scene&)) {
  const plane::Nanos end = kernel::monotonic_now() + 20 * kSecond;
  while (!done(scene) && kernel::monotonic_now() < end) scene.bed.reactor.turn();
  REQUIRE(done(scene));
}

}  // namespace

TEST_CASE("audience: an input reports by itself what was lost, and how, though nothing is asked for") {
  plane::ParitySenderOptions parity;
  parity.parity = repair::ParityOptions{10, 5, false};
  std::optional<test::Tokens> tokens;
  SUBCASE("to one that allows it") {}
  SUBCASE("to one that wants a token") {
    tokens.emplace();
  }
  // Three in a row, of a hundred.
  Scene scene(
      parity, true, [](std::uint16_t step, int n) { return step == 0 && n % 100 >= 50 && n % 100 < 53; },
      100'000'000, tokens);
  CHECK(scene.play(3000));
  CHECK(scene.received.rtp_lost == 0);
  play_until(scene, [](const Scene& s) { return s.sent.runs3 > 0; });
  CHECK(scene.sent.audience == 1);
  // Before its first report its requests are what is known, and what was asked for again may be a part of a
  // run.
  CHECK(scene.sent.runs1 + scene.sent.runs2 < scene.sent.runs3);
  CHECK(scene.sent.runs4 + scene.sent.runs_longer == 0);
  CHECK(scene.sent.feedback_malformed == 0);
  // Another report tells what was lost between the two: nothing, by now.
  const std::uint64_t reports = scene.sent.loss_reports;
  while (scene.sent.loss_reports == reports) scene.bed.reactor.turn();
  CHECK(scene.sent.loss_reports > reports);
  CHECK(scene.sent.reported_missing * 20 <= scene.sent.reported_expected);
}

TEST_CASE("audience: who may not ask is not believed either") {
  Scene scene(
      {}, true, [](std::uint16_t, int) { return false; }, 100'000'000, test::Tokens{60 * kSecond, false});
  REQUIRE(scene.play(500));
  play_until(scene, [](const Scene& s) { return s.sent.feedback_in > 0; });
  CHECK(scene.sent.loss_reports == 0);
  CHECK(scene.sent.audience == 0);
}
