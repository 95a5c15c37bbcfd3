// Fuzz target: bytes as a PIM message of either family; what is read is within bounds, is written and read
// again, and what must be split into packets of a chosen size is told by them all the same.
#include "codec/pim.h"

#include <map>
#include <set>

#include "codec/pim_assert.h"
#include "codec/pim_bootstrap.h"
#include "codec/pim_hello.h"
#include "codec/pim_join_prune.h"
#include "codec/pim_register.h"
#include "fuzz/check.h"

using namespace sluice;
using codec::Bytes;
using codec::IpAddress;
using codec::MutableBytes;
using fuzz::Block;
namespace pim = codec::pim;

namespace {

codec::IpEnds ends_of(bool v4) {
  const std::array<std::uint8_t, 16> local{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return {v4 ? IpAddress::v4(0x0a000001) : IpAddress::v6(local.data()), pim::all_routers(v4)};
}

pim::Message parsed(Bytes bytes, bool v4) {
  pim::Message message;
  SLUICE_HOLDS(pim::parse(bytes, ends_of(v4), message) == pim::Find::message);
  return message;
}

/** Written into as much room as what it was read from took. */
template <class Write>
Block written(std::size_t size, Write&& write) {
  Block out(size);
  out.resize(write(MutableBytes(out)));
  SLUICE_HOLDS(!out.empty());
  return out;
}

void check_hello(const pim::Message& message, std::size_t size) {
  const auto hello = pim::parse_hello(message);
  if (!hello) return;
  const auto fields = [](const pim::Hello& h) {
    const pim::LanPruneDelay delay = h.lan_prune_delay.value_or(pim::LanPruneDelay{});
    return std::tuple(h.holdtime_s, h.lan_prune_delay.has_value(), delay.tracking, delay.propagation_delay_ms,
                      delay.override_interval_ms, h.dr_priority, h.generation_id,
                      std::vector<IpAddress>(h.secondary.begin(), h.secondary.end()));
  };
  SLUICE_HOLDS(hello->secondary.count() * 6 <= size);
  const codec::IpEnds ends = ends_of(message.v4);
  const Block out = written(size, [&](MutableBytes room) { return pim::write_hello(*hello, ends, room); });
  const auto again = pim::parse_hello(parsed(out, message.v4));
  SLUICE_HOLDS(again && fields(*again) == fields(*hello));
}

void check_register(const pim::Message& message, std::size_t size) {
  const auto data = pim::parse_register(message);
  if (!data) return;
  SLUICE_HOLDS(data->source.is_unicast() && data->group.is_multicast());
  SLUICE_HOLDS(data->packet.size() + pim::kRegisterHeader <= size);
  const codec::IpEnds ends = ends_of(message.v4);
  const Block out = written(
      52, [&](MutableBytes room) { return pim::write_null_register(data->source, data->group, ends, room); });
  const auto again = pim::parse_register(parsed(out, message.v4));
  SLUICE_HOLDS(again && again->null && again->source == data->source && again->group == data->group);
}

void check_register_stop(const pim::Message& message, std::size_t size) {
  const auto stop = pim::parse_register_stop(message);
  if (!stop) return;
  const codec::IpEnds ends = ends_of(message.v4);
  const Block out =
      written(size, [&](MutableBytes room) { return pim::write_register_stop(*stop, ends, room); });
  const auto again = pim::parse_register_stop(parsed(out, message.v4));
  SLUICE_HOLDS(again && again->group == stop->group && again->source == stop->source);
}

void check_assert(const pim::Message& message, std::size_t size) {
  const auto assertion = pim::parse_assert(message);
  if (!assertion) return;
  const auto fields = [](const pim::Assert& a) {
    return std::tuple(a.group, a.source, a.rpt, a.preference, a.metric);
  };
  const codec::IpEnds ends = ends_of(message.v4);
  const Block out =
      written(size, [&](MutableBytes room) { return pim::write_assert(*assertion, ends, room); });
  const auto again = pim::parse_assert(parsed(out, message.v4));
  SLUICE_HOLDS(again && fields(*again) == fields(*assertion));
}

/** Group, source, wildcard, rpt, joined; how often it is told. */
using Told = std::map<std::tuple<IpAddress, IpAddress, bool, bool, bool>, std::size_t>;

std::size_t tell(const pim::JoinPrune& from, Told& told) {
  std::size_t addresses = 0;
  for (const pim::JoinPruneGroup& group : from.groups) {
    addresses++;
    for (const bool join : {true, false}) {
      for (const pim::JoinPruneSource& source : join ? group.joins : group.prunes) {
        told[{group.group, source.address, source.wildcard, source.rpt, join}]++;
        addresses++;
      }
    }
  }
  return addresses;
}

/** Only of a group that is joined as a whole something may be missing: what cannot stand beside that join. */
void check_told(const Told& all, const Told& again) {
  std::set<IpAddress> joined;
  for (const auto& [entry, count] : all)
    if (std::get<2>(entry) && std::get<4>(entry)) joined.insert(std::get<0>(entry));
  for (const auto& [entry, count] : again) SLUICE_HOLDS(all.contains(entry) && count <= all.at(entry));
  for (const auto& [entry, count] : all) {
    const auto found = again.find(entry);
    const bool may_miss = std::get<3>(entry) && joined.contains(std::get<0>(entry));
    SLUICE_HOLDS(may_miss || (found != again.end() && found->second == count));
  }
}

void check_join_prune(const pim::Message& message, std::size_t size, fuzz::Input& input) {
  const auto read = pim::parse_join_prune(message);
  if (!read) return;
  Told told;
  SLUICE_HOLDS(tell(*read, told) * 8 <= size);
  const std::size_t least = message.v4 ? 34 : 70;
  Block room(least - 1 + input.choose(size + 100));
  Told again;
  std::size_t count = 0;
  const std::size_t messages = pim::write_join_prune(*read, ends_of(message.v4), room, [&](Bytes bytes) {
    SLUICE_HOLDS(bytes.size() <= room.size());
    const Block copy(bytes.begin(), bytes.end());
    const auto part = pim::parse_join_prune(parsed(copy, message.v4));
    SLUICE_HOLDS(part && part->upstream == read->upstream && part->holdtime_s == read->holdtime_s);
    SLUICE_HOLDS(tell(*part, again) > 1);
    count++;
  });
  SLUICE_HOLDS(messages == count);
  if (room.size() < least) {
    SLUICE_HOLDS(messages == 0);
  } else {
    check_told(told, again);
  }
}

using Range = std::tuple<IpAddress, unsigned, bool, bool, unsigned>;
/** All RPs of each range, in their order; a zone's range may be told without its RPs as often as there are
 * fragments. */
using Points = std::map<Range, std::vector<std::tuple<IpAddress, unsigned, unsigned>>>;

std::size_t tell(const pim::Bootstrap& from, Points& points) {
  std::size_t addresses = 0;
  for (const pim::BootstrapRange& range : from.ranges) {
    const pim::GroupRange& r = range.range;
    auto& of_range = points[{r.groups.address, r.groups.bits, r.bidirectional, r.zone, range.total}];
    addresses++;
    for (const pim::RendezvousPoint& point : range.points) {
      of_range.emplace_back(point.address, point.holdtime_s, point.priority);
      addresses++;
    }
  }
  return addresses;
}

void check_bootstrap(const pim::Message& message, std::size_t size, fuzz::Input& input) {
  const auto read = pim::parse_bootstrap(message);
  if (!read) return;
  const auto fields = [](const pim::Bootstrap& b) {
    return std::tuple(b.no_forward, b.fragment_tag, b.hash_mask_bits, b.priority, b.router);
  };
  Points points;
  SLUICE_HOLDS(tell(*read, points) * 8 <= size);
  Block room(input.choose(size + 100));
  Points again;
  std::size_t count = 0;
  const std::size_t messages = pim::write_bootstrap(*read, ends_of(message.v4), room, [&](Bytes bytes) {
    SLUICE_HOLDS(bytes.size() <= room.size());
    const Block copy(bytes.begin(), bytes.end());
    const auto part = pim::parse_bootstrap(parsed(copy, message.v4));
    SLUICE_HOLDS(part && fields(*part) == fields(*read));
    (void)tell(*part, again);
    count++;
  });
  SLUICE_HOLDS(messages == 0 || (messages == count && again == points));
  SLUICE_HOLDS(messages == 1 || room.size() < size);
}

void check_candidate(const pim::Message& message, std::size_t size) {
  const auto read = pim::parse_candidate_rp(message);
  if (!read) return;
  const auto fields = [](const pim::CandidateRp& c) {
    std::vector<std::tuple<IpAddress, unsigned, bool, bool>> ranges;
    for (const pim::GroupRange& r : c.ranges)
      ranges.emplace_back(r.groups.address, r.groups.bits, r.bidirectional, r.zone);
    return std::tuple(c.point.address, c.point.holdtime_s, c.point.priority, ranges);
  };
  SLUICE_HOLDS(read->ranges.count() * 8 <= size);
  const codec::IpEnds ends = ends_of(message.v4);
  const Block out =
      written(size, [&](MutableBytes room) { return pim::write_candidate_rp(*read, ends, room); });
  const auto again = pim::parse_candidate_rp(parsed(out, message.v4));
  SLUICE_HOLDS(again && fields(*again) == fields(*read));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Block bytes = input.body();
  const bool v4 = input.choose(2) == 0;
  // Hardly one input in 65,536 would have the right checksum else.
  if (input.choose(4) > 0 && bytes.size() >= pim::kRegisterHeader) pim::seal(bytes, ends_of(v4));
  pim::Message message;
  if (pim::parse(bytes, ends_of(v4), message) != pim::Find::message) return 0;
  SLUICE_HOLDS(message.v4 == v4 && message.body.size() + pim::kHeaderSize == bytes.size());
  switch (message.type) {
    case pim::Type::hello:
      check_hello(message, bytes.size());
      break;
    case pim::Type::data_register:
      check_register(message, bytes.size());
      break;
    case pim::Type::register_stop:
      check_register_stop(message, bytes.size());
      break;
    case pim::Type::join_prune:
      check_join_prune(message, bytes.size(), input);
      break;
    case pim::Type::bootstrap:
      check_bootstrap(message, bytes.size(), input);
      break;
    case pim::Type::assertion:
      check_assert(message, bytes.size());
      break;
    case pim::Type::candidate_rp:
      check_candidate(message, bytes.size());
      break;
  }
  return 0;
}
