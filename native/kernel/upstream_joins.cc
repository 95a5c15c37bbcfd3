#include "kernel/upstream_joins.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "kernel/file.h"

namespace sluice::kernel {

namespace {

/** The kernel's own where it cannot be read. */
constexpr std::size_t kGroups = 20;
constexpr std::size_t kSources4 = 10;
constexpr std::size_t kSources6 = 64;
/** As much as a request has room for; the kernel's limit may be set higher. */
constexpr std::size_t kMostSources = 128;

std::size_t setting(const std::string& name, std::size_t otherwise) {
  auto file = File::open("/proc/sys/net/" + name);
  if (!file.ok()) return otherwise;
  std::array<std::uint8_t, 16> bytes{};
  const ssize_t n = file.value().read(bytes);
  std::size_t value = 0;
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  if (n <= 0 || std::from_chars(begin, begin + n, value).ec != std::errc() || value == 0) return otherwise;
  return value;
}

std::size_t source_limit(int family) {
  const std::size_t limit =
      family == AF_INET ? setting("ipv4/igmp_max_msf", kSources4) : setting("ipv6/mld_max_msf", kSources6);
  return std::min(limit, kMostSources);
}

int level_of(int family) noexcept {
  return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

void put(const AddressBytes& from, sockaddr_storage& to) noexcept {
  to = Address::of(from, 0).storage();
}

/** MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP (RFC 3678 section 5): 0 or errno. */
int group_call(int fd, int what, unsigned interface_index, const AddressBytes& group) noexcept {
  group_req request{};
  request.gr_interface = interface_index;
  put(group, request.gr_group);
  const int level = level_of(request.gr_group.ss_family);
  return setsockopt(fd, level, what, &request, sizeof request) == 0 ? 0 : errno;
}

int join_source(int fd, unsigned interface_index, const AddressBytes& group,
                const AddressBytes& source) noexcept {
  group_source_req request{};
  request.gsr_interface = interface_index;
  put(group, request.gsr_group);
  put(source, request.gsr_source);
  const int level = level_of(request.gsr_group.ss_family);
  return setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request) == 0 ? 0 : errno;
}

/** The whole filter of a group that is joined, at once: 0 or errno. */
int set_filter(int fd, unsigned interface_index, const AddressBytes& group, bool include,
               std::span<const AddressBytes> sources) noexcept {
  alignas(group_filter) std::array<std::uint8_t, GROUP_FILTER_SIZE(kMostSources)> bytes{};
  auto* const request = reinterpret_cast<group_filter*>(bytes.data());
  request->gf_interface = interface_index;
  put(group, request->gf_group);
  request->gf_fmode = include ? MCAST_INCLUDE : MCAST_EXCLUDE;
  request->gf_numsrc = static_cast<std::uint32_t>(sources.size());
  auto* at = bytes.data() + offsetof(group_filter, gf_slist);
  for (const AddressBytes& source : sources) {
    const sockaddr_storage one = Address::of(source, 0).storage();
    std::memcpy(at, &one, sizeof one);
    at += sizeof one;
  }
  const auto size = static_cast<socklen_t>(GROUP_FILTER_SIZE(sources.size()));
  const int level = level_of(request->gf_group.ss_family);
  return setsockopt(fd, level, MCAST_MSFILTER, bytes.data(), size) == 0 ? 0 : errno;
}

/** Joins by a socket that has nothing of the group yet: 0 or errno, and then it has nothing of it. */
int join_fresh(int fd, unsigned interface_index, const AddressBytes& group, bool include,
               std::span<const AddressBytes> sources) noexcept {
  const int joined = include ? join_source(fd, interface_index, group, sources.front())
                             : group_call(fd, MCAST_JOIN_GROUP, interface_index, group);
  if (joined != 0 || sources.size() <= (include ? 1U : 0U)) return joined;
  const int filtered = set_filter(fd, interface_index, group, include, sources);
  if (filtered != 0) group_call(fd, MCAST_LEAVE_GROUP, interface_index, group);
  return filtered;
}

bool has(std::span<const AddressBytes> list, const AddressBytes& one) noexcept {
  return std::find(list.begin(), list.end(), one) != list.end();
}

}  // namespace

UpstreamJoins::UpstreamJoins(int family, DescriptorStore* keeper, std::string name, std::uint32_t table)
    : family_(family),
      keeper_(keeper),
      name_{std::move(name), family, table},
      most_groups_(family == AF_INET ? setting("ipv4/igmp_max_memberships", kGroups) : kGroups),
      most_sources_(source_limit(family)) {}

std::optional<Error> UpstreamJoins::join(unsigned interface_index, const AddressBytes& group,
                                         const SourceFilter& filter) {
  const Key key{interface_index, group};
  const auto found = joined_.find(key);
  Parts now = found == joined_.end() ? Parts{} : found->second;
  Parts next = divide(now, filter);
  std::optional<Error> error;
  // What is new comes first, what ends comes last.
  for (std::size_t i = now.size(); i < next.size() && !error; i++) error = place(key, next[i]);
  std::erase_if(next, [](const Part& p) { return p.shard == nullptr; });
  for (std::size_t i = 0; i < now.size(); i++) {
    if (!error) error = change(key, now[i], next[i]);
    if (error) next[i] = now[i];
  }
  for (const Part& part : next)
    if (part.include && part.sources.empty()) end_part(key, part);
  std::erase_if(next, [](const Part& p) { return p.include && p.sources.empty(); });
  if (next.empty())
    joined_.erase(key);
  else
    joined_[key] = std::move(next);
  return error;
}

/** Gives a socket that has one part of a group another; one that is to have nothing keeps it for now. */
std::optional<Error> UpstreamJoins::change(const Key& key, const Part& now, const Part& next) const {
  const bool same = now.include == next.include && now.sources == next.sources;
  if (same || (next.include && next.sources.empty())) return std::nullopt;
  const int refusal =
      set_filter(now.shard->fd.get(), key.interface_index, key.group, next.include, next.sources);
  return refusal == 0 ? std::nullopt : std::optional(refused(key, refusal));
}

/** What each socket of `now` is to have, in that order, and behind them what others must. */
UpstreamJoins::Parts UpstreamJoins::divide(const Parts& now, const SourceFilter& filter) const {
  if (filter.include) return divide_included(now, filter.sources);
  const auto most = std::min(filter.sources.size(), most_sources_);
  Parts next = now;
  if (next.empty()) next.emplace_back();
  for (Part& part : next) part = {part.shard, true, {}};
  next.front().include = false;
  next.front().sources.assign(filter.sources.begin(),
                              filter.sources.begin() + static_cast<std::ptrdiff_t>(most));
  return next;
}

UpstreamJoins::Parts UpstreamJoins::divide_included(const Parts& now,
                                                    std::span<const AddressBytes> sources) const {
  Parts next = now;
  std::vector<AddressBytes> rest;
  for (Part& part : next) {
    if (!part.include) part.sources.clear();
    part.include = true;
    std::erase_if(part.sources, [&](const AddressBytes& s) { return !has(sources, s); });
  }
  // A source stays with the socket that has it: on its way to another it would not be wanted for a moment.
  for (const AddressBytes& source : sources) {
    const auto holds = [&](const Part& p) { return has(p.sources, source); };
    if (std::any_of(next.begin(), next.end(), holds)) continue;
    const auto room = [this](const Part& p) { return p.sources.size() < most_sources_; };
    const auto part = std::find_if(next.begin(), next.end(), room);
    if (part == next.end())
      next.push_back({nullptr, true, {source}});
    else
      part->sources.push_back(source);
  }
  return next;
}

std::optional<Error> UpstreamJoins::place(const Key& key, Part& part) {
  if (part.include && part.sources.empty()) return std::nullopt;
  for (;;) {
    Shard* shard = shard_for(key);
    if (shard == nullptr) {
      auto opened = open_shard();
      if (!opened.ok()) return opened.error();
      shard = opened.value();
    }
    const int refusal =
        join_fresh(shard->fd.get(), key.interface_index, key.group, part.include, part.sources);
    if (refusal == 0) {
      shard->keys.insert(key);
      part.shard = shard;
      return std::nullopt;
    }
    const bool fresh = shard->keys.empty();
    if (refusal == ENOBUFS && !fresh) {
      shard->full = true;
      continue;
    }
    drop_if_empty(shard);
    return refused(key, refusal);
  }
}

UpstreamJoins::Shard* UpstreamJoins::shard_for(const Key& key) {
  for (const auto& shard : shards_)
    if (!shard->full && shard->keys.size() < most_groups_ && !shard->keys.contains(key)) return shard.get();
  return nullptr;
}

Result<UpstreamJoins::Shard*> UpstreamJoins::open_shard() {
  auto shard = std::make_unique<Shard>();
  shard->fd = Fd(::socket(family_, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!shard->fd) return system_error("joining: socket");
  name_.number = next_number_++;
  shard->name = name_.text();
  keep(*shard);
  shards_.push_back(std::move(shard));
  return shards_.back().get();
}

void UpstreamJoins::keep(Shard& shard) {
  if (keeper_ == nullptr) return;
  if (std::exchange(shard.unkept, false)) unkept_--;
  auto refused = keeper_->put(shard.name, shard.fd.get());
  if (!refused) return;
  shard.unkept = true;
  unkept_++;
  refusal_ = std::move(refused);
}

void UpstreamJoins::leave(unsigned interface_index, const AddressBytes& group) {
  join(interface_index, group, {true, {}});
  // Which of them has it is not known; those that do not, refuse.
  for (const KeptDescriptor& kept : inherited_)
    group_call(kept.fd.get(), MCAST_LEAVE_GROUP, interface_index, group);
}

void UpstreamJoins::end_part(const Key& key, const Part& part) {
  if (part.shard == nullptr) return;
  group_call(part.shard->fd.get(), MCAST_LEAVE_GROUP, key.interface_index, key.group);
  part.shard->keys.erase(key);
  part.shard->full = false;
  drop_if_empty(part.shard);
}

void UpstreamJoins::drop_if_empty(Shard* shard) {
  if (!shard->keys.empty()) return;
  if (keeper_ != nullptr) keeper_->remove(shard->name);
  if (shard->unkept) unkept_--;
  std::erase_if(shards_, [shard](const auto& one) { return one.get() == shard; });
}

bool UpstreamJoins::adopt(KeptDescriptor& kept) {
  const auto name = KeptName::parse(kept.name);
  if (!name || !name->number) return false;
  if (name->what != name_.what || name->family != family_ || name->table != name_.table) return false;
  next_number_ = std::max(next_number_, *name->number + 1);
  inherited_.push_back(std::move(kept));
  return true;
}

void UpstreamJoins::settle() {
  for (const KeptDescriptor& kept : inherited_)
    if (keeper_ != nullptr) keeper_->remove(kept.name);
  inherited_.clear();
  for (const auto& shard : shards_)
    if (shard->unkept) keep(*shard);
}

void UpstreamJoins::withdraw() {
  settle();
  for (const auto& shard : shards_)
    if (keeper_ != nullptr) keeper_->remove(shard->name);
  shards_.clear();
  unkept_ = 0;
  joined_.clear();
}

Error UpstreamJoins::refused(const Key& key, int error) const {
  const std::string what =
      "joining " + Address::of(key.group, 0).host() + " on interface " + std::to_string(key.interface_index);
  if (error == ENOBUFS) {
    return {"MEMBERSHIP_LIMIT",
            what +
                ": the kernel has no room (net.ipv4.igmp_max_memberships, igmp_max_msf, net.ipv6.mld_max_msf "
                "or net.core.optmem_max is reached)"};
  }
  errno = error;
  return system_error(what);
}

}  // namespace sluice::kernel
