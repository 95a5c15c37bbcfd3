// What a subscriber receives or may receive: a group, of one source or of any.
#pragma once

#include "codec/ip_address.h"

namespace sluice::membership {

struct Channel {
  codec::IpAddress group;
  /** any() of the family: whatever the source. */
  codec::IpAddress source;

  constexpr auto operator<=>(const Channel&) const noexcept = default;
};

/** Channels that an interface may have. */
class ChannelList {
 public:
  /** `source` any(): the group of whatever source. Where that is allowed, every source of it is. */
  [[nodiscard]] virtual bool allows(const codec::IpAddress& group,
                                    const codec::IpAddress& source) const noexcept = 0;

 protected:
  ~ChannelList() = default;
};

}  // namespace sluice::membership
