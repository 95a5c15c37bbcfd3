// What must hold of every message of IGMP and MLD that was read.
#pragma once

#include "codec/membership.h"
#include "fuzz/check.h"

namespace sluice::fuzz {

inline bool is_same(const codec::SourceList& a, const codec::SourceList& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

inline bool is_same(const codec::GroupRecord& a, const codec::GroupRecord& b) {
  return a.type == b.type && a.group == b.group && is_same(a.sources, b.sources);
}

inline bool is_same(const codec::MembershipMessage& a, const codec::MembershipMessage& b) {
  const auto fields = [](const codec::MembershipQuery& q) {
    return std::tuple(q.version, q.group, q.max_response_ms, q.suppress, q.robustness, q.interval_s);
  };
  const auto& records = a.report.records;
  const auto& others = b.report.records;
  return a.kind == b.kind && fields(a.query) == fields(b.query) &&
         is_same(a.query.sources, b.query.sources) && a.report.version == b.report.version &&
         records.count() == others.count() &&
         std::equal(records.begin(), records.end(), others.begin(),
                    [](const auto& one, const auto& other) { return is_same(one, other); });
}

/** Groups are groups, sources can be sources, all are of the family, and there are not more than fit into the
 * bytes. */
inline void check_contents(const codec::MembershipMessage& message, bool v4, std::size_t size) {
  const std::size_t address = v4 ? 4 : 16;
  const auto check_sources = [v4](const codec::SourceList& sources) {
    for (const codec::IpAddress source : sources) SLUICE_HOLDS(source.is_v4() == v4 && source.is_unicast());
  };
  check_sources(message.query.sources);
  std::size_t addresses = message.query.sources.size();
  for (const codec::GroupRecord& record : message.report.records) {
    SLUICE_HOLDS(record.group.is_v4() == v4 && record.group.is_multicast());
    check_sources(record.sources);
    addresses += 1 + record.sources.size();
  }
  SLUICE_HOLDS(addresses * address <= size);
  const bool found =
      message.kind == codec::MembershipKind::query || message.kind == codec::MembershipKind::report;
  SLUICE_HOLDS(found || addresses == 0);
}

/** What was read can be written, into no more bytes, and read again; and into less room it is not written at
 * all. */
template <class Write, class Parse>
void check_again(const codec::MembershipMessage& message, std::size_t size, Input& input, Write&& write,
                 Parse&& parse) {
  if (message.kind != codec::MembershipKind::query && message.kind != codec::MembershipKind::report) return;
  Block out(size);
  out.resize(write(message, codec::MutableBytes(out)));
  SLUICE_HOLDS(!out.empty());
  SLUICE_HOLDS(is_same(parse(out), message));
  Block less(input.choose(out.size()));
  SLUICE_HOLDS(write(message, codec::MutableBytes(less)) == 0);
}

}  // namespace sluice::fuzz
