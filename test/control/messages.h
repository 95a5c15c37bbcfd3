// A capture of control messages of every kind in both families, made by our writers from a fixed sequence of
// random numbers.
#pragma once

#include <algorithm>
#include <fstream>
#include <random>

#include "codec/capture_writer.h"
#include "values.h"

namespace sluice::test {

/** Chooses contents, and writes each message as a raw IP packet. */
class MessageMaker {
 public:
  explicit MessageMaker(std::ostream& out) : out_(out) {
    std::array<std::uint8_t, codec::CaptureWriter::kMostHeader> head;
    codec::CaptureHeader header;
    header.format = codec::CaptureFormat::pcap;
    header.link_type = codec::kLinkRaw;
    const std::size_t size = codec::CaptureWriter::begin(header, head);
    put({head.data(), size});
  }

  void make_all() {
    for (int i = 0; i < 40; i++) {
      for (std::uint8_t version = 1; version <= 3; version++) make_igmp(version);
      for (std::uint8_t version = 1; version <= 2; version++) make_mld(version);
      for (const bool v4 : {true, false}) make_pim(v4);
    }
  }

 private:
  using Addresses = std::vector<codec::IpAddress>;
  /** What lists of a message point to. */
  struct Record {
    codec::RecordType type;
    codec::IpAddress group;
    Addresses sources;
  };

  unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }
  /** Of any order of magnitude below 2^bits. */
  unsigned duration(unsigned bits) { return random(1U << (1 + random(bits))); }
  codec::IpAddress address(bool v4, std::uint8_t first, std::uint8_t second) {
    std::array<std::uint8_t, 16> bytes{first, second};
    codec::store32(bytes.data() + 12, static_cast<std::uint32_t>(random_()));
    if (!v4) return codec::IpAddress::v6(bytes.data());
    bytes[2] = bytes[12];
    bytes[3] = bytes[13];
    return codec::IpAddress::v4(bytes.data());
  }
  codec::IpAddress group(bool v4) { return v4 ? address(v4, 232, 1) : address(v4, 0xff, 0x3e); }
  codec::IpAddress unicast(bool v4) { return v4 ? address(v4, 10, 1) : address(v4, 0x20, 1); }
  codec::IpAddress own(bool v4) { return v4 ? address(v4, 10, 0) : address(v4, 0xfe, 0x80); }
  Addresses sources(bool v4, unsigned most) {
    Addresses out(random(most + 1));
    for (auto& source : out) source = unicast(v4);
    return out;
  }

  void put(codec::Bytes bytes) {
    out_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void packet(codec::Bytes head, codec::Bytes payload) {
    const codec::CaptureWriter writer(codec::CaptureFormat::pcap, codec::kMaxCaptured);
    const std::size_t size = head.size() + payload.size();
    std::vector<std::uint8_t> room(size + 64);
    time_ns_ += 1'000'000;
    room.resize(writer.packet(time_ns_, static_cast<std::uint32_t>(size), head, payload, room));
    put(room);
  }
  void packet(std::uint8_t protocol, const codec::IpEnds& ends, bool alert, codec::Bytes payload) {
    if (ends.source.is_v4()) {
      std::array<std::uint8_t, codec::kMostIpv4Header> head;
      const std::size_t size =
          codec::write_ipv4_header({ends, protocol, 1, 0xc0, alert, false}, payload.size(), head);
      return packet({head.data(), size}, payload);
    }
    std::array<std::uint8_t, 48> head{0x6c};
    const std::size_t options = alert ? codec::kRouterAlert6.size() : 0;
    codec::store16(head.data() + 4, static_cast<std::uint16_t>(payload.size() + options));
    head[6] = alert ? 0 : protocol;
    head[7] = 1;
    std::copy(ends.source.wire().begin(), ends.source.wire().end(), head.begin() + 8);
    std::copy(ends.destination.wire().begin(), ends.destination.wire().end(), head.begin() + 24);
    std::copy(codec::kRouterAlert6.begin(), codec::kRouterAlert6.end(), head.begin() + 40);
    packet(codec::Bytes(head).first(40 + options), payload);
  }

  /** Of version 1 only general ones, of the newest of all kinds. */
  codec::MembershipQuery query(bool v4, std::uint8_t version, const Addresses& from) {
    const bool newest = version == (v4 ? 3 : 2);
    const bool general = (v4 && version == 1) || (from.empty() && random(2) == 0);
    codec::MembershipQuery out{version, general ? codec::IpAddress::any(v4) : group(v4), duration(26)};
    if (!newest) return out;
    out.suppress = random(2) == 0;
    out.robustness = static_cast<std::uint8_t>(random(8));
    out.interval_s = duration(15);
    if (!general) out.sources = codec::SourceList(from);
    return out;
  }
  std::vector<Record> records(bool v4, bool newest) {
    std::vector<Record> out(newest ? random(6) : 1);
    for (Record& record : out) {
      const unsigned type = newest ? 1 + random(6) : random(2) == 0 ? 2 : 3;
      record = {static_cast<codec::RecordType>(type), group(v4), sources(v4, newest ? 20 : 0)};
    }
    return out;
  }
  static std::vector<codec::GroupRecord> views(const std::vector<Record>& records) {
    std::vector<codec::GroupRecord> out;
    for (const Record& record : records)
      out.push_back({record.type, record.group, codec::SourceList(record.sources)});
    return out;
  }

  void make_igmp(std::uint8_t version) {
    const Addresses from = sources(true, 30);
    const codec::MembershipQuery asked = query(true, version, from);
    std::array<std::uint8_t, 1480> room;
    std::size_t size = codec::igmp::write_query(asked, room);
    packet(codec::igmp::kProtocol, {own(true), codec::igmp::destination(asked)}, version > 1,
           {room.data(), size});
    auto told = records(true, version == 3);
    if (version == 1) told[0].type = codec::RecordType::is_exclude;
    const auto list = views(told);
    size = codec::igmp::write_report({version, codec::Sequence<codec::GroupRecord>(list)}, room);
    const codec::IpAddress to = version == 3                                    ? codec::igmp::kReports
                                : told[0].type == codec::RecordType::to_include ? codec::igmp::kAllRouters
                                                                                : told[0].group;
    packet(codec::igmp::kProtocol, {own(true), to}, version > 1, {room.data(), size});
  }
  void make_mld(std::uint8_t version) {
    const Addresses from = sources(false, 30);
    const codec::MembershipQuery asked = query(false, version, from);
    std::array<std::uint8_t, 2400> room;
    codec::IpEnds ends{own(false), codec::mld::destination(asked)};
    std::size_t size = codec::mld::write_query(asked, ends, room);
    packet(codec::mld::kProtocol, ends, true, {room.data(), size});
    const auto told = records(false, version == 2);
    const auto list = views(told);
    ends.destination = version == 2                                    ? codec::mld::kReports
                       : told[0].type == codec::RecordType::to_include ? codec::mld::kAllRouters
                                                                       : told[0].group;
    size = codec::mld::write_report({version, codec::Sequence<codec::GroupRecord>(list)}, ends, room);
    packet(codec::mld::kProtocol, ends, true, {room.data(), size});
  }

  void make_pim(bool v4) {
    const codec::IpEnds link{own(v4), codec::pim::all_routers(v4)};
    const codec::IpEnds far{unicast(v4), unicast(v4)};
    make_hello(link);
    make_register(far);
    make_join_prune(link);
    make_bootstrap(link);
    std::array<std::uint8_t, 1400> room;
    std::size_t size = codec::pim::write_register_stop({group(v4), unicast(v4)}, far, room);
    pim_packet(far, {room.data(), size});
    const bool rpt = random(2) == 0;
    size = codec::pim::write_assert({group(v4), unicast(v4), rpt, random(1U << 31), random(1U << 31)}, link,
                                    room);
    pim_packet(link, {room.data(), size});
    std::vector<codec::pim::GroupRange> ranges(1 + random(5));
    for (auto& range : ranges) range = group_range(v4);
    size = codec::pim::write_candidate_rp({point(v4), codec::Sequence<codec::pim::GroupRange>(ranges)}, far,
                                          room);
    pim_packet(far, {room.data(), size});
  }
  void pim_packet(const codec::IpEnds& ends, codec::Bytes payload) {
    packet(codec::pim::kProtocol, ends, false, payload);
  }
  void make_hello(const codec::IpEnds& ends) {
    codec::pim::Hello hello;
    const Addresses others = sources(ends.source.is_v4(), 3);
    hello.secondary = codec::Sequence<codec::IpAddress>(others);
    if (random(2) == 0) hello.holdtime_s = static_cast<std::uint16_t>(random(0x10000));
    if (random(2) == 0) hello.dr_priority = random(1U << 31);
    if (random(2) == 0) hello.generation_id = random(1U << 31);
    if (random(2) == 0)
      hello.lan_prune_delay = {random(2) == 0, static_cast<std::uint16_t>(random(0x8000)),
                               static_cast<std::uint16_t>(random(0x10000))};
    std::array<std::uint8_t, 400> room;
    const std::size_t size = codec::pim::write_hello(hello, ends, room);
    pim_packet(ends, {room.data(), size});
  }
  /** A null register, and one of a packet that is nothing but a header of its own. */
  void make_register(const codec::IpEnds& ends) {
    const bool v4 = ends.source.is_v4();
    std::array<std::uint8_t, 100> room;
    std::size_t size = codec::pim::write_null_register(unicast(v4), group(v4), ends, room);
    pim_packet(ends, {room.data(), size});
    if (!v4) return;
    size = codec::pim::write_register_header(ends, room);
    std::array<std::uint8_t, codec::kMostIpv4Header> inside;
    const std::size_t head =
        codec::write_ipv4_header({{unicast(v4), group(v4)}, 17, 9, 0, false, false}, 0, inside);
    std::copy_n(inside.begin(), head, room.begin() + static_cast<std::ptrdiff_t>(size));
    pim_packet(ends, {room.data(), size + head});
  }
  void make_join_prune(const codec::IpEnds& ends) {
    const bool v4 = ends.source.is_v4();
    std::vector<std::vector<codec::pim::JoinPruneSource>> lists(2 * (1 + random(12)));
    for (auto& list : lists) {
      list.resize(random(8));
      for (auto& source : list) source = {unicast(v4), false, random(3) == 0};
    }
    std::vector<codec::pim::JoinPruneGroup> groups;
    for (std::size_t i = 0; i < lists.size(); i += 2) {
      if (random(3) == 0) lists[i].push_back({unicast(v4), true, true});
      using List = codec::Sequence<codec::pim::JoinPruneSource>;
      groups.push_back({group(v4), List(lists[i]), List(lists[i + 1])});
    }
    const codec::pim::JoinPrune message{own(v4), static_cast<std::uint16_t>(random(0x10000)),
                                        codec::Sequence<codec::pim::JoinPruneGroup>(groups)};
    std::array<std::uint8_t, 600> room;
    codec::pim::write_join_prune(message, ends, room, [&](codec::Bytes bytes) { pim_packet(ends, bytes); });
  }
  codec::pim::GroupRange group_range(bool v4) {
    return {{group(v4), 16 + random(v4 ? 17 : 113)}, random(2) == 0, random(2) == 0};
  }
  codec::pim::RendezvousPoint point(bool v4) {
    return {unicast(v4), static_cast<std::uint16_t>(random(0x10000)), static_cast<std::uint8_t>(random(256))};
  }
  void make_bootstrap(const codec::IpEnds& ends) {
    const bool v4 = ends.source.is_v4();
    std::vector<std::vector<codec::pim::RendezvousPoint>> lists(random(10));
    for (auto& list : lists) {
      list.resize(random(5));
      for (auto& one : list) one = point(v4);
    }
    std::vector<codec::pim::BootstrapRange> ranges;
    for (const auto& list : lists) {
      ranges.push_back({group_range(v4), static_cast<std::uint8_t>(list.size()),
                        codec::Sequence<codec::pim::RendezvousPoint>(list)});
    }
    const codec::pim::Bootstrap message{random(2) == 0,
                                        static_cast<std::uint16_t>(random(0x10000)),
                                        static_cast<std::uint8_t>(random(v4 ? 33 : 129)),
                                        static_cast<std::uint8_t>(random(256)),
                                        unicast(v4),
                                        codec::Sequence<codec::pim::BootstrapRange>(ranges)};
    std::array<std::uint8_t, 300> room;
    codec::pim::write_bootstrap(message, ends, room, [&](codec::Bytes bytes) { pim_packet(ends, bytes); });
  }

  std::ostream& out_;
  std::int64_t time_ns_ = 1'763'635'000'000'000'000;
  std::mt19937_64 random_{7};
};

inline int make_messages(const char* path) {
  std::ofstream out(path, std::ios::binary);
  MessageMaker(out).make_all();
  return out.good() ? 0 : 1;
}

}  // namespace sluice::test
