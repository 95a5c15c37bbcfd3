#include "codec/pim_bootstrap.h"

#include "codec/pim_address.h"

namespace sluice::codec::pim {

namespace {

constexpr std::uint8_t kNoForward = 0x80;
/** RP count, fragment's RP count, reserved; and holdtime, priority, reserved. */
constexpr std::size_t kWord = 4;

/** None for what is not whole. */
std::optional<RendezvousPoint> take_point(Bytes& rest, bool v4) {
  const auto address = take_unicast(rest, v4);
  if (!address || rest.size() < kWord) {
    rest = rest.last(0);
    return std::nullopt;
  }
  const RendezvousPoint point{*address, load16(rest.data()), rest[2]};
  rest = rest.subspan(kWord);
  return point;
}

/** A range as it stands in the packet, whether it counts or not. */
struct RangeSet {
  EncodedAddress groups;
  std::uint8_t total = 0;
  Bytes points;
};

std::optional<RangeSet> take_set(Bytes& rest, bool v4) noexcept {
  const auto groups = take_encoded(rest, Encoding::masked);
  if (!groups || !groups->is_of(v4) || rest.size() < kWord || rest[1] > rest[0]) return std::nullopt;
  RangeSet set{*groups, rest[0], {}};
  const std::size_t count = rest[1];
  rest = rest.subspan(kWord);
  const Bytes all = rest;
  for (std::size_t i = 0; i < count; i++)
    if (!take_point(rest, v4)) return std::nullopt;
  set.points = all.first(all.size() - rest.size());
  return set;
}

GroupRange range_of(const EncodedAddress& groups) noexcept {
  return {{groups.address, groups.bits},
          (groups.flags & group_flag::kBidirectional) != 0,
          (groups.flags & group_flag::kZone) != 0};
}

std::optional<BootstrapRange> next_range(Bytes& rest, bool v4) {
  const auto set = take_set(rest, v4);
  if (!set) rest = rest.last(0);
  if (!set || !set->groups.address.is_multicast()) return std::nullopt;
  return BootstrapRange{range_of(set->groups), set->total, {set->points, v4, take_point}};
}

std::optional<GroupRange> next_group_range(Bytes& rest, bool v4) {
  const auto groups = take_encoded(rest, Encoding::masked);
  if (!groups) rest = rest.last(0);
  if (!groups || !groups->is_of(v4) || !groups->address.is_multicast()) return std::nullopt;
  return range_of(*groups);
}

void put_range(Output& out, const GroupRange& range) noexcept {
  put_masked(out, range.groups.address,
             (range.bidirectional ? group_flag::kBidirectional : 0U) | (range.zone ? group_flag::kZone : 0U),
             range.groups.bits);
}

class Builder {
 public:
  Builder(const Bootstrap& from, const IpEnds& ends, MutableBytes room, Send send, void* context) noexcept
      : from_(from), ends_(ends), room_(room), send_(send), context_(context), out_(room) {
    begin();
  }

  void add(const BootstrapRange& range) noexcept {
    const std::size_t count = range.points.count();
    if (count > 255) failed_ = true;
    if (failed_) return;
    if (!out_has_room(count)) flush();
    open(range);
    for (const RendezvousPoint& point : range.points) {
      if (out_.size() + point_size() > room_.size()) {
        flush();
        open(range);
      }
      put(point);
      if (!out_.fits()) failed_ = true;
      if (failed_) return;
    }
    if (!out_.fits()) failed_ = true;
    if (first_ && range.range.zone) zone_ = range;
    first_ = false;
  }
  /** A message without ranges tells who the bootstrap router is. */
  std::size_t finish() noexcept {
    if (ranges_ > 0 || messages_ == 0) send();
    return failed_ ? 0 : messages_;
  }

 private:
  [[nodiscard]] std::size_t point_size() const noexcept {
    return encoded_size(Encoding::unicast, from_.router.is_v4()) + kWord;
  }
  [[nodiscard]] bool out_has_room(std::size_t points) const noexcept {
    const std::size_t range = encoded_size(Encoding::masked, from_.router.is_v4()) + kWord;
    return out_.size() + range + points * point_size() <= room_.size();
  }

  void begin() noexcept {
    out_ = Output(room_);
    put_header(out_, Type::bootstrap, from_.no_forward ? kNoForward : 0);
    out_.half(from_.fragment_tag);
    out_.byte(from_.hash_mask_bits);
    out_.byte(from_.priority);
    put_unicast(out_, from_.router);
    ranges_ = 0;
    if (zone_) open(*zone_);
    ranges_ = 0;
  }
  void send() noexcept {
    if (pim::finish(out_, ends_) == 0) failed_ = true;
    if (failed_) return;
    send_(context_, out_.written());
    messages_++;
  }
  /** What has been written so far; nothing when that is no range yet. */
  void flush() noexcept {
    if (ranges_ == 0) return;
    send();
    begin();
  }
  void open(const BootstrapRange& range) noexcept {
    put_range(out_, range.range);
    out_.byte(range.total);
    count_at_ = out_.size();
    out_.byte(0);
    out_.half(0);
    ranges_++;
  }
  void put(const RendezvousPoint& point) noexcept {
    put_unicast(out_, point.address);
    out_.half(point.holdtime_s);
    out_.byte(point.priority);
    out_.byte(0);
    if (out_.fits()) room_[count_at_]++;
  }

  const Bootstrap& from_;
  const IpEnds& ends_;
  MutableBytes room_;
  Send send_;
  void* context_;
  Output out_;
  std::size_t count_at_ = 0;
  /** In this message, the zone that all begin with not counted. */
  std::size_t ranges_ = 0;
  std::size_t messages_ = 0;
  bool first_ = true;
  /** What every message begins with. */
  std::optional<BootstrapRange> zone_;
  bool failed_ = false;
};

}  // namespace

std::optional<Bootstrap> parse_bootstrap(const Message& message) noexcept {
  Bytes rest = message.body;
  if (rest.size() < kWord) return std::nullopt;
  Bootstrap out{(message.flags & kNoForward) != 0, load16(rest.data()), rest[2], rest[3], {}, {}};
  rest = rest.subspan(kWord);
  const auto router = take_unicast(rest, message.v4);
  if (!router || !router->is_unicast() || out.hash_mask_bits > (message.v4 ? 32 : 128)) return std::nullopt;
  out.router = *router;
  for (Bytes left = rest; !left.empty();)
    if (!take_set(left, message.v4)) return std::nullopt;
  out.ranges = {rest, message.v4, next_range};
  return out;
}

std::size_t write_bootstrap(const Bootstrap& bootstrap, const IpEnds& ends, MutableBytes room, Send send,
                            void* context) noexcept {
  Builder builder(bootstrap, ends, room, send, context);
  for (const BootstrapRange& range : bootstrap.ranges) builder.add(range);
  return builder.finish();
}

std::optional<CandidateRp> parse_candidate_rp(const Message& message) noexcept {
  Bytes rest = message.body;
  if (rest.size() < kWord) return std::nullopt;
  const std::size_t count = rest[0];
  CandidateRp out{{{}, load16(rest.data() + 2), rest[1]}, {}};
  rest = rest.subspan(kWord);
  const auto address = take_unicast(rest, message.v4);
  if (!address || !address->is_unicast()) return std::nullopt;
  out.point.address = *address;
  const Bytes all = rest;
  for (std::size_t i = 0; i < count; i++)
    if (!take_encoded(rest, Encoding::masked)) return std::nullopt;
  out.ranges = {all.first(all.size() - rest.size()), message.v4, next_group_range};
  return out;
}

std::size_t write_candidate_rp(const CandidateRp& candidate, const IpEnds& ends, MutableBytes room) noexcept {
  const std::size_t count = candidate.ranges.count();
  if (count > 255) return 0;
  Output out(room);
  put_header(out, Type::candidate_rp);
  out.byte(static_cast<unsigned>(count));
  out.byte(candidate.point.priority);
  out.half(candidate.point.holdtime_s);
  put_unicast(out, candidate.point.address);
  for (const GroupRange& range : candidate.ranges) put_range(out, range);
  return finish(out, ends);
}

}  // namespace sluice::codec::pim
