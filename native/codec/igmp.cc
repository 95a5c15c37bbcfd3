#include "codec/igmp.h"

#include "codec/membership_wire.h"

namespace sluice::codec::igmp {

namespace {

using namespace membership_wire;

constexpr bool kV4 = true;
constexpr std::size_t kShort = 8;
/** The least of a query of version 3. */
constexpr std::size_t kLongQuery = 12;
constexpr std::uint8_t kNewest = 3;
/** The unit of times, and how hosts of version 2 take what version 1 does not tell (RFC 2236 section 4). */
constexpr std::uint32_t kTenthMs = 100;
constexpr std::uint32_t kDefaultMs = 10'000;
constexpr unsigned kTimeMantissa = 4;

/** By length and code (RFC 9776 section 7.1); false for what is of no version. */
bool read_query(Bytes message, MembershipQuery& out) noexcept {
  const std::uint8_t code = message[1];
  if (message.size() != kShort && message.size() < kLongQuery) return false;
  out.version = message.size() > kShort ? 3 : code == 0 ? 1 : 2;
  out.group = out.version == 1 ? IpAddress::any(kV4) : IpAddress::v4(message.data() + 4);
  if (!out.group.is_any() && !out.group.is_multicast()) return false;
  const std::uint32_t tenths = out.version == 3 ? decode_time(code, kTimeMantissa) : code;
  out.max_response_ms = out.version == 1 ? kDefaultMs : tenths * kTenthMs;
  return out.version < kNewest || read_query_end(message.subspan(kShort), kV4, out);
}

bool read_report(Bytes message, MembershipReport& out) noexcept {
  const std::uint8_t kind = message[0];
  out.version = kind == type::kReport3 ? 3 : kind == type::kReport1 ? 1 : 2;
  if (out.version < kNewest) return read_group(message.subspan(4, 4), kV4, kind == type::kLeave, out);
  return read_records(message.subspan(kShort), load16(message.data() + 6), kV4, out);
}

constexpr MembershipKind kind_of(std::uint8_t message_type) noexcept {
  switch (message_type) {
    case type::kQuery:
      return MembershipKind::query;
    case type::kReport1:
    case type::kReport2:
    case type::kReport3:
    case type::kLeave:
      return MembershipKind::report;
    default:
      return MembershipKind::other;
  }
}

std::uint8_t code_of(const MembershipQuery& query) noexcept {
  const std::uint32_t tenths = query.max_response_ms / kTenthMs;
  if (query.version == 1) return 0;
  if (query.version == 2) return static_cast<std::uint8_t>(std::clamp(tenths, 1U, 255U));
  return static_cast<std::uint8_t>(encode_time(tenths, kTimeMantissa));
}

void put_head(Output& out, std::uint8_t message_type, std::uint8_t code) noexcept {
  out.byte(message_type);
  out.byte(code);
  out.half(0);
}

std::size_t finish(Output& out) noexcept {
  const MutableBytes message = out.written();
  if (!message.empty()) store16(message.data() + 2, folded(add_words(0, message)));
  return message.size();
}

bool is_own_destination(const IpAddress& to, const MembershipMessage& message) noexcept {
  if (to.is_unicast()) return true;
  if (message.kind == MembershipKind::query) return to == destination(message.query);
  if (message.report.version == kNewest) return to == kReports;
  if (message.report.records.empty()) return false;
  const GroupRecord record = *message.report.records.begin();
  // Leaves to the group are accepted, too (RFC 2236 section 9).
  return to == record.group || (record.type == RecordType::to_include && to == kAllRouters);
}

}  // namespace

MembershipMessage parse(Bytes payload) noexcept {
  MembershipMessage out;
  if (payload.size() < kShort) {
    out.kind = MembershipKind::malformed;
    return out;
  }
  out.kind = kind_of(payload[0]);
  if (out.kind == MembershipKind::other) return out;
  if (folded(add_words(0, payload)) != 0) {
    out.kind = MembershipKind::bad_checksum;
    return out;
  }
  const bool read =
      out.kind == MembershipKind::query ? read_query(payload, out.query) : read_report(payload, out.report);
  if (!read) out = {MembershipKind::malformed, {}, {}};
  return out;
}

ControlFaults faults(const ControlIp& ip, const MembershipMessage& message) noexcept {
  const bool query = message.kind == MembershipKind::query;
  const std::uint8_t version = query ? message.query.version : message.report.version;
  const IpAddress& source = ip.ends.source;
  return {ip.hops != 1, !ip.router_alert && version > 1,
          // Hosts without an address yet report (section 4.2.13), but none asks.
          source.is_multicast() || (query && source.is_any()),
          !is_own_destination(ip.ends.destination, message)};
}

IpAddress destination(const MembershipQuery& query) noexcept {
  return query.group.is_any() ? kAllSystems : query.group;
}

std::size_t write_query(const MembershipQuery& query, MutableBytes room) noexcept {
  if (!is_tellable(query, kV4, kNewest) || (query.version == 1 && !query.group.is_any())) return 0;
  Output out(room);
  put_head(out, type::kQuery, code_of(query));
  out.bytes(query.group.wire());
  if (query.version == kNewest) put_query_end(out, query);
  return finish(out);
}

std::size_t write_report(const MembershipReport& report, MutableBytes room) noexcept {
  Output out(room);
  if (report.version == kNewest) {
    const std::size_t count = report.records.count();
    put_head(out, type::kReport3, 0);
    out.half(0);
    out.half(static_cast<unsigned>(count));
    return count <= 0xffff && put_records(out, report.records, kV4) ? finish(out) : 0;
  }
  const auto record = only_group(report.records, kV4);
  const bool leaves = record && record->type == RecordType::to_include;
  if (!record || report.version < 1 || report.version > 2 || (leaves && report.version == 1)) return 0;
  put_head(out, leaves ? type::kLeave : report.version == 1 ? type::kReport1 : type::kReport2, 0);
  out.bytes(record->group.wire());
  return finish(out);
}

}  // namespace sluice::codec::igmp
