#include "plane/ring.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "kernel/mirror.h"
#include "test/allocations.h"

using namespace sluice;

TEST_CASE("mirror: a range that crosses the end reads on at the beginning") {
  const auto size = static_cast<std::size_t>(getpagesize());
  auto created = kernel::MirrorMemory::create(size);
  REQUIRE(created.ok());
  kernel::MirrorMemory memory = std::move(created.value());
  for (std::size_t i = 0; i < size; i++) *memory.at(i) = static_cast<std::uint8_t>(i * 7);
  for (const std::uint64_t position :
       {std::uint64_t{0}, std::uint64_t{1}, size - 1, size, 5 * size + 17, (std::uint64_t{1} << 40) + 3}) {
    const std::uint8_t* const p = memory.at(position);
    for (std::size_t i = 0; i < size; i++)
      CHECK(p[i] == static_cast<std::uint8_t>(((position + i) % size) * 7));
  }
  *memory.at(size - 1) = 0xaa;
  CHECK(memory.at(0)[size - 1] == 0xaa);
  memory.at(size - 1)[1] = 0xbb;
  CHECK(*memory.at(0) == 0xbb);
}

TEST_CASE("mirror: moved memory has one owner, an impossible size is an error") {
  auto created = kernel::MirrorMemory::create(4096);
  REQUIRE(created.ok());
  kernel::MirrorMemory a = std::move(created.value());
  kernel::MirrorMemory b;
  b = std::move(a);
  CHECK(b.size() == 4096);
  auto impossible = kernel::MirrorMemory::create(std::size_t{1} << 62);
  CHECK_FALSE(impossible.ok());
  CHECK(std::strlen(impossible.error().code) > 0);
}

TEST_CASE("ring: descriptors and headers of what is published") {
  auto created = plane::Ring::create(1 << 20, 0xcafebabe, 65'530);
  REQUIRE(created.ok());
  plane::Ring ring = std::move(created.value());
  CHECK(ring.size() == 1 << 20);
  for (int i = 0; i < 20; i++) {
    const std::vector<std::uint8_t> payload(1316, static_cast<std::uint8_t>(i));
    const std::uint64_t position = ring.write_position();
    ring.append(payload);
    ring.publish(position, 1316, 27'000 * i, static_cast<std::uint32_t>(90 * i), i == 0);
  }
  for (std::int64_t s = 65'530; s < ring.next_sequence(); s++) {
    const auto i = static_cast<std::uint32_t>(s - 65'530);
    const auto& d = ring.descriptor(s);
    CHECK(d.sequence == s);
    CHECK(d.size == 1316);
    CHECK(d.media_time == 27'000 * static_cast<std::int64_t>(i));
    CHECK(*ring.at(d.position) == i);
    const auto packet = codec::parse_rtp({ring.header(s), codec::kRtpHeaderSize});
    REQUIRE(packet.has_value());
    CHECK(packet->header.sequence == static_cast<std::uint16_t>(s));
    CHECK(packet->header.timestamp == 90 * i);
    CHECK(packet->header.ssrc == 0xcafebabe);
    CHECK(packet->header.marker == (i == 0));
  }
}

TEST_CASE("ring: what has not departed is never overwritten, and what has departed makes room") {
  auto created = plane::Ring::create(1 << 20, 1, 0);
  REQUIRE(created.ok());
  plane::Ring ring = std::move(created.value());
  const std::vector<std::uint8_t> payload(1316, 0x47);
  std::int64_t published = 0;
  while (ring.has_room(payload.size())) {
    const std::uint64_t position = ring.write_position();
    ring.append(payload);
    ring.publish(position, 1316, 0, 0, false);
    published++;
  }
  CHECK(published == (1 << 20) / 1316);
  CHECK(ring.oldest_position() == 0);
  ring.release(10, 10 * 1316);
  int more = 0;
  for (; ring.has_room(payload.size()); more++) ring.append(payload);
  CHECK(more == 10);
  CHECK(ring.oldest_position() == ring.write_position() - ring.size());
  CHECK(ring.oldest_position() <= ring.released_position());
}

TEST_CASE("ring: short packets stop at the number of descriptors") {
  auto created = plane::Ring::create(1 << 20, 1, 0);
  REQUIRE(created.ok());
  plane::Ring ring = std::move(created.value());
  const std::vector<std::uint8_t> payload(188, 0x47);
  int published = 0;
  for (; ring.has_room(payload.size()); published++) {
    const std::uint64_t position = ring.write_position();
    ring.append(payload);
    ring.publish(position, 188, 0, 0, false);
  }
  CHECK(published == 1024);
  CHECK(ring.descriptor(0).sequence == 0);
}

TEST_CASE("ring: writing allocates nothing, over several wraps") {
  auto created = plane::Ring::create(1 << 20, 1, 0);
  REQUIRE(created.ok());
  plane::Ring ring = std::move(created.value());
  const std::vector<std::uint8_t> payload(1316, 0x47);
  const auto before = test::allocations();
  for (int i = 0; i < 5000; i++) {
    const std::uint64_t position = ring.write_position();
    ring.append(payload);
    ring.publish(position, 1316, i, 0, false);
    ring.release(ring.next_sequence(), ring.write_position());
  }
  CHECK(test::allocations() == before);
}
