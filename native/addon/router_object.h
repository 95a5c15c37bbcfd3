// The multicast router as a JavaScript object: one method for every verb.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/event_queue.h"
#include "addon/router_rows.h"
#include "plane/router.h"

namespace sluice::addon {

/** `new Router(options, onEvents)`. Closed by close(), by the end of its environment, or when it is
 * collected. */
class RouterObject final : public Napi::ObjectWrap<RouterObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RouterObject(const Napi::CallbackInfo& info);
  ~RouterObject() override;

 private:
  using Info = Napi::CallbackInfo;
  Napi::Value add_interface(const Info& info);
  Napi::Value set_interface(const Info& info);
  Napi::Value remove_interface(const Info& info);
  Napi::Value set_admission(const Info& info);
  Napi::Value set_static(const Info& info);
  Napi::Value authorise(const Info& info);
  Napi::Value revoke(const Info& info);
  Napi::Value keep(const Info& info);
  Napi::Value interfaces(const Info& info);
  Napi::Value groups(const Info& info);
  Napi::Value refusals(const Info& info);
  Napi::Value routes(const Info& info);
  Napi::Value neighbours(const Info& info);
  Napi::Value trees(const Info& info);
  Napi::Value kept(const Info& info);
  Napi::Value rps(const Info& info);
  Napi::Value status(const Info& info);
  Napi::Value rpf(const Info& info);
  Napi::Value lost_events(const Info& info);
  Napi::Value withdraw(const Info& info);
  Napi::Value close(const Info& info);

  static void on_environment_end(void* self) { static_cast<RouterObject*>(self)->shut(); }
  void shut();
  /** Runs `f` with the router of the family that the first argument names, 4 or 6. */
  template <class F>
  bool with(const Info& info, F&& f);

  std::unique_ptr<EventQueue<plane::RouterEvent>> events_;
  std::unique_ptr<plane::Router> router_;
  bool hooked_ = false;
};

}  // namespace sluice::addon
