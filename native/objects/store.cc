#include "objects/store.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel/counter.h"

namespace sluice::objects {

using kernel::Arena;
using kernel::bump;
using kernel::gauge;

namespace {

/** Address space, not memory: room for a thousand objects of unknown length beside each other. */
constexpr std::size_t kAddressSpace = std::size_t{64} << 30;
/** What an object costs beside its bytes, its fields and its name, which is there twice. */
constexpr std::size_t kOverhead = 1024;
constexpr const char* kFull = "the objects in use fill the whole store";
/** A turn of the loop is not held up for longer than this by readers that are woken. */
constexpr kernel::Nanos kWakeSlice = kernel::kMillisecond;
constexpr int kWakesBetweenLooks = 16;

std::size_t pages(std::uint64_t bytes) noexcept {
  return (static_cast<std::size_t>(bytes) + Arena::kPage - 1) / Arena::kPage * Arena::kPage;
}

}  // namespace

kernel::Result<std::unique_ptr<Store>> Store::create(kernel::Reactor& reactor, const StoreOptions& options,
                                                     ObjectCounters& counters) {
  auto arena = Arena::create(kAddressSpace);
  if (!arena.ok()) return arena.error();
  return std::unique_ptr<Store>(new Store(reactor, options, counters, std::move(arena.value())));
}

Store::Store(kernel::Reactor& reactor, const StoreOptions& options, ObjectCounters& counters, Arena arena)
    : reactor_(reactor),
      options_(options),
      counters_(counters),
      arena_(std::move(arena)),
      ranges_(arena_.size()) {
  gauge(counters_.budget_bytes, options_.budget);
}

Store::~Store() {
  for (auto& [key, name] : index_)
    if (name.current) forget(*name.current);
  // Before the members that objects give their memory back to.
  index_.clear();
}

Found Store::want(std::string_view key) {
  auto at = index_.find(key);
  if (at == index_.end()) at = index_.emplace(std::string(key), Name{}).first;
  Name& name = at->second;
  if (name.current && (name.current->phase() == Phase::growing || name.current->fresh(reactor_.now()))) {
    bump(name.current->phase() == Phase::growing ? counters_.joined : counters_.hits);
    touch(*name.current);
    return {name.current, false};
  }
  if (name.wanted) {
    bump(counters_.joined);
    return {name.wanted, false};
  }
  bump(counters_.misses);
  name.wanted = std::make_shared<Object>(*this, at->first, next_ticket_++);
  // Held, so that it is still there when the origin says that it is still good, or nothing at all.
  if (name.current) name.wanted->instead_ = name.current;
  flights_.emplace(name.wanted->ticket(), name.wanted);
  return {name.wanted, true};
}

std::shared_ptr<Object> Store::flight(std::uint64_t ticket) const {
  const auto at = flights_.find(ticket);
  return at != flights_.end() ? at->second.lock() : nullptr;
}

std::shared_ptr<Object> Store::current(std::string_view key) const {
  const auto at = index_.find(key);
  return at != index_.end() ? at->second.current : nullptr;
}

void Store::touch(Object& object) noexcept {
  if (object.place_) by_use_.splice(by_use_.end(), by_use_, *object.place_);
}

/** Out of the order of eviction. */
void Store::forget(Object& object) noexcept {
  if (!object.place_) return;
  by_use_.erase(*object.place_);
  object.place_.reset();
  gauge(counters_.objects, by_use_.size());
}

/** The flight of a wanted object has ended. */
void Store::land(const std::shared_ptr<Object>& object) {
  flights_.erase(object->ticket());
  const auto at = index_.find(object->key());
  if (at == index_.end() || at->second.wanted != object) return;
  at->second.wanted.reset();
  if (!at->second.current) index_.erase(at);
}

std::optional<kernel::Error> Store::begin(const std::shared_ptr<Object>& object, Head head,
                                          const Freshness& freshness) {
  const std::size_t largest = std::min(options_.largest, options_.budget);
  if (head.length && *head.length > largest)
    return kernel::Error{"OBJECT_TOO_LARGE", "the object has " + std::to_string(*head.length) +
                                                 " bytes, expected at most " + std::to_string(largest)};
  if (object->phase_ != Phase::wanted)
    return kernel::Error{"UPSTREAM_TIMEOUT", "the object was given up before the answer came"};
  object->head_ = std::move(head);
  if (!charge(*object, 0)) return kernel::Error{"OBJECT_STORE_FULL", kFull};
  const auto& length = object->head_.length;
  object->reserved_ = pages(length.value_or(options_.largest));
  if (object->reserved_ > 0) {
    const auto offset = ranges_.take(object->reserved_);
    if (!offset) {
      object->reserved_ = 0;
      return kernel::Error{"OBJECT_STORE_FULL", "there is no address space left for another object"};
    }
    object->offset_ = *offset;
  }
  object->instead_.reset();
  object->set_freshness(freshness, reactor_.now());
  object->phase_ = Phase::growing;
  gauge(counters_.growing, counters_.growing + 1);
  // A flight from before a purge serves those who wait for it, and nobody else.
  if (const auto at = index_.find(object->key()); at != index_.end() && at->second.wanted == object) {
    if (at->second.current) forget(*at->second.current);
    at->second.current = object;
  }
  land(object);
  // The head goes out with the first bytes, which are on their way.
  object->last_wake_ = reactor_.now();
  object->signal(false);
  return std::nullopt;
}

const char* Store::append(const std::shared_ptr<Object>& object, codec::Bytes bytes) noexcept {
  const char* const wrong = bytes.size() > object->reserved_ - object->size_ ? "OBJECT_TOO_LARGE"
                            : !charge(*object, bytes.size())                 ? "OBJECT_STORE_FULL"
                                                                             : nullptr;
  if (wrong != nullptr) {
    fail(object, {});
    return wrong;
  }
  std::memcpy(arena_.at(object->offset_ + object->size_), bytes.data(), bytes.size());
  object->size_ += bytes.size();
  bump(counters_.bytes_in, bytes.size());
  object->signal(object->size_ == bytes.size());
  return nullptr;
}

/** Makes room in the budget for so many more bytes of an object. */
bool Store::charge(Object& object, std::size_t bytes) noexcept {
  const std::size_t wanted =
      pages(object.size_ + bytes) + kOverhead + 2 * object.key_.size() + object.head_.fields.size();
  const std::size_t more = wanted - std::min(wanted, object.charged_);
  while (used_ + more > options_.budget)
    if (!evict_one()) return false;
  object.charged_ += more;
  used_ += more;
  gauge(counters_.used_bytes, used_);
  return true;
}

/** The complete object that nobody reads and that was not used for longest leaves the index. */
bool Store::evict_one() noexcept {
  for (Object* const object : by_use_) {
    const auto at = index_.find(object->key());
    // Held by a reader: evicting it would free nothing.
    if (at->second.current.use_count() > 1) continue;
    bump(counters_.evicted);
    forget(*object);
    at->second.current.reset();
    if (!at->second.wanted) index_.erase(at);
    return true;
  }
  return false;
}

void Store::complete(const std::shared_ptr<Object>& object) noexcept {
  if (object->phase_ != Phase::growing) return;
  // The origin said how much it would be: fewer is no whole object.
  if (object->head_.length && *object->head_.length != object->size_) return fail(object, {});
  object->phase_ = Phase::complete;
  gauge(counters_.growing, counters_.growing - 1);
  const std::size_t kept = pages(object->size_);
  ranges_.give_back(object->offset_ + kept, object->reserved_ - kept);
  object->reserved_ = kept;
  const auto at = index_.find(object->key());
  if (at != index_.end() && at->second.current == object) {
    object->place_ = by_use_.insert(by_use_.end(), object.get());
    gauge(counters_.objects, by_use_.size());
  }
  object->signal(true);
}

void Store::fail(const std::shared_ptr<Object>& object, Refusal refusal) {
  if (object->phase_ == Phase::wanted) {
    if (object->instead_ && object->instead_->usable_on_error(reactor_.now())) {
      bump(counters_.stale);
      return replace(object);
    }
    bump(counters_.refused);
    object->phase_ = Phase::refused;
    object->refusal_ = std::move(refusal);
    land(object);
  } else if (object->phase_ == Phase::growing) {
    bump(counters_.failed);
    object->phase_ = Phase::failed;
    gauge(counters_.growing, counters_.growing - 1);
    const auto at = index_.find(object->key());
    if (at != index_.end() && at->second.current == object) {
      at->second.current.reset();
      if (!at->second.wanted) index_.erase(at);
    }
  }
  object->signal(true);
}

void Store::replace(const std::shared_ptr<Object>& object) {
  object->phase_ = Phase::replaced;
  land(object);
  object->signal(true);
}

bool Store::revalidate(const std::shared_ptr<Object>& object, const Freshness& freshness) {
  if (object->phase_ != Phase::wanted || !object->instead_) return false;
  bump(counters_.revalidated);
  object->instead_->set_freshness(freshness, reactor_.now());
  touch(*object->instead_);
  replace(object);
  return true;
}

std::size_t Store::purge(std::string_view prefix) {
  std::size_t purged = 0;
  for (auto at = index_.begin(); at != index_.end();) {
    Name& name = at->second;
    if (!at->first.starts_with(prefix)) {
      ++at;
      continue;
    }
    if (name.current) {
      purged++;
      forget(*name.current);
    }
    at = index_.erase(at);
  }
  return purged;
}

void Store::refuse_if(const std::function<bool(const Object&)>& meant, const Refusal& refusal) {
  std::vector<std::shared_ptr<Object>> flights;
  for (const auto& [ticket, flight] : flights_)
    if (auto object = flight.lock(); object && meant(*object)) flights.push_back(std::move(object));
  for (const auto& object : flights) fail(object, refusal);
}

void Store::expire_wanted(kernel::Nanos since, const Refusal& refusal) {
  refuse_if([&](const Object& object) { return object.wanted_at() < since; }, refusal);
}

void Store::refuse_wanted(std::string_view prefix, const Refusal& refusal) {
  refuse_if([&](const Object& object) { return object.key().starts_with(prefix); }, refusal);
}

/** An object's last holder has gone. */
void Store::release(Object& object) noexcept {
  if (object.phase_ == Phase::growing) gauge(counters_.growing, counters_.growing - 1);
  // Nobody waits any more for what was purged while it was wanted.
  if (object.phase_ == Phase::wanted) flights_.erase(object.ticket());
  const std::size_t held = pages(object.size_);
  if (held > 0) arena_.discard(object.offset_, held);
  ranges_.give_back(object.offset_, object.reserved_);
  used_ -= object.charged_;
  gauge(counters_.used_bytes, used_);
}

void Store::wake(List<Reader>& readers) noexcept {
  woken_.splice(readers);
  reactor_.arm(*this, reactor_.now());
}

/** Wakes readers until the slice is used up; the others in the next turn. */
void Store::on_timer(kernel::Nanos) noexcept {
  const kernel::Nanos began = kernel::monotonic_now();
  for (int i = 1; !woken_.empty(); i++) {
    bump(counters_.wakes);
    woken_.pop_front().on_object_progress();
    if (i % kWakesBetweenLooks == 0 && kernel::monotonic_now() - began > kWakeSlice) break;
  }
  if (!woken_.empty()) reactor_.arm(*this, reactor_.now());
}

}  // namespace sluice::objects
