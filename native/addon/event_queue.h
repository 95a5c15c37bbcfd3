// Events from a loop thread to JavaScript, in batches.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "plane/event_buffer.h"

namespace sluice::addon {

/**
 * One JavaScript callback that gets arrays of events; while JavaScript is busy they wait behind one scheduled
 * call. Each is made a JavaScript value on the JavaScript thread.
 */
template <class Event>
class EventQueue {
 public:
  using Make = Napi::Object (*)(Napi::Env env, const Event& event);

  EventQueue(Napi::Env env, const Napi::Function& callback, Make make)
      : make_(make),
        buffer_(std::make_shared<Buffer>()),
        function_(Napi::ThreadSafeFunction::New(env, callback, "sluice-events", 0, 1)) {}
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;
  ~EventQueue() { release(); }

  /** From a loop thread. `may_be_lost`: it is when too many wait (plane::EventBuffer). */
  void push(Event event, bool may_be_lost = false) {
    if (!buffer_->push(std::move(event), may_be_lost)) return;
    // The call may run after this queue has gone, so it holds the events.
    function_.NonBlockingCall(
        [buffer = buffer_, make = make_](Napi::Env env, const Napi::Function& callback) {
          deliver(env, callback, *buffer, make);
        });
  }
  [[nodiscard]] std::uint64_t lost() const noexcept { return buffer_->lost(); }
  /** No further call into JavaScript. From the JavaScript thread; idempotent. */
  void release() {
    if (!std::exchange(released_, true)) function_.Release();
  }

 private:
  using Buffer = plane::EventBuffer<Event>;
  static void deliver(Napi::Env env, const Napi::Function& callback, Buffer& buffer, Make make) {
    const std::vector<Event> events = buffer.take();
    Napi::Array batch = Napi::Array::New(env, events.size());
    for (std::size_t i = 0; i < events.size(); i++)
      batch.Set(static_cast<std::uint32_t>(i), make(env, events[i]));
    callback.Call({batch});
  }

  const Make make_;
  const std::shared_ptr<Buffer> buffer_;
  Napi::ThreadSafeFunction function_;
  bool released_ = false;
};

}  // namespace sluice::addon
