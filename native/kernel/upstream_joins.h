// Host side of membership: what this machine asks its upstream routers for, by the kernel's own IGMP and MLD.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernel/address.h"
#include "kernel/descriptor_store.h"
#include "kernel/fd.h"
#include "kernel/kept_name.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** Which sources of a group are wanted (RFC 3376 section 2). */
struct SourceFilter {
  /** Only these, or all but these. */
  bool include = false;
  std::span<const AddressBytes> sources;
};

/**
 * Joins by sockets that receive nothing. A socket can have so many groups (net.ipv4.igmp_max_memberships) and
 * so many sources of each (igmp_max_msf, mld_max_msf); beyond, there are more sockets, and the kernel reports
 * what all of them together want. Every change is made before it is broken: what is wanted before and after
 * is wanted in between. For one thread.
 */
class UpstreamJoins {
 public:
  /** `family`: AF_INET or AF_INET6. With `keeper`, which outlives this, every socket is kept there as a
   * KeptName of `name` and `table` with a number, before anything is joined by it. */
  explicit UpstreamJoins(int family, DescriptorStore* keeper = nullptr, std::string name = "joins",
                         std::uint32_t table = 0);
  UpstreamJoins(const UpstreamJoins&) = delete;
  UpstreamJoins& operator=(const UpstreamJoins&) = delete;
  /** Leaves, unless a keeper has the sockets. */
  ~UpstreamJoins() = default;

  /**
   * Wants these sources of a group on an interface, in the place of what was wanted before. No source that is
   * included: leaves. More sources that are excluded than one socket can have: those beyond are not excluded
   * (RFC 3376 section 3.2 makes the exclusion of two sockets what both exclude).
   * INTERFACE_UNKNOWN, MEMBERSHIP_LIMIT, SYSTEM_CALL; what was wanted before may be wanted in part then.
   */
  std::optional<Error> join(unsigned interface_index, const AddressBytes& group, const SourceFilter& filter);
  /** Also where a socket of before a restart has joined. */
  void leave(unsigned interface_index, const AddressBytes& group);
  /**
   * A socket that a keeper has held, under its name. What it has joined stays joined, until that is left or
   * settle() is called; whatever is wanted still is to be joined meanwhile, and nobody upstream notices.
   * False when it is none of `name`, this family and table, which is then the caller's to close.
   */
  bool adopt(KeptDescriptor& kept);
  /** Ends the joins of before a restart that were not made again; what the keeper had no room for takes their
   * place. */
  void settle();
  /** Ends all, also in the keeper. */
  void withdraw();

  /** Groups on interfaces that are joined here, without those of before a restart. */
  [[nodiscard]] std::size_t size() const noexcept { return joined_.size(); }
  [[nodiscard]] std::size_t sockets() const noexcept { return shards_.size() + inherited_.size(); }
  /** Sockets that the keeper did not take. */
  [[nodiscard]] std::size_t unkept() const noexcept { return unkept_; }
  /** Why it did not take the last of them. */
  [[nodiscard]] const std::optional<Error>& refusal() const noexcept { return refusal_; }

 private:
  struct Key {
    unsigned interface_index = 0;
    AddressBytes group{};
    friend bool operator<(const Key& a, const Key& b) noexcept {
      return std::tie(a.interface_index, a.group) < std::tie(b.interface_index, b.group);
    }
  };
  /** A socket, and what it has joined. */
  struct Shard {
    std::string name;
    Fd fd;
    std::set<Key> keys;
    /** The keeper did not take it. */
    bool unkept = false;
    /** The kernel gave it no more, though it may have less than the limit. */
    bool full = false;
  };
  /** What one socket has of a group. */
  struct Part {
    Shard* shard = nullptr;
    bool include = false;
    std::vector<AddressBytes> sources;
  };
  using Parts = std::vector<Part>;

  [[nodiscard]] Parts divide(const Parts& now, const SourceFilter& filter) const;
  [[nodiscard]] Parts divide_included(const Parts& now, std::span<const AddressBytes> sources) const;
  std::optional<Error> place(const Key& key, Part& part);
  [[nodiscard]] std::optional<Error> change(const Key& key, const Part& now, const Part& next) const;
  Shard* shard_for(const Key& key);
  Result<Shard*> open_shard();
  void keep(Shard& shard);
  void end_part(const Key& key, const Part& part);
  void drop_if_empty(Shard* shard);
  [[nodiscard]] Error refused(const Key& key, int error) const;

  const int family_;
  DescriptorStore* const keeper_;
  KeptName name_;
  const std::size_t most_groups_;
  const std::size_t most_sources_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<KeptDescriptor> inherited_;
  std::map<Key, Parts> joined_;
  std::uint32_t next_number_ = 0;
  std::size_t unkept_ = 0;
  std::optional<Error> refusal_;
};

}  // namespace sluice::kernel
