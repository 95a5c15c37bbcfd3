#include "plane/relays.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "http/object_answer.h"
#include "kernel/counter.h"

namespace sluice::plane {

using http::Answer;
using kernel::bump;
using kernel::gauge;
using kernel::kMillisecond;
using kernel::Nanos;
using kernel::read;

namespace {

/** The same group whichever is asked for: datagrams tell by themselves whether they are RTP. */
constexpr std::string_view kPrefixes[] = {"/udp/", "/rtp/"};
/** How often groups are looked after. */
constexpr Nanos kLook = 100 * kMillisecond;
/** Those who waited are told in slices of this, so that departures are not held up. */
constexpr Nanos kWakeSlice = kMillisecond;
constexpr int kWakesBetweenLooks = 8;

/** What stands behind one of the prefixes; none where there is none. */
std::optional<std::string_view> behind_prefix(std::string_view path) noexcept {
  for (const std::string_view prefix : kPrefixes)
    if (path.starts_with(prefix)) return path.substr(prefix.size());
  return std::nullopt;
}

Answer answer_of(const objects::Refusal& refusal) {
  return http::answer_with_text(refusal.status, refusal.message + "\n", refusal.retry_after);
}

}  // namespace

struct Relays::Group {
  std::shared_ptr<const std::string> label;
  /** 0 until it is open. */
  std::uint64_t stream = 0;
  StreamCounters* counters = nullptr;
  bool ready = false;
  /** TS packets when it was looked after last, and when there were more than before. */
  std::uint64_t packets = 0;
  Nanos heard = 0;
  /** When somebody last asked, waited or watched. */
  Nanos used = 0;
  objects::List<Waiting> waiting;
  /** Of a group that has ended. */
  std::optional<objects::Refusal> refusal;

  [[nodiscard]] bool watched() const noexcept {
    return !waiting.empty() || (counters != nullptr && read(counters->viewers_continuous) > 0);
  }
};

/** A viewer of a group that is not ready. */
struct Relays::Waiting final : http::Pending, objects::Link {
  Waiting(Relays& r, std::shared_ptr<Group> g, Nanos now) : relays(r), group(std::move(g)), since(now) {}
  void listen(http::AnswerListener& l) noexcept override { listener = &l; }
  std::optional<Answer> take() override { return relays.settle(*this); }

  Relays& relays;
  const std::shared_ptr<Group> group;
  const Nanos since;
  /** It has waited long enough. */
  bool late = false;
  http::AnswerListener* listener = nullptr;
};

void Relays::set(std::optional<RelayOptions> options) {
  options_ = std::move(options);
  for (auto at = groups_.begin(); at != groups_.end();) {
    const auto target = parse_relay_target(at->first);
    if (options_ && target && allowed(*target))
      ++at;
    else
      at = end(at, {403, 0, "this address is no longer on the list of http.relay"}, "forbidden");
  }
}

bool Relays::allowed(const RelayTarget& target) const noexcept {
  return std::any_of(options_->allow.begin(), options_->allow.end(),
                     [&](const RelayRule& rule) { return rule.allows(target); });
}

std::optional<Answer> Relays::resolve(const http::Request& request) {
  const auto text = options_ ? behind_prefix(request.path) : std::nullopt;
  if (!text) return std::nullopt;
  const auto target = parse_relay_target(*text);
  if (!target) {
    bump(counters_.malformed);
    return http::answer_with_text(
        400, "expected [SOURCE@]ADDRESS:PORT, such as 239.1.1.1:5000 or [ff3e::1]:5000, after the prefix\n");
  }
  if (!allowed(*target)) {
    bump(counters_.forbidden);
    return http::answer_with_text(403, "this address is not on the list of http.relay\n");
  }
  if (request.method != http::Request::Method::head) return join(*target);
  Answer answer;
  answer.content_type = "video/mp2t";
  answer.cache_control = "no-store";
  return answer;
}

Answer Relays::join(const RelayTarget& target) {
  const Nanos now = reactor_.now();
  std::string name = target.text();
  auto at = groups_.find(name);
  if (at == groups_.end()) {
    if (groups_.size() >= options_->most_groups && !make_room()) {
      bump(counters_.full);
      return http::answer_with_text(503, "there are as many groups as http.relay.max_groups allows\n", 1);
    }
    auto group = std::make_shared<Group>();
    group->label = std::make_shared<const std::string>("udp/" + name);
    group->heard = now;
    at = groups_.emplace(std::move(name), std::move(group)).first;
    begin(at->first, target);
  }
  Group& group = *at->second;
  group.used = now;
  bump(counters_.joined);
  if (group.ready) return follow_(group.stream);
  auto waiting = std::make_unique<Waiting>(*this, at->second, now);
  group.waiting.push_back(*waiting);
  Answer answer;
  answer.source = group.label;
  answer.pending = std::move(waiting);
  return answer;
}

void Relays::begin(const std::string& name, const RelayTarget& target) {
  bump(counters_.begun);
  gauge(counters_.groups, groups_.size());
  if (!armed()) next_look_ = reactor_.now() + kLook;
  rearm();
  tell_({name, target});
}

/** Ends the group that has been watched by nobody for the longest time; false where all are watched. */
bool Relays::make_room() {
  auto oldest = groups_.end();
  for (auto at = groups_.begin(); at != groups_.end(); ++at) {
    // Whoever has just asked may be on the way to the stream.
    if (at->second->watched() || reactor_.now() - at->second->used < kLook) continue;
    if (oldest == groups_.end() || at->second->used < oldest->second->used) oldest = at;
  }
  if (oldest == groups_.end()) return false;
  end(oldest, {}, "idle");
  return true;
}

bool Relays::open(const std::string& group, std::uint64_t stream, StreamCounters& counters) {
  const auto at = groups_.find(group);
  if (at == groups_.end() || at->second->stream != 0) return false;
  at->second->stream = stream;
  at->second->counters = &counters;
  return true;
}

bool Relays::refuse(const std::string& group, objects::Refusal refusal) {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return false;
  bump(counters_.failed);
  end(at, std::move(refusal), nullptr);
  return true;
}

Relays::Groups::iterator Relays::of(std::uint64_t stream) {
  return std::find_if(groups_.begin(), groups_.end(),
                      [stream](const auto& entry) { return entry.second->stream == stream; });
}

void Relays::ready(std::uint64_t stream) {
  const auto at = of(stream);
  if (at == groups_.end()) return;
  at->second->ready = true;
  at->second->used = reactor_.now();
  wake(at->second->waiting);
}

void Relays::forget(std::uint64_t stream) {
  const auto at = of(stream);
  if (at != groups_.end()) end(at, {503, 1, "the group has ended"}, nullptr);
}

Relays::Groups::iterator Relays::end(Groups::iterator at, objects::Refusal refusal, const char* reason) {
  const std::shared_ptr<Group> group = at->second;
  group->refusal = std::move(refusal);
  wake(group->waiting);
  if (reason != nullptr && group->stream != 0) tell_({at->first, {}, group->stream, reason});
  const auto next = groups_.erase(at);
  gauge(counters_.groups, groups_.size());
  return next;
}

std::optional<Answer> Relays::settle(const Waiting& waiting) {
  const Group& group = *waiting.group;
  if (group.refusal) return answer_of(*group.refusal);
  if (group.ready) return follow_(group.stream);
  if (!waiting.late) return std::nullopt;
  return http::answer_with_text(504, "MPEG-TS comes, but nothing yet that a picture could begin with\n", 1);
}

void Relays::wake(objects::List<Waiting>& waiting) noexcept {
  told_.splice(waiting);
  rearm();
}

void Relays::wake_some() noexcept {
  const Nanos began = kernel::monotonic_now();
  for (int i = 1; !told_.empty(); i++) {
    bump(counters_.told);
    told_.pop_front().listener->on_answer_progress();
    if (i % kWakesBetweenLooks == 0 && kernel::monotonic_now() - began > kWakeSlice) break;
  }
}

void Relays::rearm() noexcept {
  if (!told_.empty()) return reactor_.arm(*this, reactor_.now());
  if (!groups_.empty()) reactor_.arm(*this, next_look_);
}

void Relays::on_timer(Nanos now) noexcept {
  wake_some();
  if (now >= next_look_) {
    look(now);
    next_look_ = now + kLook;
  }
  rearm();
}

void Relays::look(Nanos now) {
  for (auto at = groups_.begin(); at != groups_.end();) {
    const char* const reason = look(*at->second, now);
    if (reason != nullptr)
      at = end(at, {504, 1, "the group gives nothing"}, reason);
    else
      ++at;
  }
}

const char* Relays::look(Group& group, Nanos now) {
  const std::uint64_t packets = group.counters != nullptr ? read(group.counters->ts_packets_in) : 0;
  if (packets != std::exchange(group.packets, packets)) group.heard = now;
  if (now - group.heard >= options_->wait) {
    bump(counters_.silent);
    return "silent";
  }
  if (group.watched()) {
    group.used = now;
    impatient(group, now);
  }
  return now - group.used >= options_->hold ? "idle" : nullptr;
}

/** Those who have waited long enough although something comes. */
void Relays::impatient(Group& group, Nanos now) {
  objects::List<Waiting> late;
  while (!group.waiting.empty() && now - group.waiting.front().since >= options_->wait) {
    Waiting& viewer = group.waiting.pop_front();
    viewer.late = true;
    late.push_back(viewer);
    bump(counters_.no_picture);
  }
  if (!late.empty()) wake(late);
}

}  // namespace sluice::plane
