// Whose RTCP it is that comes in: the receivers of a loop, by where their reports come from.
#pragma once

#include <array>
#include <unordered_map>

#include "plane/flow_receiver.h"
#include "plane/receiver_report.h"

namespace sluice::plane {

/** What is known of RTCP with one receiver; it stays with it when its gate changes the flow. */
struct ReceiverRtcp {
  explicit ReceiverRtcp(const kernel::UdpTarget& t) noexcept : target(t) {}

  /** Where its RTCP goes, and comes from (RFC 4961). */
  kernel::UdpTarget target;
  SentReports sent;
  /** Its last report about what it is sent, and when it came; -1 before one did. */
  ReceiverReportView view;
  Nanos reported_at = -1;
  /** First sequence number of the mapping under which it reported last, and the loss told before that. */
  std::int64_t mapping = -1;
  std::int32_t lost = 0;
  std::int32_t lost_before = 0;
};

/**
 * Receivers are found by the address and port that their RTCP is sent to (RFC 4961: symmetric RTP and RTCP).
 * Only receivers of flows with RTCP are kept. Takes from the heap only in add().
 */
class RtcpDirectory {
 public:
  /** Nothing when it is there already. */
  void add(const FlowReceiver& receiver);
  void remove(Handle receiver) noexcept;
  /** Null when it is not there. */
  [[nodiscard]] ReceiverRtcp* find(Handle receiver) noexcept;
  [[nodiscard]] const ReceiverRtcp* find(Handle receiver) const noexcept;
  /** Calls `visit(Handle, ReceiverRtcp&)` for each whose RTCP comes from there; true when there is one. */
  template <class Visit>
  bool each_from(const kernel::Address& sender, Visit&& visit) {
    const auto [first, last] = by_address_.equal_range(key_of(sender));
    for (auto at = first; at != last; ++at) visit(at->second, receivers_.at(at->second));
    return first != last;
  }

 private:
  using Key = std::array<char, 18>;
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  static Key key_of(const kernel::Address& address) noexcept;

  std::unordered_map<Handle, ReceiverRtcp> receivers_;
  std::unordered_multimap<Key, Handle, Hash> by_address_;
};

}  // namespace sluice::plane
