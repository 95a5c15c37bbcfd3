// Verbs of the plane for groups that viewers ask for by their addresses; who decides about them is on the
// first loop.
#include "plane/plane.h"

namespace sluice::plane {

void Plane::start_relays() {
  relays_ = std::make_unique<Relays>(
      first().reactor(), counters_.as<RelayCounters>(relay_slot_),
      [this](RelayEvent event) {
        using Type = Event::Type;
        const Type type = event.reason == nullptr ? Type::relay_wanted : Type::relay_ended;
        const Handle stream = event.stream;
        on_event_({type, stream, nullptr, {}, {}, {}, std::move(event)});
      },
      [this](Handle stream) {
        const auto at = relay_loops_.find(stream);
        if (at == relay_loops_.end() || at->second == 0) return first().routes().follow(stream);
        return http::answer_elsewhere(at->second, stream);
      });
  first().routes().set_relays(relays_.get());
}

void Plane::set_relay(std::optional<RelayOptions> options) {
  if (open_) first().call([&] { relays_->set(std::move(options)); });
}

bool Plane::open_relay(const std::string& group, Handle stream) {
  const Place* const at = find(stream, Entry::Kind::stream);
  return at != nullptr && first().call([&] {
    if (!relays_->open(group, stream, counters_.as<StreamCounters>(at->slot))) return false;
    relay_loops_.emplace(stream, at->worker->index());
    return true;
  });
}

bool Plane::refuse_relay(const std::string& group, objects::Refusal refusal) {
  return open_ && first().call([&] { return relays_->refuse(group, std::move(refusal)); });
}

}  // namespace sluice::plane
