// The addon's entry: what `require` gives.
#include <napi.h>

#include "addon/capture.h"
#include "addon/control_capture_object.h"
#include "addon/plane_object.h"
#include "addon/router_object.h"
#include "addon/service.h"

namespace sluice::addon {

namespace {

template <std::size_t N>
Napi::Array names(Napi::Env env, const std::array<const char*, N>& list) {
  Napi::Array out = Napi::Array::New(env, N);
  for (std::size_t i = 0; i < N; i++) out.Set(static_cast<std::uint32_t>(i), Napi::String::New(env, list[i]));
  return out;
}

#define SLUICE_NAME(name) #name,
/** The order of the counters, for the test that compares it with daemon/plane/contract.ts. */
Napi::Object counter_names(Napi::Env env) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("stream", names(env, std::to_array<const char*>({SLUICE_STREAM_COUNTERS(SLUICE_NAME)})));
  o.Set("sender", names(env, std::to_array<const char*>({SLUICE_SENDER_COUNTERS(SLUICE_NAME)})));
  o.Set("port", names(env, std::to_array<const char*>({SLUICE_PORT_COUNTERS(SLUICE_NAME)})));
  o.Set("flow", names(env, std::to_array<const char*>({SLUICE_FLOW_COUNTERS(SLUICE_NAME)})));
  o.Set("loop", names(env, std::to_array<const char*>({SLUICE_LOOP_COUNTERS(SLUICE_NAME)})));
  o.Set("upstream", names(env, std::to_array<const char*>({SLUICE_UPSTREAM_COUNTERS(SLUICE_NAME)})));
  o.Set("input", names(env, std::to_array<const char*>({SLUICE_INPUT_COUNTERS(SLUICE_NAME)})));
  o.Set("capture", names(env, std::to_array<const char*>({SLUICE_CAPTURE_COUNTERS(SLUICE_NAME)})));
  o.Set("replay", names(env, std::to_array<const char*>({SLUICE_REPLAY_COUNTERS(SLUICE_NAME)})));
  o.Set("listener", names(env, std::to_array<const char*>({SLUICE_LISTENER_COUNTERS(SLUICE_NAME)})));
  o.Set("object", names(env, std::to_array<const char*>({SLUICE_OBJECT_COUNTERS(SLUICE_NAME)})));
  o.Set("site", names(env, std::to_array<const char*>({SLUICE_SITE_COUNTERS(SLUICE_NAME)})));
  o.Set("accessLog", names(env, std::to_array<const char*>({SLUICE_ACCESS_LOG_COUNTERS(SLUICE_NAME)})));
  o.Set("relay", names(env, std::to_array<const char*>({SLUICE_RELAY_COUNTERS(SLUICE_NAME)})));
  o.Set("fetch", names(env, std::to_array<const char*>({SLUICE_FETCH_COUNTERS(SLUICE_NAME)})));
  return o;
}
#undef SLUICE_NAME

}  // namespace

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Plane", PlaneObject::define(env));
  exports.Set("Router", RouterObject::define(env));
  exports.Set("ControlCapture", ControlCaptureObject::define(env));
  exports.Set("counterNames", counter_names(env));
  init_capture(env, exports);
  init_service(env, exports);
  return exports;
}

NODE_API_MODULE(sluice, init)

}  // namespace sluice::addon
