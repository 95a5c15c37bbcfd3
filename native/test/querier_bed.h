// A querier on a fake clock, and what it has done, in short words that tests compare.
//
//   state     IN(1 2)   EX(1;2): 1 is forwarded, 2 is not   -: no such group         sources by their last
//   byte queries   Q()   Q(G)   Q(G,1 2)   Qs(...): with the S flag
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "codec/igmp.h"
#include "codec/mld.h"
#include "membership/querier.h"

namespace sluice::test {

using codec::IpAddress;
using codec::RecordType;
using membership::kMillisecond;
using membership::kNever;
using membership::kSecond;
using membership::Nanos;

/** Both families are tested alike: addresses of one of them, by number. */
struct Family {
  bool v4 = true;

  [[nodiscard]] IpAddress group(unsigned number) const {
    return v4 ? IpAddress::v4(0xef010000 + number) : v6(0xff, 0x1e, number);
  }
  [[nodiscard]] IpAddress source(unsigned number) const {
    return v4 ? IpAddress::v4(0x0a000000 + number) : v6(0x20, 0x01, number);
  }
  [[nodiscard]] IpAddress host(unsigned number) const {
    return v4 ? IpAddress::v4(0xc0000200 + number) : v6(0xfe, 0x80, number);
  }
  [[nodiscard]] IpAddress any() const { return IpAddress::any(v4); }
  /** The protocol's newest version. */
  [[nodiscard]] std::uint8_t newest() const { return v4 ? 3 : 2; }

  [[nodiscard]] static IpAddress v6(unsigned first, unsigned second, unsigned number) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = static_cast<std::uint8_t>(first);
    bytes[1] = static_cast<std::uint8_t>(second);
    codec::store32(bytes.data() + 12, number);
    return IpAddress::v6(bytes.data());
  }
};

inline membership::QuerierOptions querier_options(bool v4 = true) {
  membership::QuerierOptions options;
  options.v4 = v4;
  options.version = Family{v4}.newest();
  return options;
}

class QuerierBed : private membership::QuerierHost {
 public:
  struct Sent {
    Nanos at = 0;
    codec::MembershipQuery query;
    std::vector<IpAddress> sources;
  };

  explicit QuerierBed(const membership::QuerierOptions& options = querier_options())
      : family{options.v4}, querier(options, *this, deadlines) {}

  /** The querier, with the address of host 10; the next general query is two minutes away. */
  QuerierBed& settled() {
    querier.start(family.host(10), now);
    to(now + 160 * kSecond);
    clear();
    return *this;
  }

  void to(Nanos at) {
    while (deadlines.next() <= at) {
      now = deadlines.next();
      deadlines.run(now);
    }
    now = at;
  }
  void pass(Nanos time) { to(now + time); }
  void clear() {
    sent.clear();
    changed_groups.clear();
  }

  [[nodiscard]] std::vector<IpAddress> sources(const std::vector<unsigned>& numbers) const {
    std::vector<IpAddress> made;
    made.reserve(numbers.size());
    for (const unsigned number : numbers) made.push_back(family.source(number));
    return made;
  }
  void record(unsigned host, RecordType type, const std::vector<unsigned>& named = {}, unsigned group = 1,
              unsigned version = 0) {
    const auto list = sources(named);
    querier.on_record(family.host(host), {type, family.group(group), codec::SourceList(list)},
                      version == 0 ? family.newest() : version, now);
  }
  void hear(const IpAddress& from, codec::MembershipQuery query, const std::vector<unsigned>& named = {}) {
    const auto list = sources(named);
    query.sources = codec::SourceList(list);
    querier.on_query(from, query, now);
  }
  /** A general query as routers of this kind send it by default. */
  [[nodiscard]] codec::MembershipQuery query(unsigned group = 0) const {
    auto made =
        membership::make_query(querier_options(family.v4), group == 0 ? family.any() : family.group(group));
    return made;
  }

  [[nodiscard]] membership::GroupView view(unsigned group = 1) const {
    membership::GroupView found;
    querier.each_group(now, [&](const membership::GroupView& one) {
      if (one.group == family.group(group)) found = one;
    });
    return found;
  }
  [[nodiscard]] std::string state(unsigned group = 1) const {
    if (!querier.has(family.group(group))) return "-";
    const auto shown = view(group);
    std::string runs;
    std::string blocked;
    for (const auto& source : shown.sources) append(source.forwarded ? runs : blocked, source.address);
    return shown.excludes ? "EX(" + runs + ";" + blocked + ")" : "IN(" + runs + ")";
  }
  /** Remaining seconds of the group's timer, or of a source's. */
  [[nodiscard]] double group_timer(unsigned group = 1) const { return seconds(view(group).remaining); }
  [[nodiscard]] double source_timer(unsigned source, unsigned group = 1) const {
    for (const auto& one : view(group).sources)
      if (one.address == family.source(source)) return seconds(one.remaining);
    return -1;
  }
  /** What was sent since it was asked last. */
  [[nodiscard]] std::string queries() {
    std::string text;
    for (const Sent& one : std::exchange(sent, {})) {
      if (!text.empty()) text += ' ';
      text += one.query.suppress ? "Qs(" : "Q(";
      if (!one.query.group.is_any()) text += 'G';
      std::string list;
      for (const IpAddress& source : one.sources) append(list, source);
      text += (list.empty() ? "" : ",") + list + ')';
    }
    return text;
  }
  [[nodiscard]] bool forwards(unsigned source, unsigned group = 1) const {
    return querier.forwards(family.group(group), family.source(source));
  }

  Nanos now = 1000 * kSecond;
  membership::Deadlines deadlines;
  Family family;
  std::vector<Sent> sent;
  std::vector<IpAddress> changed_groups;
  membership::Querier querier;

 private:
  void send(const codec::MembershipQuery& query) noexcept override {
    sent.push_back({now, query, {query.sources.begin(), query.sources.end()}});
    sent.back().query.sources = {};
    check_wire(query);
  }
  /** What is sent can be told in its version: it fits into a packet, and is read as it was written. */
  void check_wire(const codec::MembershipQuery& query) const {
    std::array<std::uint8_t, 1500> packet;
    const codec::IpEnds ends{family.host(10),
                             family.v4 ? codec::igmp::destination(query) : codec::mld::destination(query)};
    const std::size_t size =
        family.v4 ? codec::igmp::write_query(query, packet) : codec::mld::write_query(query, ends, packet);
    const codec::Bytes wire(packet.data(), size);
    const auto read = family.v4 ? codec::igmp::parse(wire) : codec::mld::parse(wire);
    REQUIRE(read.kind == codec::MembershipKind::query);
    REQUIRE(read.query.version == query.version);
    REQUIRE(read.query.group == query.group);
    REQUIRE(read.query.max_response_ms == query.max_response_ms);
    REQUIRE(read.query.suppress == query.suppress);
    REQUIRE(std::equal(read.query.sources.begin(), read.query.sources.end(), query.sources.begin(),
                       query.sources.end()));
  }
  void changed(const IpAddress& group) noexcept override { changed_groups.push_back(group); }

  static double seconds(Nanos time) { return static_cast<double>(time) / kSecond; }
  static void append(std::string& list, const IpAddress& address) {
    if (!list.empty()) list += ' ';
    list += std::to_string(address.bytes()[15]);
  }
};

}  // namespace sluice::test
