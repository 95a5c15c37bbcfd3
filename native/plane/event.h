// What the plane tells whoever made it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "plane/relays.h"
#include "plane/sites.h"
#include "plane/upstream.h"

namespace sluice::plane {

/** Names one thing of a plane; never used again. */
using Handle = std::uint64_t;

/** Made on one of the loop threads. */
struct Event {
  enum class Type : std::uint8_t {
    source_fault,
    stream_ready,
    upstream_head,
    /** Of a request of an upstream's, or of a fetch. */
    upstream_end,
    object_wanted,
    relay_wanted,
    relay_ended,
    capture_end,
    replay_end
  };
  Type type = Type::stream_ready;
  /** The stream, upstream, site, capture or replay concerned; 0 for a fetch and for a group that is
   * wanted. */
  Handle handle = 0;
  const char* code = nullptr;
  std::string detail;
  UpstreamResult result;
  WantedObject wanted;
  RelayEvent relay = {};
};

/** Called on the loop threads, by several at a time. */
using EventHandler = std::function<void(Event)>;

}  // namespace sluice::plane
