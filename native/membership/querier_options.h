// What a querier is told, what it counts, and the one who acts for it.
#pragma once

#include "codec/membership.h"
#include "membership/deadlines.h"

namespace sluice::membership {

/** What a leave does when the protocol would first ask whether somebody else is there (RFC 9776
 * section 6.4.2). */
enum class ImmediateLeave : std::uint8_t {
  /** It is asked, and waited for. */
  off,
  /** It ends at once when no host that is known wants it; asked where hosts may be there that are not known.
   */
  tracked,
  /** It ends at once, whoever else may be there: for an interface with one subscriber. */
  always
};

/** What one interface may take up; beyond it nothing is taken, and what is there stays. */
struct QuerierLimits {
  std::size_t groups = 32768;
  std::size_t sources_per_group = 256;
  /** Of all groups together, those that hosts name included. */
  std::size_t sources = 65536;
  /** Pairs of host and group whose wishes are known one by one; others are not told apart. */
  std::size_t hosts = 65536;
  std::size_t hosts_per_group = 1024;
};

/** Versions of both families that behave alike: IGMPv1; IGMPv2 and MLDv1; IGMPv3 and MLDv2. */
enum class Generation : std::uint8_t { first = 1, second, third };
[[nodiscard]] constexpr Generation generation(bool v4, unsigned version) noexcept {
  return static_cast<Generation>(v4 ? version : version + 1);
}

/** RFC 9776 section 8. Zero takes the RFC's default where it says so. */
struct QuerierOptions {
  bool v4 = true;
  /** That queries are sent in: of IGMP 1 to 3, of MLD 1 or 2. The newest, but where older routers are on the
   * link. An IGMPv1 router has no election and ignores leaves. */
  std::uint8_t version = 3;
  /** From 1; 2 bears one lost packet. */
  std::uint8_t robustness = 2;
  Nanos query_interval = 125 * kSecond;
  /** Less than query_interval. */
  Nanos query_response = 10 * kSecond;
  /** 0: as robustness. */
  std::uint8_t startup_count = 0;
  /** 0: a quarter of query_interval. */
  Nanos startup_interval = 0;
  Nanos last_member_interval = kSecond;
  /** 0: as robustness. */
  std::uint8_t last_member_count = 0;
  ImmediateLeave immediate_leave = ImmediateLeave::off;
  /** In 232.0.0.0/8 and ff3x::/32 only joins that name sources count (RFC 4604 section 2.2). */
  bool ssm = true;
  /** Most sources of one query; 0: as many as fit into 1,500 bytes. */
  std::size_t query_sources = 0;
  QuerierLimits limits;

  [[nodiscard]] Generation speaks() const noexcept { return generation(v4, version); }
  [[nodiscard]] unsigned startup_queries() const noexcept {
    return startup_count == 0 ? robustness : startup_count;
  }
  [[nodiscard]] Nanos startup_pause() const noexcept {
    return startup_interval == 0 ? query_interval / 4 : startup_interval;
  }
  [[nodiscard]] unsigned last_member_queries() const noexcept {
    return last_member_count == 0 ? robustness : last_member_count;
  }
  /** LMQT: how long a group or source stays after somebody has left it. */
  [[nodiscard]] Nanos last_member_time() const noexcept {
    return last_member_interval * last_member_queries();
  }
  /** IPv4 with router alert, 12 bytes of query; IPv6 with hop-by-hop options, 28 bytes (RFC 9777
   * section 5.1.10). */
  [[nodiscard]] std::size_t sources_of_a_query() const noexcept {
    return query_sources != 0 ? query_sources : v4 ? (1500 - 24 - 12) / 4 : (1500 - 48 - 28) / 16;
  }
};

/** 232.0.0.0/8, ff3x::/32: there is no group without a source (RFC 4607 section 1). */
[[nodiscard]] constexpr bool is_ssm(const codec::IpAddress& group) noexcept {
  const auto& bytes = group.bytes();
  return group.is_v4() ? bytes[12] == 232
                       : bytes[0] == 0xff && bytes[1] >> 4 == 3 && bytes[2] == 0 && bytes[3] == 0;
}

/** The values in force on the link: ours, or those of the elected querier as far as it tells them. */
struct QuerierTiming {
  unsigned robustness = 0;
  Nanos interval = 0;
  Nanos response = 0;

  /** GMI and MALI (RFC 9776 section 8.4, RFC 9777 section 9.4: two responses, where RFC 3376 had one). */
  [[nodiscard]] Nanos group_membership() const noexcept { return robustness * interval + 2 * response; }
  /** RFC 9776 section 8.5. */
  [[nodiscard]] Nanos other_querier() const noexcept { return robustness * interval + response / 2; }
  /** RFC 9776 section 8.13. */
  [[nodiscard]] Nanos older_host() const noexcept { return robustness * interval + response; }
};

/** Whether a host wants something by it; else it only leaves. */
[[nodiscard]] inline bool wants_something(const codec::GroupRecord& record) noexcept {
  using codec::RecordType;
  if (record.type == RecordType::is_exclude || record.type == RecordType::to_exclude) return true;
  return record.type != RecordType::block && !record.sources.empty();
}

struct QuerierCounters {
  std::uint64_t general_queries_sent = 0;
  std::uint64_t group_queries_sent = 0;
  std::uint64_t source_queries_sent = 0;
  std::uint64_t queries_received = 0;
  /** Of another version than ours: somebody should be told (RFC 9776 section 7.3.1). */
  std::uint64_t other_version_queries = 0;
  /** From a sender that must not send queries. */
  std::uint64_t ignored_queries = 0;
  std::uint64_t records = 0;
  /** Of link scope, of the wrong family, from a sender that must not report, or without sources for an SSM
   * group. */
  std::uint64_t ignored_records = 0;
  /** Beyond QuerierLimits. */
  std::uint64_t groups_refused = 0;
  std::uint64_t sources_refused = 0;
  std::uint64_t hosts_refused = 0;
  /** Groups and sources that ended at once. */
  std::uint64_t immediate_leaves = 0;
  /** Times that we became the querier, or ceased to be. */
  std::uint64_t elections = 0;
};

/** Who acts for a querier; outlives it. */
class QuerierHost {
 public:
  /** Sends it now; where to follows from it. Its sources are there until this returns. */
  virtual void send(const codec::MembershipQuery& query) noexcept = 0;
  /** What is forwarded of this group may have changed. The querier may be asked from within, but told
   * nothing. */
  virtual void changed(const codec::IpAddress& group) noexcept = 0;
  /** It has become the querier, or is it no more. */
  virtual void elected() noexcept {}

 protected:
  ~QuerierHost() = default;
};

/** A query as `options` say it: a general one for any(), else for `group`. */
[[nodiscard]] inline codec::MembershipQuery make_query(const QuerierOptions& options,
                                                       const codec::IpAddress& group) noexcept {
  codec::MembershipQuery query;
  query.version = options.version;
  query.group = group;
  const Nanos response = group.is_any() ? options.query_response : options.last_member_interval;
  query.max_response_ms = static_cast<std::uint32_t>(response / kMillisecond);
  // RFC 9776 section 4.1.6: what does not fit is not told.
  query.robustness = options.robustness > 7 ? std::uint8_t{0} : options.robustness;
  query.interval_s = static_cast<std::uint32_t>(options.query_interval / kSecond);
  return query;
}

}  // namespace sluice::membership
