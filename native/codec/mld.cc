#include "codec/mld.h"

#include "codec/membership_wire.h"

namespace sluice::codec::mld {

namespace {

using namespace membership_wire;

constexpr bool kV4 = false;
/** Of a report of version 2 without records. */
constexpr std::size_t kHead = 8;
/** Everything of version 1. */
constexpr std::size_t kShort = 24;
/** The least of a query of version 2. */
constexpr std::size_t kLongQuery = 28;
constexpr std::uint8_t kNewest = 2;
/** Of milliseconds. */
constexpr unsigned kTimeMantissa = 12;

/** By length (RFC 9777 section 8.1); false for what is of no version. */
bool read_query(Bytes message, MembershipQuery& out) noexcept {
  if (message.size() != kShort && message.size() < kLongQuery) return false;
  out.version = message.size() == kShort ? 1 : 2;
  out.group = IpAddress::v6(message.data() + kHead);
  if (out.group != IpAddress::any(kV4) && !is_group(out.group, kV4)) return false;
  const std::uint32_t code = load16(message.data() + 4);
  out.max_response_ms = out.version == 1 ? code : decode_time(code, kTimeMantissa);
  return out.version < kNewest || read_query_end(message.subspan(kShort), kV4, out);
}

bool read_report(Bytes message, MembershipReport& out) noexcept {
  const std::uint8_t kind = message[0];
  out.version = kind == type::kReport2 ? 2 : 1;
  if (out.version == kNewest)
    return read_records(message.subspan(kHead), load16(message.data() + 6), kV4, out);
  if (message.size() < kShort) return false;
  return read_group(message.subspan(kHead, 16), kV4, kind == type::kDone, out);
}

constexpr MembershipKind kind_of(std::uint8_t message_type) noexcept {
  switch (message_type) {
    case type::kQuery:
      return MembershipKind::query;
    case type::kReport1:
    case type::kReport2:
    case type::kDone:
      return MembershipKind::report;
    default:
      return MembershipKind::other;
  }
}

void put_head(Output& out, std::uint8_t message_type, std::uint32_t third, std::size_t fourth) noexcept {
  out.byte(message_type);
  out.byte(0);
  out.half(0);
  out.half(third);
  out.half(static_cast<unsigned>(fourth));
}

std::uint32_t sum_of(Bytes message, const IpEnds& ends) noexcept {
  return add_words(pseudo_header_sum(ends, kProtocol, message.size()), message);
}

std::size_t finish(Output& out, const IpEnds& ends) noexcept {
  const MutableBytes message = out.written();
  if (message.size() > 0xffff) return 0;
  if (!message.empty()) store16(message.data() + 2, folded(sum_of(message, ends)));
  return message.size();
}

bool is_own_destination(const IpAddress& to, const MembershipMessage& message) noexcept {
  if (to.is_unicast()) return true;
  if (message.kind == MembershipKind::query) return to == destination(message.query);
  if (message.report.version == kNewest) return to == kReports;
  if (message.report.records.empty()) return false;
  const GroupRecord record = *message.report.records.begin();
  return to == (record.type == RecordType::to_include ? kAllRouters : record.group);
}

}  // namespace

bool checksum_fits(Bytes message, const IpEnds& ends) noexcept {
  return message.size() <= 0xffff && folded(sum_of(message, ends)) == 0;
}

MembershipMessage parse(Bytes message) noexcept {
  MembershipMessage out;
  out.kind = message.empty() ? MembershipKind::malformed : kind_of(message[0]);
  if (out.kind != MembershipKind::query && out.kind != MembershipKind::report) return out;
  const bool read =
      message.size() >= kHead &&
      (out.kind == MembershipKind::query ? read_query(message, out.query) : read_report(message, out.report));
  if (!read) out = {MembershipKind::malformed, {}, {}};
  return out;
}

ControlFaults faults(const ControlIp& ip, const MembershipMessage& message) noexcept {
  return {ip.hops != 1, !ip.router_alert, !ip.ends.source.is_link_local(),
          !is_own_destination(ip.ends.destination, message)};
}

IpAddress destination(const MembershipQuery& query) noexcept {
  return query.group.is_any() ? kAllNodes : query.group;
}

std::size_t write_query(const MembershipQuery& query, const IpEnds& ends, MutableBytes room) noexcept {
  if (!is_tellable(query, kV4, kNewest)) return 0;
  const std::uint32_t code = query.version == 1 ? std::min(query.max_response_ms, 0xffffU)
                                                : encode_time(query.max_response_ms, kTimeMantissa);
  Output out(room);
  put_head(out, type::kQuery, code, 0);
  out.bytes(query.group.wire());
  if (query.version == kNewest) put_query_end(out, query);
  return finish(out, ends);
}

std::size_t write_report(const MembershipReport& report, const IpEnds& ends, MutableBytes room) noexcept {
  Output out(room);
  if (report.version == kNewest) {
    const std::size_t count = report.records.count();
    put_head(out, type::kReport2, 0, count);
    return count <= 0xffff && put_records(out, report.records, kV4) ? finish(out, ends) : 0;
  }
  const auto record = only_group(report.records, kV4);
  if (!record || report.version != 1) return 0;
  put_head(out, record->type == RecordType::to_include ? type::kDone : type::kReport1, 0, 0);
  out.bytes(record->group.wire());
  return finish(out, ends);
}

}  // namespace sluice::codec::mld
