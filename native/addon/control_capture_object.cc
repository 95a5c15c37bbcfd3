#include "addon/control_capture_object.h"

#include <cstring>

#include "addon/convert.h"

namespace sluice::addon {

namespace {

constexpr std::int64_t kMostCount = (std::int64_t{1} << 53) - 1;

Napi::Value bytes_value(Napi::Env env, codec::Bytes bytes) {
  Napi::Uint8Array out = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(out.Data(), bytes.data(), bytes.size());
  return out;
}

plane::ControlCaptureOptions options_of(Napi::Env env, const Napi::Value& value) {
  const Options o(env, value);
  plane::ControlCaptureOptions out;
  const Napi::Value names = o.get("interfaces");
  if (!names.IsArray()) throw Napi::TypeError::New(env, "interfaces: expected an array");
  const auto list = names.As<Napi::Array>();
  for (std::uint32_t i = 0; i < list.Length(); i++)
    out.interfaces.push_back(list.Get(i).ToString().Utf8Value());
  out.max_packets = o.number<std::uint64_t>("maxPackets", 0, kMostCount);
  out.max_bytes = o.number<std::uint64_t>("maxBytes", 0, kMostCount);
  out.application = o.text("application");
  return out;
}

}  // namespace

Napi::Function ControlCaptureObject::define(Napi::Env env) {
  return DefineClass(env, "ControlCapture",
                     {
                         InstanceMethod<&ControlCaptureObject::read>("read"),
                         InstanceMethod<&ControlCaptureObject::stop>("stop"),
                         InstanceMethod<&ControlCaptureObject::finish>("finish"),
                         InstanceMethod<&ControlCaptureObject::status>("status"),
                         InstanceMethod<&ControlCaptureObject::close>("close"),
                     });
}

ControlCaptureObject::ControlCaptureObject(const Info& info) : Napi::ObjectWrap<ControlCaptureObject>(info) {
  auto opened = plane::ControlCapture::open(options_of(info.Env(), info[0]));
  if (!opened.ok()) throw_error(info.Env(), opened.error());
  capture_ = std::move(opened.value());
}

Napi::Value ControlCaptureObject::read(const Info& info) {
  return bytes_value(info.Env(), capture_ ? capture_->read() : codec::Bytes());
}

Napi::Value ControlCaptureObject::stop(const Info& info) {
  if (capture_) capture_->stop();
  return info.Env().Undefined();
}

Napi::Value ControlCaptureObject::finish(const Info& info) {
  return bytes_value(info.Env(), capture_ ? capture_->finish() : codec::Bytes());
}

Napi::Value ControlCaptureObject::status(const Info& info) {
  if (capture_) {
    counters_ = capture_->counters();
    full_ = capture_->full();
  }
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("packets", static_cast<double>(counters_.packets));
  out.Set("bytes", static_cast<double>(counters_.bytes));
  out.Set("dropped", static_cast<double>(counters_.dropped));
  out.Set("full", full_);
  return out;
}

Napi::Value ControlCaptureObject::close(const Info& info) {
  status(info);
  capture_.reset();
  return info.Env().Undefined();
}

}  // namespace sluice::addon
