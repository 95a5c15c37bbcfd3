// Events from a loop thread to JavaScript, in batches.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::addon {

/**
 * One JavaScript callback that gets arrays of events; any number of events wait behind one scheduled call.
 * Each is made a JavaScript value on the JavaScript thread.
 */
template <class Event>
class EventQueue {
 public:
  using Make = Napi::Object (*)(Napi::Env env, const Event& event);

  EventQueue(Napi::Env env, const Napi::Function& callback, Make make)
      : make_(make),
        state_(std::make_shared<State>()),
        function_(Napi::ThreadSafeFunction::New(env, callback, "sluice-events", 0, 1)) {}
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;
  ~EventQueue() { release(); }

  /** From a loop thread. */
  void push(Event event) {
    {
      const std::lock_guard lock(state_->mutex);
      state_->events.push_back(std::move(event));
      if (std::exchange(state_->scheduled, true)) return;
    }
    // The call may run after this queue has gone, so it holds the state.
    function_.NonBlockingCall([state = state_, make = make_](Napi::Env env, const Napi::Function& callback) {
      deliver(env, callback, *state, make);
    });
  }
  /** No further call into JavaScript. From the JavaScript thread; idempotent. */
  void release() {
    if (!std::exchange(released_, true)) function_.Release();
  }

 private:
  struct State {
    std::mutex mutex;
    std::vector<Event> events;
    bool scheduled = false;
  };
  static void deliver(Napi::Env env, const Napi::Function& callback, State& state, Make make) {
    std::vector<Event> events;
    {
      const std::lock_guard lock(state.mutex);
      events.swap(state.events);
      state.scheduled = false;
    }
    Napi::Array batch = Napi::Array::New(env, events.size());
    for (std::size_t i = 0; i < events.size(); i++)
      batch.Set(static_cast<std::uint32_t>(i), make(env, events[i]));
    callback.Call({batch});
  }

  const Make make_;
  std::shared_ptr<State> state_;
  Napi::ThreadSafeFunction function_;
  bool released_ = false;
};

}  // namespace sluice::addon
