// What our readers find in control messages, under the names that tshark has for the fields; where it has one
// for each family, that of IPv4.
#pragma once

#include <arpa/inet.h>

#include <map>
#include <string>
#include <vector>

#include "codec/igmp.h"
#include "codec/mld.h"
#include "codec/pim_assert.h"
#include "codec/pim_bootstrap.h"
#include "codec/pim_hello.h"
#include "codec/pim_join_prune.h"
#include "codec/pim_register.h"

namespace sluice::test {

/** Lists of values by name. */
class Values {
 public:
  void add(const char* name, std::uint64_t value) { lists_[name].push_back(std::to_string(value)); }
  void add(const char* name, const codec::IpAddress& value) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(value.is_v4() ? AF_INET : AF_INET6, value.wire().data(), text, sizeof text);
    lists_[name].emplace_back(text);
  }
  [[nodiscard]] bool empty() const { return lists_.empty(); }
  /** {"name":["value",…],…} */
  [[nodiscard]] std::string json() const {
    std::string out;
    for (const auto& [name, values] : lists_) {
      out += (out.empty() ? "{\"" : ",\"") + name + "\":[";
      for (const std::string& value : values) out += (&value == &values.front() ? "\"" : ",\"") + value + '"';
      out += ']';
    }
    return out + '}';
  }

 private:
  std::map<std::string, std::vector<std::string>> lists_;
};

inline void read_igmp(codec::Bytes payload, Values& values) {
  using namespace codec;
  const MembershipMessage message = igmp::parse(payload);
  if (message.kind == MembershipKind::query) {
    const MembershipQuery& query = message.query;
    values.add("igmp.type", igmp::type::kQuery);
    values.add("igmp.version", query.version);
    values.add("igmp.maddr", query.group);
    values.add("response", query.max_response_ms);
    if (query.version < 3) return;
    values.add("igmp.s", query.suppress);
    values.add("igmp.qrv", query.robustness);
    values.add("interval", query.interval_s);
    values.add("igmp.num_src", query.sources.size());
    for (const IpAddress source : query.sources) values.add("igmp.saddr", source);
  } else if (message.kind == MembershipKind::report) {
    const MembershipReport& report = message.report;
    const GroupRecord first = report.records.empty() ? GroupRecord{} : *report.records.begin();
    const bool leaves = report.version == 2 && first.type == RecordType::to_include;
    values.add("igmp.type", report.version == 3   ? igmp::type::kReport3
                            : report.version == 1 ? igmp::type::kReport1
                            : leaves              ? igmp::type::kLeave
                                                  : igmp::type::kReport2);
    values.add("igmp.version", report.version);
    if (report.version == 3) values.add("igmp.num_grp_recs", report.records.count());
    for (const GroupRecord& record : report.records) {
      values.add("igmp.maddr", record.group);
      if (report.version < 3) continue;
      values.add("igmp.record_type", static_cast<unsigned>(record.type));
      values.add("igmp.num_src", record.sources.size());
      for (const IpAddress source : record.sources) values.add("igmp.saddr", source);
    }
  }
}

inline void read_mld(codec::Bytes payload, const codec::IpEnds& ends, Values& values) {
  using namespace codec;
  const MembershipMessage message = mld::parse(payload);
  if (message.kind != MembershipKind::query && message.kind != MembershipKind::report) return;
  values.add("icmpv6.checksum.status", mld::checksum_fits(payload, ends));
  if (message.kind == MembershipKind::query) {
    const MembershipQuery& query = message.query;
    values.add("icmpv6.type", mld::type::kQuery);
    values.add("icmpv6.mld.multicast_address", query.group);
    values.add("response", query.max_response_ms);
    if (query.version < 2) return;
    values.add("icmpv6.mld.flag.s", query.suppress);
    values.add("icmpv6.mld.flag.qrv", query.robustness);
    values.add("interval", query.interval_s);
    values.add("icmpv6.mld.nb_sources", query.sources.size());
    for (const IpAddress source : query.sources) values.add("icmpv6.mld.source_address", source);
    return;
  }
  const MembershipReport& report = message.report;
  if (report.version == 1) {
    const GroupRecord record = *report.records.begin();
    values.add("icmpv6.type", record.type == RecordType::to_include ? mld::type::kDone : mld::type::kReport1);
    values.add("icmpv6.mld.multicast_address", record.group);
    return;
  }
  values.add("icmpv6.type", mld::type::kReport2);
  values.add("icmpv6.mldr.nb_mcast_records", report.records.count());
  for (const GroupRecord& record : report.records) {
    values.add("icmpv6.mldr.mar.record_type", static_cast<unsigned>(record.type));
    values.add("icmpv6.mldr.mar.nb_sources", record.sources.size());
    values.add("icmpv6.mldr.mar.multicast_address", record.group);
    for (const IpAddress source : record.sources) values.add("icmpv6.mldr.mar.source_address", source);
  }
}

inline void read_hello(const codec::pim::Hello& hello, Values& values) {
  if (hello.holdtime_s) values.add("pim.holdtime", *hello.holdtime_s);
  if (const auto& delay = hello.lan_prune_delay) {
    values.add("pim.t", delay->tracking);
    values.add("pim.propagation_delay", delay->propagation_delay_ms);
    values.add("pim.override_interval", delay->override_interval_ms);
  }
  if (hello.dr_priority) values.add("pim.dr_priority", *hello.dr_priority);
  if (hello.generation_id) values.add("pim.generation_id", *hello.generation_id);
  for (const codec::IpAddress& address : hello.secondary) values.add("pim.address_list", address);
}

inline void read_join_prune(const codec::pim::JoinPrune& message, Values& values) {
  const auto add_sources = [&values](const char* name, const auto& sources) {
    for (const codec::pim::JoinPruneSource& source : sources) {
      values.add(name, source.address);
      values.add("pim.source_addr.flags.w", source.wildcard);
      values.add("pim.source_addr.flags.r", source.rpt);
    }
  };
  values.add("pim.upstream_neighbor", message.upstream);
  values.add("pim.holdtime", message.holdtime_s);
  values.add("pim.numgroups", message.groups.count());
  for (const codec::pim::JoinPruneGroup& group : message.groups) {
    values.add("pim.group", group.group);
    values.add("pim.numjoins", group.joins.count());
    values.add("pim.numprunes", group.prunes.count());
    add_sources("pim.join_ip", group.joins);
    add_sources("pim.prune_ip", group.prunes);
  }
}

inline void read_range(const codec::pim::GroupRange& range, Values& values) {
  values.add("pim.group", range.groups.address);
  values.add("pim.mask_len", range.groups.bits);
  values.add("pim.group_addr.flags.b", range.bidirectional);
  values.add("pim.group_addr.flags.z", range.zone);
}

inline void read_point(const codec::pim::RendezvousPoint& point, Values& values) {
  values.add("pim.rp", point.address);
  values.add("pim.holdtime", point.holdtime_s);
  values.add("pim.priority", point.priority);
}

inline void read_bootstrap(const codec::pim::Bootstrap& message, Values& values) {
  values.add("pim.fragment_tag", message.fragment_tag);
  values.add("pim.hash_mask_len", message.hash_mask_bits);
  values.add("pim.bsr_priority", message.priority);
  values.add("pim.bsr", message.router);
  for (const codec::pim::BootstrapRange& range : message.ranges) {
    read_range(range.range, values);
    values.add("pim.rp_count", range.total);
    values.add("pim.frp_count", range.points.count());
    for (const codec::pim::RendezvousPoint& point : range.points) read_point(point, values);
  }
}

inline void read_pim(codec::Bytes payload, const codec::IpEnds& ends, Values& values) {
  using namespace codec;
  pim::Message message;
  if (pim::parse(payload, ends, message) != pim::Find::message) return;
  values.add("pim.type", static_cast<unsigned>(message.type));
  if (const auto hello = message.type == pim::Type::hello ? pim::parse_hello(message) : std::nullopt)
    read_hello(*hello, values);
  if (const auto data =
          message.type == pim::Type::data_register ? pim::parse_register(message) : std::nullopt) {
    values.add("pim.register_flag.border", data->border);
    values.add("pim.register_flag.null_register", data->null);
    values.add("inner source", data->source);
    values.add("inner destination", data->group);
  }
  if (const auto stop =
          message.type == pim::Type::register_stop ? pim::parse_register_stop(message) : std::nullopt) {
    values.add("pim.group", stop->group);
    values.add("pim.source", stop->source);
  }
  if (const auto join = message.type == pim::Type::join_prune ? pim::parse_join_prune(message) : std::nullopt)
    read_join_prune(*join, values);
  if (const auto bootstrap =
          message.type == pim::Type::bootstrap ? pim::parse_bootstrap(message) : std::nullopt)
    read_bootstrap(*bootstrap, values);
  if (const auto assertion =
          message.type == pim::Type::assertion ? pim::parse_assert(message) : std::nullopt) {
    values.add("pim.group", assertion->group);
    values.add("pim.source", assertion->source);
    values.add("pim.rpt", assertion->rpt);
    values.add("pim.metric_pref", assertion->preference);
    values.add("pim.metric", assertion->metric);
  }
  if (const auto candidate =
          message.type == pim::Type::candidate_rp ? pim::parse_candidate_rp(message) : std::nullopt) {
    values.add("pim.prefix_count", candidate->ranges.count());
    read_point(candidate->point, values);
    for (const pim::GroupRange& range : candidate->ranges) read_range(range, values);
  }
}

}  // namespace sluice::test
