#include "plane/plane.h"

#include <algorithm>
#include <utility>

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

namespace {

/** Thousands of flows and receivers each take one. */
constexpr std::size_t kSlots = 32768;
/** A flight for which nothing has come for so long is given up; every timeout of a fetch is shorter. */
constexpr Nanos kLongestFlight = 60 * kernel::kSecond;

}  // namespace

Plane::Plane(PlaneOptions options, EventHandler on_event)
    : counters_(kSlots),
      object_slot_(*counters_.take()),
      fetch_slot_(*counters_.take()),
      access_log_slot_(*counters_.take()),
      relay_slot_(*counters_.take()),
      options_(std::move(options)),
      memory_(options_.memory),
      handler_(std::move(on_event)),
      on_event_([this](Event event) { tell(std::move(event)); }) {
  for (std::uint32_t i = 0; i < std::clamp(options_.loops, 1U, kMostLoops); i++) {
    std::function<void(Nanos)> housekeeping;
    if (i == 0) housekeeping = [this](Nanos now) { keep_house(now); };
    workers_.push_back(std::make_unique<Worker>(i, counters_, memory_, std::move(housekeeping)));
    if (i > 0) workers_.back()->routes().set_rest(0);
  }
}

Plane::~Plane() {
  close();
}

std::optional<Error> Plane::start() {
  if (auto failure = start_objects()) return failure;
  start_relays();
  return start_loops();
}

std::optional<Error> Plane::start_objects() {
  auto store = objects::Store::create(first().reactor(), options_.objects,
                                      counters_.as<objects::ObjectCounters>(object_slot_));
  if (!store.ok()) return store.error();
  store_ = std::move(store.value());
  ways_ = std::make_unique<Ways>(*store_, [this](Question question) {
    const Handle site = question.wanted.site;
    on_event_({Event::Type::object_wanted,
               site,
               nullptr,
               {},
               std::move(question.answer),
               std::move(question.wanted)});
  });
  fetchers_ = std::make_unique<Fetchers>(
      first().reactor(), *store_, options_.via, counters_.as<FetchCounters>(fetch_slot_),
      [this](UpstreamResult result) {
        if (ways_->take(result)) return;
        on_event_({Event::Type::upstream_end, 0, nullptr, {}, std::move(result), {}});
      });
  ways_->use(*fetchers_);
  sites_ = std::make_unique<Sites>(*store_, options_.via,
                                   [this](WantedObject wanted) { ways_->want(std::move(wanted)); });
  first().routes().set_sites(sites_.get());
  return std::nullopt;
}

std::optional<Error> Plane::start_loops() {
  for (std::size_t i = 0; i < workers_.size(); i++) {
    const auto cpu = i < options_.cpus.size() ? std::optional(options_.cpus[i]) : std::nullopt;
    if (auto failure = workers_[i]->start(cpu)) {
      while (i > 0) workers_[--i]->close([] {});
      return failure;
    }
  }
  open_ = true;
  return std::nullopt;
}

void Plane::close() {
  if (!std::exchange(open_, false)) return;
  places_.clear();
  receivers_.clear();
  for (const auto& worker : workers_) {
    worker->close([&] {
      if (worker->index() != 0) return;
      fetchers_.reset();
      store_.reset();
    });
  }
  access_log_.reset();
}

Result<Worker*> Plane::place(std::optional<std::uint32_t> wanted) {
  if (wanted) {
    if (*wanted < workers_.size()) return workers_[*wanted].get();
    return Error{"LOOP_UNKNOWN", "there is no loop " + std::to_string(*wanted) + ": the plane has " +
                                     std::to_string(workers_.size()) + ", counted from 0"};
  }
  std::vector<LoopLoad> loads;
  for (const auto& worker : workers_) loads.push_back(worker->load());
  return workers_[least_loaded(loads)].get();
}

const Plane::Place* Plane::find(Handle handle, Entry::Kind kind) const {
  const auto at = places_.find(handle);
  return at != places_.end() && at->second.kind == kind ? &at->second : nullptr;
}

/** What a verb has destroyed, or not made after all, gives back what it took. */
void Plane::forget(Handle handle) {
  const auto at = places_.find(handle);
  const Place& place = at->second;
  counters_.give_back(place.slot);
  for (const std::uint32_t slot : place.annexes) counters_.give_back(slot);
  memory_.give_back(place.bytes);
  if (place.kind == Entry::Kind::stream || place.kind == Entry::Kind::flow) place.worker->removed();
  places_.erase(at);
}

bool Plane::remove(Handle handle) {
  const auto at = places_.find(handle);
  if (at == places_.end()) return false;
  // What is attached goes before the stream.
  std::vector<Handle> all;
  for (const auto& [other, place] : places_)
    if (place.owner == handle) all.push_back(other);
  all.push_back(handle);
  std::vector<Handle> receivers;
  if (at->second.kind == Entry::Kind::stream)
    first().call([&] {
      relays_->forget(handle);
      relay_loops_.erase(handle);
    });
  const auto erase = [&](Worker& worker) {
    for (const Handle each : all) {
      const auto its = worker.flows().remove_flow(each);
      receivers.insert(receivers.end(), its.begin(), its.end());
      worker.erase(each);
    }
  };
  // A listener is on every loop; what is attached is where its stream is.
  if (at->second.kind == Entry::Kind::listener)
    on_each_loop(erase);
  else
    at->second.worker->call([&] { erase(*at->second.worker); });
  for (const Handle each : receivers) receivers_.erase(each);
  for (const Handle each : all) forget(each);
  return true;
}

Error Plane::table_full() const {
  return {"MEMORY_BUDGET",
          "the table of counters is full: " + std::to_string(counters_.slots()) + " entries"};
}

std::vector<std::uint32_t> Plane::loop_slots() const {
  std::vector<std::uint32_t> slots;
  for (const auto& worker : workers_) slots.push_back(worker->slot());
  return slots;
}

EndHandler Plane::end_handler(Event::Type type, Handle handle) {
  return [this, type, handle](const char* code, std::string detail) {
    on_event_({type, handle, code, std::move(detail), {}, {}});
  };
}

/** On any loop. */
void Plane::tell(Event event) {
  if (event.type == Event::Type::stream_ready)
    first().post([this, stream = event.handle] { relays_->ready(stream); });
  handler_(std::move(event));
}

/** On the first loop. */
void Plane::keep_house(Nanos now) {
  // The turn in which the plane is closed ends as any other.
  if (!store_) return;
  store_->expire_wanted(now - kLongestFlight, {504, 1, "nobody answered in time"});
  fetchers_->housekeeping(now);
  if (access_log_) access_log_->flush();
}

}  // namespace sluice::plane
