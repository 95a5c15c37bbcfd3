// Events from the loop thread to JavaScript, in batches.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "plane/plane.h"

namespace sluice::addon {

/** One JavaScript callback that gets arrays of events; any number of events wait behind one scheduled call.
 */
class EventQueue {
 public:
  EventQueue(Napi::Env env, const Napi::Function& callback);
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;
  ~EventQueue() { release(); }

  /** From the loop thread. */
  void push(plane::Event event);
  /** No further call into JavaScript. From the JavaScript thread; idempotent. */
  void release();

 private:
  struct State {
    std::mutex mutex;
    std::vector<plane::Event> events;
    bool scheduled = false;
  };
  static void deliver(Napi::Env env, const Napi::Function& callback, State& state);

  std::shared_ptr<State> state_;
  Napi::ThreadSafeFunction function_;
  bool released_ = false;
};

}  // namespace sluice::addon
