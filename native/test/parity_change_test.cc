// Parity that changes while a stream is sent: receivers learn what it is from its packets.
#include "codec/block_parity.h"
#include "codec/parity.h"
#include "test/repair_scene.h"

using namespace sluice;
using test::Scene;

namespace {

plane::ParitySenderOptions matrix(unsigned columns, unsigned rows, bool row_parity) {
  plane::ParitySenderOptions options;
  options.parity = repair::ParityOptions{columns, rows, row_parity};
  return options;
}

plane::ParitySenderOptions block(unsigned source, unsigned repair) {
  plane::ParitySenderOptions options;
  options.block.emplace();
  options.block->source = source;
  options.block->repair = repair;
  return options;
}

}  // namespace

TEST_CASE(
    "parity that changes: none, columns, rows, blocks, none; what each can repair is, and nothing else is "
    "wrong") {
  // What the receiver is ready for is what there is at first; single losses, of which no column has two.
  plane::ParitySenderOptions all = matrix(10, 10, true);
  all.block = repair::BlockOptions{200, 55, repair::BlockOptions{}.most};
  int lost = 0;
  bool losing = false;
  Scene scene(all, false, [&](std::uint16_t step, int n) {
    if (!losing || step != 0 || n % 37 != 13) return false;
    lost++;
    return true;
  });
  plane::ParitySender& parity = *scene.sender->parity();
  const std::vector<plane::ParitySenderOptions> kinds{{},           matrix(5, 10, false), matrix(10, 5, true),
                                                      block(20, 4), block(50, 5),         {},
                                                      block(10, 2), matrix(4, 4, false)};
  std::size_t at = 0;
  std::uint64_t changed_at = 0;
  REQUIRE(!parity.change(kinds[0]));
  std::vector<plane::SenderCounters> seen;
  scene.meanwhile = [&] {
    // Only what departs well after a change and before the next is lost.
    const std::uint64_t since = scene.sent.packets - changed_at;
    losing = kinds[at].any() && since > 120 && since < 220;
    if (since < 300 || at + 1 == kinds.size()) return;
    seen.push_back(scene.sent);
    changed_at = scene.sent.packets;
    REQUIRE(!parity.change(kinds[++at]));
  };
  CHECK(scene.play(2'500));
  REQUIRE(at + 1 == kinds.size());
  CHECK(lost > 10);
  CHECK(scene.received.rtp_lost == 0);
  CHECK(scene.received.missing == static_cast<std::uint64_t>(lost));
  CHECK(scene.received.damaged == 0);
  CHECK(test::damage_of(scene.sink.bytes).gaps == 0);
  // Each kind was sent while it was chosen, and only then.
  CHECK(seen[0].parity_columns + seen[0].parity_blocks == 0);
  CHECK(seen[1].parity_columns > 20);
  CHECK(seen[1].parity_rows == 0);
  CHECK(seen[2].parity_rows > 20);
  CHECK(seen[3].parity_blocks > 30);
  CHECK(seen[3].parity_rows <= seen[2].parity_rows + 1);
  CHECK(seen[5].parity_blocks <= seen[4].parity_blocks + 5);
}

TEST_CASE("parity that changes: its numbers go on") {
  Scene scene(matrix(5, 5, false), false, [](std::uint16_t, int) { return false; });
  plane::ParitySender& parity = *scene.sender->parity();
  std::vector<std::uint16_t> numbers;
  scene.loses = [&](std::uint16_t step, int) {
    if (step == plane::kColumnPortStep) numbers.push_back(scene.last_number);
    return false;
  };
  std::uint64_t changed_at = 0;
  bool off = false;
  scene.meanwhile = [&] {
    if (scene.sent.packets < changed_at + 300) return;
    changed_at = scene.sent.packets;
    off = !off;
    REQUIRE(!parity.change(off ? plane::ParitySenderOptions{} : matrix(4, 6, false)));
  };
  CHECK(scene.play(2000));
  REQUIRE(numbers.size() > 100);
  for (std::size_t i = 1; i < numbers.size(); i++)
    CHECK(numbers[i] == static_cast<std::uint16_t>(numbers[i - 1] + 1));
}
