#include "plane/sink_table.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "plane/port.h"

using namespace sluice;
using plane::SinkKey;
using plane::SinkTable;

namespace {

struct Sink final : plane::DatagramSink {
  void on_datagram(const kernel::Datagram&, plane::Nanos) noexcept override {}
  void on_batch_end(plane::Nanos) noexcept override {}
};

SinkKey key(std::uint32_t ssrc, std::uint16_t port = 0, std::uint8_t address = 0) {
  SinkKey made;
  made.ssrc = ssrc;
  made.port = port;
  made.address[15] = address;
  return made;
}

}  // namespace

TEST_CASE("sink table: keys differ by each of their parts; one that is there is not added again") {
  SinkTable table;
  std::array<Sink, 4> sinks;
  CHECK(table.find(key(0)) == nullptr);
  CHECK(!table.remove(key(0)));
  CHECK(table.add(key(0), sinks[0]));
  CHECK(table.add(key(1), sinks[1]));
  CHECK(table.add(key(0, 1), sinks[2]));
  CHECK(table.add(key(0, 0, 1), sinks[3]));
  CHECK(!table.add(key(0, 1), sinks[0]));
  CHECK(table.size() == 4);
  CHECK(table.find(key(0)) == &sinks[0]);
  CHECK(table.find(key(1)) == &sinks[1]);
  CHECK(table.find(key(0, 1)) == &sinks[2]);
  CHECK(table.find(key(0, 0, 1)) == &sinks[3]);
  CHECK(table.find(key(2)) == nullptr);
}

TEST_CASE("sink table: is what a map is, whatever is added and removed") {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same numbers each time
  SinkTable table;
  std::map<std::uint32_t, Sink*> map;
  std::array<Sink, 16> sinks;
  for (int step = 0; step < 20000; step++) {
    // Few keys, so that they are found as often as not, and many lie side by side.
    const std::uint32_t ssrc = random() % 300;
    Sink& sink = sinks[random() % sinks.size()];
    if (random() % 2 == 0) {
      REQUIRE(table.add(key(ssrc), sink) == map.emplace(ssrc, &sink).second);
    } else {
      REQUIRE(table.remove(key(ssrc)) == (map.erase(ssrc) == 1));
    }
    REQUIRE(table.size() == map.size());
    const std::uint32_t other = random() % 300;
    const auto at = map.find(other);
    REQUIRE(table.find(key(other)) == (at == map.end() ? nullptr : at->second));
  }
  for (const auto& [ssrc, sink] : map) CHECK(table.find(key(ssrc)) == sink);
}
