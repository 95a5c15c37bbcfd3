#include "http/limits.h"

#include <algorithm>
#include <random>

namespace sluice::http {

using kernel::kSecond;
using kernel::Nanos;

namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/** The finaliser of SplitMix64: every bit of the input changes half of the output. */
std::uint64_t mixed(std::uint64_t x) noexcept {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

unsigned seconds_up(Nanos time) noexcept {
  return static_cast<unsigned>((time + kSecond - 1) / kSecond);
}

}  // namespace

Nanos Pace::take(Nanos now, std::uint32_t a_second, std::uint32_t burst) noexcept {
  const Nanos each = kSecond / a_second;
  const Nanos full_at = std::max(full_at_, now);
  const Nanos wait = full_at - now - each * (std::max(burst, 1U) - 1);
  if (wait > 0) return wait;
  full_at_ = full_at + each;
  return 0;
}

std::size_t ClientLimits::Hash::operator()(const ClientKey& key) const noexcept {
  return mixed(mixed(key.network ^ seed) ^ key.ipv4);
}

ClientLimits::ClientLimits(ClientLimitOptions options, std::size_t most)
    : options_(std::move(options)), most_(most), shared_(1), index_(0, Hash{random_seed()}) {}

void ClientLimits::set(ClientLimitOptions options) noexcept {
  const std::lock_guard lock(mutex_);
  options_ = std::move(options);
}

bool ClientLimits::exempt(const kernel::Address& address) const noexcept {
  return std::any_of(options_.exempt.begin(), options_.exempt.end(),
                     [&](const kernel::AddressPrefix& prefix) { return prefix.contains(address); });
}

std::optional<ClientLimits::Place> ClientLimits::enter(const kernel::Address& address, Nanos now) {
  const std::lock_guard lock(mutex_);
  if (exempt(address)) return Place();
  const auto client = find_or_add(client_key(address), now);
  if (options_.connections != 0 && client->connections >= options_.connections) return std::nullopt;
  if (client->connections++ == 0 && client != shared_.begin()) busy_.splice(busy_.end(), resting_, client);
  return Place(*this, client);
}

ClientLimits::Clients::iterator ClientLimits::find_or_add(const ClientKey& key, Nanos now) {
  const auto known = index_.find(key);
  if (known != index_.end()) return known->second;
  if (!make_room(now)) return shared_.begin();
  const auto client = resting_.insert(resting_.end(), Client{key, 0, {}});
  index_.emplace(key, client);
  return client;
}

/** False when the table is full of clients that are connected or in debt. */
bool ClientLimits::make_room(Nanos now) {
  if (index_.size() < most_) return true;
  if (resting_.empty() || !resting_.front().pace.full(now)) return false;
  index_.erase(resting_.front().key);
  resting_.pop_front();
  return true;
}

void ClientLimits::leave(Clients::iterator client) noexcept {
  const std::lock_guard lock(mutex_);
  if (--client->connections == 0 && client != shared_.begin()) resting_.splice(resting_.end(), busy_, client);
}

ClientLimits::Verdict ClientLimits::ask(const Place& place, Nanos now) noexcept {
  if (place.limits_ == nullptr) return {};
  const std::lock_guard lock(mutex_);
  if (options_.requests != 0) {
    const Nanos wait = place.client_->pace.take(now, options_.requests, options_.burst);
    if (wait > 0) return {Verdict::Kind::client, seconds_up(wait)};
  }
  if (options_.all_requests != 0) {
    const Nanos wait = all_.take(now, options_.all_requests, options_.all_requests);
    if (wait > 0) return {Verdict::Kind::all, seconds_up(wait)};
  }
  return {};
}

}  // namespace sluice::http
