#include "codec/pim_join_prune.h"

#include "codec/pim_address.h"

namespace sluice::codec::pim {

namespace {

/** Reserved, number of groups, holdtime. */
constexpr std::size_t kCounts = 4;
constexpr std::size_t kMostGroups = 255;
constexpr std::size_t kMostSources = 0xffff;

/** A group set as it stands in the packet, entries that do not count included. */
struct GroupSet {
  EncodedAddress group;
  Bytes joins;
  Bytes prunes;
};

/** Takes so many sources, of either family; none when they are not whole, or masked. */
std::optional<Bytes> take_sources(Bytes& rest, std::size_t count) noexcept {
  const Bytes all = rest;
  for (std::size_t i = 0; i < count; i++) {
    const auto source = take_encoded(rest, Encoding::masked);
    if (!source || !source->is_single()) return std::nullopt;
  }
  return all.first(all.size() - rest.size());
}

std::optional<GroupSet> take_set(Bytes& rest) noexcept {
  const auto group = take_encoded(rest, Encoding::masked);
  if (!group || rest.size() < 4) return std::nullopt;
  const std::size_t joins = load16(rest.data());
  const std::size_t prunes = load16(rest.data() + 2);
  rest = rest.subspan(4);
  const auto joined = take_sources(rest, joins);
  if (!joined) return std::nullopt;
  const auto pruned = take_sources(rest, prunes);
  return pruned ? std::optional(GroupSet{*group, *joined, *pruned}) : std::nullopt;
}

std::optional<JoinPruneSource> next_source(Bytes& rest, bool v4) {
  const auto encoded = take_encoded(rest, Encoding::masked);
  if (!encoded) rest = rest.last(0);
  if (!encoded || !encoded->is_of(v4) || !encoded->address.is_unicast()) return std::nullopt;
  const bool wildcard = (encoded->flags & source_flag::kWildcard) != 0;
  const bool rpt = (encoded->flags & source_flag::kRpt) != 0;
  if (wildcard && !rpt) return std::nullopt;
  return JoinPruneSource{encoded->address, wildcard, rpt};
}

std::optional<JoinPruneGroup> next_group(Bytes& rest, bool v4) {
  const auto set = take_set(rest);
  if (!set) rest = rest.last(0);
  if (!set || !set->group.is_of(v4) || !set->group.is_single() || !set->group.address.is_multicast()) {
    return std::nullopt;
  }
  return JoinPruneGroup{set->group.address, {set->joins, v4, next_source}, {set->prunes, v4, next_source}};
}

/** The largest of those kept stands first, so that it can make room for a smaller one. */
template <std::size_t kSize>
class Smallest {
 public:
  explicit Smallest(MutableBytes room) noexcept
      : first_(reinterpret_cast<Entry*>(room.data())), room_(room.size() / kSize) {}
  void add(Bytes bytes) noexcept {
    Entry entry;
    std::copy_n(bytes.begin(), kSize, entry.begin());
    if (count_ == room_) {
      if (count_ == 0 || !(entry < *first_)) return;
      std::pop_heap(first_, first_ + count_);
      count_--;
    }
    first_[count_++] = entry;
    std::push_heap(first_, first_ + count_);
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  using Entry = std::array<std::uint8_t, kSize>;
  Entry* first_;
  std::size_t room_;
  std::size_t count_ = 0;
};

class Builder {
 public:
  Builder(const JoinPrune& from, const IpEnds& ends, MutableBytes room, Send send, void* context) noexcept
      : from_(from), ends_(ends), room_(room), send_(send), context_(context), out_(room) {
    begin();
  }

  [[nodiscard]] bool has_room() const noexcept { return head_ + set_size(1) <= room_.size(); }
  void add(const JoinPruneGroup& group) noexcept {
    const std::size_t joins = group.joins.count();
    const std::size_t prunes = group.prunes.count();
    if (joins + prunes == 0) return;
    const std::size_t size = set_size(joins + prunes);
    const bool whole = std::max(joins, prunes) <= kMostSources && head_ + size <= room_.size();
    if (out_.size() + size > room_.size() || groups_ == kMostGroups) flush();
    if (whole) return add_all(group, [](const JoinPruneSource&, bool) { return true; });
    // What belongs together first, in a message of its own; the rest in as many as it takes.
    const bool tree = std::any_of(group.joins.begin(), group.joins.end(), is_wildcard);
    if (tree) add_tree(group);
    add_all(group, [tree](const JoinPruneSource& source, bool join) {
      return !tree || !(join ? source.wildcard : source.rpt && !source.wildcard);
    });
  }
  std::size_t finish() noexcept {
    flush();
    return messages_;
  }

 private:
  static bool is_wildcard(const JoinPruneSource& source) noexcept { return source.wildcard; }
  [[nodiscard]] std::size_t source_size() const noexcept {
    return encoded_size(Encoding::masked, from_.upstream.is_v4());
  }
  [[nodiscard]] std::size_t set_size(std::size_t sources) const noexcept {
    return source_size() + 4 + sources * source_size();
  }

  void begin() noexcept {
    out_ = Output(room_);
    put_header(out_, Type::join_prune);
    put_unicast(out_, from_.upstream);
    counts_ = out_.size();
    out_.half(0);
    out_.half(from_.holdtime_s);
    head_ = out_.size();
    groups_ = 0;
  }
  void flush() noexcept {
    if (groups_ == 0) return;
    room_[counts_ + 1] = static_cast<std::uint8_t>(groups_);
    pim::finish(out_, ends_);
    send_(context_, out_.written());
    messages_++;
    begin();
  }

  void open(const IpAddress& group) noexcept {
    put_single(out_, group);
    numbers_ = out_.size();
    out_.word(0);
    joins_ = prunes_ = 0;
    groups_++;
  }
  void close() noexcept {
    store16(room_.data() + numbers_, static_cast<std::uint16_t>(joins_));
    store16(room_.data() + numbers_ + 2, static_cast<std::uint16_t>(prunes_));
  }
  static void put(Output& out, const JoinPruneSource& source) noexcept {
    put_single(out, source.address,
               unsigned{source_flag::kSparse} | (source.wildcard ? source_flag::kWildcard : 0U) |
                   (source.rpt ? source_flag::kRpt : 0U));
  }
  /** A set is begun only where a source has room beside it, and goes on in the next message. */
  void put(const IpAddress& group, const JoinPruneSource& source, bool join, bool& opened) noexcept {
    const bool full =
        opened && (out_.size() + source_size() > room_.size() || (join ? joins_ : prunes_) == kMostSources);
    if (full) close();
    if (full || (!opened && (out_.size() + set_size(1) > room_.size() || groups_ == kMostGroups))) flush();
    if (full || !opened) open(group);
    opened = true;
    put(out_, source);
    (join ? joins_ : prunes_)++;
  }
  template <class F>
  void add_all(const JoinPruneGroup& group, F&& wanted) noexcept {
    bool opened = false;
    for (const bool join : {true, false}) {
      for (const JoinPruneSource& source : join ? group.joins : group.prunes)
        if (wanted(source, join)) put(group.group, source, join, opened);
    }
    if (opened) close();
  }

  /** The (*,G) join, and beside it as many (S,G,rpt) prunes as fit. */
  void add_tree(const JoinPruneGroup& group) noexcept {
    open(group.group);
    put(out_, *std::find_if(group.joins.begin(), group.joins.end(), is_wildcard));
    joins_ = 1;
    const MutableBytes rest = room_.subspan(out_.size());
    prunes_ = from_.upstream.is_v4() ? add_smallest<8>(group, rest) : add_smallest<20>(group, rest);
    out_.cut(out_.size() + prunes_ * source_size());
    close();
    flush();
  }
  template <std::size_t kSize>
  static std::size_t add_smallest(const JoinPruneGroup& group, MutableBytes rest) noexcept {
    Smallest<kSize> smallest(rest.first(std::min(rest.size(), kMostSources * kSize)));
    for (const JoinPruneSource& source : group.prunes) {
      if (!source.rpt || source.wildcard) continue;
      std::array<std::uint8_t, kSize> bytes;
      Output entry(bytes);
      put(entry, source);
      smallest.add(bytes);
    }
    return smallest.count();
  }

  const JoinPrune& from_;
  const IpEnds& ends_;
  MutableBytes room_;
  Send send_;
  void* context_;
  Output out_;
  std::size_t counts_ = 0;
  std::size_t head_ = 0;
  std::size_t groups_ = 0;
  std::size_t numbers_ = 0;
  std::size_t joins_ = 0;
  std::size_t prunes_ = 0;
  std::size_t messages_ = 0;
};

}  // namespace

std::optional<JoinPrune> parse_join_prune(const Message& message) noexcept {
  Bytes rest = message.body;
  const auto upstream = take_unicast(rest, message.v4);
  if (!upstream || upstream->is_multicast() || rest.size() < kCounts) return std::nullopt;
  const std::size_t groups = rest[1];
  const std::uint16_t holdtime = load16(rest.data() + 2);
  rest = rest.subspan(kCounts);
  const Bytes all = rest;
  for (std::size_t i = 0; i < groups; i++)
    if (!take_set(rest)) return std::nullopt;
  return JoinPrune{*upstream, holdtime, {all.first(all.size() - rest.size()), message.v4, next_group}};
}

std::size_t write_join_prune(const JoinPrune& join_prune, const IpEnds& ends, MutableBytes room, Send send,
                             void* context) noexcept {
  Builder builder(join_prune, ends, room, send, context);
  if (!builder.has_room()) return 0;
  for (const JoinPruneGroup& group : join_prune.groups) builder.add(group);
  return builder.finish();
}

}  // namespace sluice::codec::pim
