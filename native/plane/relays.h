// Groups that viewers ask for by their addresses: `/udp/239.1.1.1:5000` and `/rtp/239.1.1.1:5000`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/body.h"
#include "kernel/reactor.h"
#include "objects/link.h"
#include "objects/object.h"
#include "plane/counters.h"
#include "plane/relay_target.h"

namespace sluice::plane {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_RELAY_COUNTERS(X)                                                                      \
  X(groups) X(begun) X(joined) X(malformed) X(forbidden) X(full) X(silent) X(no_picture) X(failed) X(told)
// clang-format on

/** In the order of RELAY_COUNTERS in daemon/plane/contract-counters.ts. */
struct RelayCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
  SLUICE_RELAY_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct RelayOptions {
  std::vector<RelayRule> allow;
  /** Groups at once. */
  std::size_t most_groups = 100;
  /** A group that gives nothing for so long is given up. */
  kernel::Nanos wait = 5 * kernel::kSecond;
  /** A group that nobody watches is kept for so long. */
  kernel::Nanos hold = 5 * kernel::kSecond;
};

/** What happened to a group. */
struct RelayEvent {
  /** RelayTarget::text(). */
  std::string group;
  /** Of a group that is wanted. */
  RelayTarget target;
  /** Of a group that has ended. */
  std::uint64_t stream = 0;
  /** Why it has: idle, silent, forbidden. */
  const char* reason = nullptr;
};

/**
 * Turns those paths into streams. Of a group that is not there one event is told, `wanted`; whoever asks
 * meanwhile waits, and is answered when its stream has an access point. All that come later are answered at
 * once. A group ends when nobody has watched it for a while, or when it gives nothing; that is told, too, as
 * soon as nobody new can get to its stream. On the loop thread of the listeners; of a stream only its
 * counters are looked at, so that it may live on another.
 */
class Relays final : private kernel::Timer {
 public:
  using Tell = std::function<void(RelayEvent)>;
  /** The answer of a stream that has an access point. */
  using Follow = std::function<http::Answer(std::uint64_t stream)>;

  Relays(kernel::Reactor& reactor, RelayCounters& counters, Tell tell, Follow follow)
      : reactor_(reactor), counters_(counters), tell_(std::move(tell)), follow_(std::move(follow)) {}

  /** Groups that are no longer allowed end. None: all end, and the paths are no longer ours. */
  void set(std::optional<RelayOptions> options);
  /** The answer, or none where the path is not ours. HEAD tells what is allowed and joins nothing. */
  std::optional<http::Answer> resolve(const http::Request& request);

  /** The group's stream, which nothing supplies yet; false when nobody wants it any more. The counters
   * outlive the stream. */
  bool open(const std::string& group, std::uint64_t stream, StreamCounters& counters);
  /** Those who wait are told; false when there is no such group. */
  bool refuse(const std::string& group, objects::Refusal refusal);
  /** The stream, if it is of a group, has an access point. */
  void ready(std::uint64_t stream);
  /** The stream, if it is of a group, is about to go. */
  void forget(std::uint64_t stream);

 private:
  struct Waiting;
  struct Group;
  using Groups = std::map<std::string, std::shared_ptr<Group>>;

  void on_timer(kernel::Nanos now) noexcept override;
  void wake(objects::List<Waiting>& waiting) noexcept;
  void wake_some() noexcept;
  void rearm() noexcept;
  http::Answer join(const RelayTarget& target);
  std::optional<http::Answer> settle(const Waiting& waiting);
  [[nodiscard]] bool allowed(const RelayTarget& target) const noexcept;
  void begin(const std::string& name, const RelayTarget& target);
  bool make_room();
  void look(kernel::Nanos now);
  /** Why the group is to end now, or null. */
  [[nodiscard]] const char* look(Group& group, kernel::Nanos now);
  void impatient(Group& group, kernel::Nanos now);
  /** Takes it out of the table; the reason is told where a stream has to be removed. */
  Groups::iterator end(Groups::iterator at, objects::Refusal refusal, const char* reason);
  [[nodiscard]] Groups::iterator of(std::uint64_t stream);

  kernel::Reactor& reactor_;
  RelayCounters& counters_;
  const Tell tell_;
  const Follow follow_;
  std::optional<RelayOptions> options_;
  Groups groups_;
  /** Those who are to be told that their answer is known. */
  objects::List<Waiting> told_;
  kernel::Nanos next_look_ = 0;
};

}  // namespace sluice::plane
