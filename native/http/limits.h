// What one client may ask for, and all together.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "http/client_key.h"
#include "kernel/reactor.h"

namespace sluice::http {

/** 0 means "no limit" everywhere. */
struct ClientLimitOptions {
  /** Connections of one client. */
  std::uint32_t connections = 0;
  /** Requests a second of one client, over time. */
  std::uint32_t requests = 0;
  /** Requests of one client that may come at once; at least 1. */
  std::uint32_t burst = 1;
  /** Requests a second of all clients, a second's worth at once. */
  std::uint32_t all_requests = 0;
  /** Clients for whom none of this holds. */
  std::vector<kernel::AddressPrefix> exempt;
};

/** A token bucket, kept as the time at which it is full again (the generic cell rate algorithm). */
class Pace {
 public:
  /** Takes one, and gives 0; or takes none, and gives the time after which there is one. */
  kernel::Nanos take(kernel::Nanos now, std::uint32_t a_second, std::uint32_t burst) noexcept;
  [[nodiscard]] bool full(kernel::Nanos now) const noexcept { return full_at_ <= now; }

 private:
  kernel::Nanos full_at_ = 0;
};

/**
 * Counts by client: an IPv4 address, or a /64. The table is bounded; whoever has no connection and a full
 * bucket gives way. When nobody does, all who come new are counted as one client. Any thread.
 */
class ClientLimits {
  struct Client {
    ClientKey key;
    std::uint32_t connections = 0;
    Pace pace;
  };
  using Clients = std::list<Client>;

 public:
  static constexpr std::size_t kMostClients = 65536;

  /** One connection of a client, for as long as it lives; the limits outlive it. */
  class Place {
   public:
    Place() noexcept = default;
    Place(Place&& other) noexcept : limits_(std::exchange(other.limits_, nullptr)), client_(other.client_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(limits_, other.limits_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Place() {
      if (limits_ != nullptr) limits_->leave(client_);
    }

   private:
    friend class ClientLimits;
    Place(ClientLimits& limits, Clients::iterator client) noexcept : limits_(&limits), client_(client) {}
    /** Null for one without limits. */
    ClientLimits* limits_ = nullptr;
    Clients::iterator client_;
  };

  struct Verdict {
    enum class Kind : std::uint8_t { allowed, client, all };
    Kind kind = Kind::allowed;
    /** Whole seconds, at least 1, after which a refused request may come again. */
    unsigned retry_after = 0;
  };

  explicit ClientLimits(ClientLimitOptions options, std::size_t most = kMostClients);
  ClientLimits(const ClientLimits&) = delete;
  ClientLimits& operator=(const ClientLimits&) = delete;

  /** From now on; connections that are there stay, and who was exempt stays so. */
  void set(ClientLimitOptions options) noexcept;
  /** A connection more; none when the client has as many as it may. */
  std::optional<Place> enter(const kernel::Address& address, kernel::Nanos now);
  /** A request more. Takes nothing from the heap. */
  Verdict ask(const Place& place, kernel::Nanos now) noexcept;
  [[nodiscard]] std::size_t clients() const noexcept {
    const std::lock_guard lock(mutex_);
    return index_.size();
  }

 private:
  /** Whoever chooses addresses cannot choose who shares a bucket of the table. */
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(const ClientKey& key) const noexcept;
  };

  [[nodiscard]] bool exempt(const kernel::Address& address) const noexcept;
  Clients::iterator find_or_add(const ClientKey& key, kernel::Nanos now);
  bool make_room(kernel::Nanos now);
  void leave(Clients::iterator client) noexcept;

  mutable std::mutex mutex_;
  ClientLimitOptions options_;
  const std::size_t most_;
  /** Those with connections; those without, who has been so for longest first; and all who found no room. */
  Clients busy_;
  Clients resting_;
  Clients shared_;
  std::unordered_map<ClientKey, Clients::iterator, Hash> index_;
  Pace all_;
};

}  // namespace sluice::http
