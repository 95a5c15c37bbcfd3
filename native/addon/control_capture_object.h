// A capture of control messages as a JavaScript object. Everything runs on the JavaScript thread, and nothing
// waits.
#pragma once

#include <napi.h>

#include <memory>

#include "plane/control_capture.h"

namespace sluice::addon {

/** `new ControlCapture(options)`: RawControlCapture of daemon/plane/addon.ts. Its sockets are open until
 * close(), or until it is collected. */
class ControlCaptureObject final : public Napi::ObjectWrap<ControlCaptureObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /** Throws what ControlCapture::open() says. */
  explicit ControlCaptureObject(const Napi::CallbackInfo& info);

 private:
  using Info = Napi::CallbackInfo;
  Napi::Value read(const Info& info);
  Napi::Value stop(const Info& info);
  Napi::Value finish(const Info& info);
  Napi::Value status(const Info& info);
  Napi::Value close(const Info& info);

  /** Null when it is closed. */
  std::unique_ptr<plane::ControlCapture> capture_;
  plane::ControlCaptureCounters counters_;
  bool full_ = false;
};

}  // namespace sluice::addon
