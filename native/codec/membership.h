// What hosts tell routers of the groups and sources that they want, the same for IGMP (RFC 9776) and MLD (RFC
// 9777); how it stands in packets is in codec/igmp.h and codec/mld.h.
#pragma once

#include "codec/ip_address.h"
#include "codec/sequence.h"

namespace sluice::codec {

/** RFC 9776 section 4.2.13. */
enum class RecordType : std::uint8_t {
  is_include = 1,
  is_exclude = 2,
  to_include = 3,
  to_exclude = 4,
  allow = 5,
  block = 6
};

/** A view of addresses, in a packet or in memory; valid as long as those are. */
class SourceList {
 public:
  class Iterator {
   public:
    using value_type = IpAddress;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() noexcept = default;
    Iterator(const std::uint8_t* at, std::uint8_t stride) noexcept : at_(at), stride_(stride) {}
    IpAddress operator*() const noexcept { return read(at_, stride_); }
    Iterator& operator++() noexcept {
      at_ += stride_;
      return *this;
    }
    Iterator operator++(int) noexcept {
      const Iterator before = *this;
      at_ += stride_;
      return before;
    }
    bool operator==(const Iterator& other) const noexcept { return at_ == other.at_; }

   private:
    const std::uint8_t* at_ = nullptr;
    std::uint8_t stride_ = 0;
  };

  /** Of nothing. */
  SourceList() noexcept = default;
  /** Of addresses in memory. */
  explicit SourceList(std::span<const IpAddress> addresses) noexcept
      : SourceList({reinterpret_cast<const std::uint8_t*>(addresses.data()), addresses.size_bytes()}, false) {
  }
  /** Of addresses in a packet: 4 bytes each, or 16; what is left over is no address. */
  SourceList(Bytes wire, bool v4) noexcept
      : first_(wire.data()), stride_(v4 ? 4 : 16), size_(wire.size() / stride_) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  IpAddress operator[](std::size_t i) const noexcept { return read(first_ + i * stride_, stride_); }
  [[nodiscard]] Iterator begin() const noexcept { return {first_, stride_}; }
  [[nodiscard]] Iterator end() const noexcept { return {first_ + size_ * stride_, stride_}; }
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept {
    return std::find(begin(), end(), address) != end();
  }
  /** `count` addresses from `from` on, both within bounds. */
  [[nodiscard]] SourceList part(std::size_t from, std::size_t count) const noexcept {
    return {{first_ + from * stride_, count * stride_}, stride_ == 4};
  }

 private:
  static IpAddress read(const std::uint8_t* at, std::uint8_t stride) noexcept {
    return stride == 4 ? IpAddress::v4(at) : IpAddress::v6(at);
  }

  const std::uint8_t* first_ = nullptr;
  std::uint8_t stride_ = 16;
  std::size_t size_ = 0;
};

// Addresses in memory are read like those in a packet of IPv6; IPv4-mapped ones are IPv4 there.
static_assert(sizeof(IpAddress) == 16);

/**
 * What a host tells about one group. A report of IGMPv1, IGMPv2 or MLDv1 is one record `is_exclude` without
 * sources, a leave or done one record `to_include` without sources (RFC 9776 section 7.3.2).
 */
struct GroupRecord {
  RecordType type = RecordType::is_include;
  /** Multicast. */
  IpAddress group;
  /** Unicast all of them. */
  SourceList sources{};
};

struct MembershipQuery {
  /** 1, 2 or 3 of IGMP; 1 or 2 of MLD. */
  std::uint8_t version = 0;
  /** Multicast, or any() of the family: a general query. */
  IpAddress group;
  /** Within what time hosts answer; of a query of IGMPv1, which does not tell it, 10,000. */
  std::uint32_t max_response_ms = 0;
  /** Routers do not lower their timers because of this query (the S flag). */
  bool suppress = false;
  /** The querier's robustness variable, 0..7; 0 where it is not told. */
  std::uint8_t robustness = 0;
  /** The querier's interval; 0 where it is not told. */
  std::uint32_t interval_s = 0;
  /** Unicast all of them; empty but in queries for a group and sources. */
  SourceList sources{};
};

/** Records of a type that is unknown, of what is no group, or with what is no source, are passed over. */
struct MembershipReport {
  /** Of the message, as in a query. */
  std::uint8_t version = 0;
  Sequence<GroupRecord> records{};
};

/** other: a type that is none of theirs, such as DVMRP or an echo request. malformed: of no version's length.
 */
enum class MembershipKind : std::uint8_t { query, report, other, malformed, bad_checksum };

/** A message of IGMP or MLD; what it holds points into the packet. */
struct MembershipMessage {
  MembershipKind kind = MembershipKind::other;
  /** Of a query. */
  MembershipQuery query;
  /** Of a report, leave or done. */
  MembershipReport report;
};

}  // namespace sluice::codec
