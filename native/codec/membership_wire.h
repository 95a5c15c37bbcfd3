// What IGMPv3 and MLDv2 put into packets alike: behind a header of their own the end of a query, and group
// records (RFC 9776 sections 4.1 and 4.2, RFC 9777 sections 5.1 and 5.2). For their codecs.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |                 group: 4 bytes or 16                          |
//   | Resv  |S| QRV |     QQIC      |     number of sources         |
//   |                 sources                                       |
//
//   |  record type  |  aux data len |     number of sources         |   aux data: words of 32 bits
//   |                 group                                         |
//   |                 sources, auxiliary data                       |
#pragma once

#include <bit>

#include "codec/membership.h"
#include "codec/output.h"

namespace sluice::codec::membership_wire {

constexpr std::size_t address_size(bool v4) noexcept {
  return v4 ? 4 : 16;
}

inline IpAddress load_address(const std::uint8_t* at, bool v4) noexcept {
  return v4 ? IpAddress::v4(at) : IpAddress::v6(at);
}

/** A time code with so many bits of mantissa (RFC 9776 section 4.1.1, RFC 9777 section 5.1.3): exact up to
 * eight mantissas, floating from there on. */
constexpr std::uint32_t decode_time(std::uint32_t code, unsigned mantissa) noexcept {
  if (code < 8U << mantissa) return code;
  const unsigned exponent = (code >> mantissa) & 7U;
  return ((code & ((1U << mantissa) - 1)) | 1U << mantissa) << (exponent + 3);
}

/** The largest code whose time is not above `value`. */
constexpr std::uint32_t encode_time(std::uint32_t value, unsigned mantissa) noexcept {
  if (value < 8U << mantissa) return value;
  const unsigned exponent = static_cast<unsigned>(std::bit_width(value)) - mantissa - 4;
  if (exponent > 7) return (16U << mantissa) - 1;
  return 8U << mantissa | exponent << mantissa | ((value >> (exponent + 3)) & ((1U << mantissa) - 1));
}

/** Seconds of a QQIC. */
constexpr unsigned kIntervalMantissa = 4;

/** Whether all can be sources of packets; of IPv6 IPv4-mapped ones cannot. */
inline bool are_sources(const SourceList& sources, bool v4) noexcept {
  return std::all_of(sources.begin(), sources.end(),
                     [v4](const IpAddress& source) { return source.is_v4() == v4 && source.is_unicast(); });
}

inline bool is_group(const IpAddress& address, bool v4) noexcept {
  return address.is_v4() == v4 && address.is_multicast();
}

/** Reads what follows the group of a query; false when it is malformed. */
inline bool read_query_end(Bytes end, bool v4, MembershipQuery& out) noexcept {
  const std::size_t count = load16(end.data() + 2);
  out.suppress = (end[0] & 8U) != 0;
  out.robustness = end[0] & 7U;
  out.interval_s = decode_time(end[1], kIntervalMantissa);
  if (end.size() - 4 < count * address_size(v4)) return false;
  out.sources = {end.subspan(4, count * address_size(v4)), v4};
  return are_sources(out.sources, v4) && (count == 0 || !out.group.is_any());
}

/** More than a QRV can hold is not told. */
inline void put_query_end(Output& out, const MembershipQuery& query) noexcept {
  out.byte((query.suppress ? 8U : 0U) | (query.robustness > 7 ? 0U : query.robustness));
  out.byte(encode_time(query.interval_s, kIntervalMantissa));
  out.half(static_cast<unsigned>(query.sources.size()));
  for (const IpAddress& source : query.sources) out.bytes(source.wire());
}

/** Whether a query can be told in its version, of which `newest` has sources. */
inline bool is_tellable(const MembershipQuery& query, bool v4, std::uint8_t newest) noexcept {
  if (query.version < 1 || query.version > newest) return false;
  const bool general = query.group == IpAddress::any(v4);
  if (!general && !is_group(query.group, v4)) return false;
  if (query.sources.empty()) return true;
  return !general && query.version == newest && query.sources.size() <= 0xffff &&
         are_sources(query.sources, v4);
}

/** A whole record, whether it counts or not. */
struct RawRecord {
  std::uint8_t type = 0;
  GroupRecord record;
};

inline std::optional<RawRecord> take_raw_record(Bytes& rest, bool v4) noexcept {
  const std::size_t head = 4 + address_size(v4);
  if (rest.size() < head) return std::nullopt;
  const std::size_t sources = std::size_t{load16(rest.data() + 2)} * address_size(v4);
  const std::size_t size = head + sources + std::size_t{rest[1]} * 4;
  if (rest.size() < size) return std::nullopt;
  const RawRecord raw{rest[0],
                      {static_cast<RecordType>(rest[0]),
                       load_address(rest.data() + 4, v4),
                       {rest.subspan(head, sources), v4}}};
  rest = rest.subspan(size);
  return raw;
}

inline std::optional<GroupRecord> next_record(Bytes& rest, bool v4) {
  const auto raw = take_raw_record(rest, v4);
  if (!raw) rest = rest.last(0);
  const bool counts = raw && raw->type >= 1 && raw->type <= 6 && is_group(raw->record.group, v4) &&
                      are_sources(raw->record.sources, v4);
  return counts ? std::optional(raw->record) : std::nullopt;
}

/** Reads so many records; false when they are not all whole. */
inline bool read_records(Bytes bytes, std::size_t count, bool v4, MembershipReport& out) noexcept {
  Bytes rest = bytes;
  for (std::size_t i = 0; i < count; i++)
    if (!take_raw_record(rest, v4)) return false;
  out.records = {bytes.first(bytes.size() - rest.size()), v4, next_record};
  return true;
}

/** The one record of an older report, or of a leave or done: of nothing but a group. */
template <RecordType type>
std::optional<GroupRecord> next_group(Bytes& rest, bool v4) {
  const IpAddress group = load_address(rest.data(), v4);
  rest = rest.last(0);
  return GroupRecord{type, group, {}};
}

inline bool read_group(Bytes group, bool v4, bool leaves, MembershipReport& out) noexcept {
  out.records = {group, v4, leaves ? next_group<RecordType::to_include> : next_group<RecordType::is_exclude>};
  return is_group(load_address(group.data(), v4), v4);
}

/** False when one of them cannot be told. */
inline bool put_records(Output& out, const Sequence<GroupRecord>& records, bool v4) noexcept {
  for (const GroupRecord& record : records) {
    if (!is_group(record.group, v4) || !are_sources(record.sources, v4) || record.sources.size() > 0xffff)
      return false;
    out.byte(static_cast<unsigned>(record.type));
    out.byte(0);
    out.half(static_cast<unsigned>(record.sources.size()));
    out.bytes(record.group.wire());
    for (const IpAddress& source : record.sources) out.bytes(source.wire());
  }
  return true;
}

/** What an older version tells by a message of its own; none for what it cannot. */
inline std::optional<GroupRecord> only_group(const Sequence<GroupRecord>& records, bool v4) noexcept {
  if (records.count() != 1) return std::nullopt;
  const GroupRecord record = *records.begin();
  const bool told = record.type == RecordType::is_exclude || record.type == RecordType::to_include;
  const bool fits = told && record.sources.empty() && is_group(record.group, v4);
  return fits ? std::optional(record) : std::nullopt;
}

}  // namespace sluice::codec::membership_wire
