// The plane as a JavaScript object: one method for every verb.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/event_queue.h"
#include "addon/plane_events.h"
#include "plane/plane.h"

namespace sluice::addon {

/** `new Plane(options, onEvents)`. Closed by close(), by the end of its environment, or when it is
 * collected. */
class PlaneObject final : public Napi::ObjectWrap<PlaneObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PlaneObject(const Napi::CallbackInfo& info);
  ~PlaneObject() override;

 private:
  using Info = Napi::CallbackInfo;
  Napi::Value add_stream(const Info& info);
  Napi::Value splice_stream(const Info& info);
  Napi::Value trust(const Info& info);
  Napi::Value open_upstream(const Info& info);
  Napi::Value request(const Info& info);
  Napi::Value add_input(const Info& info);
  Napi::Value add_sender(const Info& info);
  Napi::Value set_fec(const Info& info);
  Napi::Value add_receiver(const Info& info);
  Napi::Value add_capture(const Info& info);
  Napi::Value add_replay(const Info& info);
  Napi::Value add_port(const Info& info);
  Napi::Value remove_port(const Info& info);
  Napi::Value add_flow(const Info& info);
  Napi::Value add_flow_receivers(const Info& info);
  Napi::Value remove_flow_receivers(const Info& info);
  Napi::Value set_gates(const Info& info);
  Napi::Value flow_receivers(const Info& info);
  Napi::Value listen(const Info& info);
  Napi::Value set_certificates(const Info& info);
  Napi::Value add_site(const Info& info);
  Napi::Value set_way(const Info& info);
  Napi::Value fetch(const Info& info);
  Napi::Value put_object(const Info& info);
  Napi::Value refuse_object(const Info& info);
  Napi::Value set_relay(const Info& info);
  Napi::Value open_relay(const Info& info);
  Napi::Value refuse_relay(const Info& info);
  Napi::Value purge(const Info& info);
  Napi::Value set_limits(const Info& info);
  Napi::Value set_tokens(const Info& info);
  Napi::Value set_access_log(const Info& info);
  Napi::Value serve(const Info& info);
  Napi::Value remove(const Info& info);
  Napi::Value set_route(const Info& info);
  Napi::Value delete_route(const Info& info);
  Napi::Value viewers(const Info& info);
  Napi::Value counters(const Info& info);
  Napi::Value close(const Info& info);

  static void on_environment_end(void* self) { static_cast<PlaneObject*>(self)->shut(); }
  void shut();
  static Napi::Object to_object(Napi::Env env, kernel::Result<plane::Added> added);

  std::unique_ptr<EventQueue<plane::Event>> events_;
  std::unique_ptr<plane::Plane> plane_;
  bool hooked_ = false;
};

}  // namespace sluice::addon
