#include "addon/service.h"

#include <vector>

#include "addon/convert.h"
#include "plane/service.h"

namespace sluice::addon {

namespace {

int descriptor_of(const Napi::Value& value) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), "expected a file descriptor");
  return value.As<Napi::Number>().Int32Value();
}

Napi::Value notify_service(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsString() || !info[2].IsArray())
    throw Napi::TypeError::New(env, "expected (socket, state, descriptors)");
  const auto list = info[2].As<Napi::Array>();
  std::vector<int> descriptors;
  for (std::uint32_t i = 0; i < list.Length(); i++) descriptors.push_back(descriptor_of(list.Get(i)));
  const auto error = plane::notify(info[0].As<Napi::String>().Utf8Value(),
                                   info[1].As<Napi::String>().Utf8Value(), descriptors);
  if (error) throw_error(env, *error);
  return env.Undefined();
}

Napi::Value inherit_listener(const Napi::CallbackInfo& info) {
  const auto where = plane::inherit_listener(descriptor_of(info[0]));
  return where ? Napi::Value(Napi::String::New(info.Env(), where->text())) : info.Env().Null();
}

Napi::Value drop_inherited(const Napi::CallbackInfo& info) {
  plane::drop_inherited(descriptor_of(info[0]));
  return info.Env().Undefined();
}

Napi::Value udp_offload(const Napi::CallbackInfo& info) {
  const auto found = plane::udp_offload();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("segmentation", Napi::Boolean::New(info.Env(), found.segmentation));
  o.Set("coalescing", Napi::Boolean::New(info.Env(), found.coalescing));
  return o;
}

}  // namespace

void init_service(Napi::Env env, Napi::Object exports) {
  exports.Set("notifyService", Napi::Function::New<notify_service>(env, "notifyService"));
  exports.Set("inheritListener", Napi::Function::New<inherit_listener>(env, "inheritListener"));
  exports.Set("dropInherited", Napi::Function::New<drop_inherited>(env, "dropInherited"));
  exports.Set("udpOffload", Napi::Function::New<udp_offload>(env, "udpOffload"));
}

}  // namespace sluice::addon
