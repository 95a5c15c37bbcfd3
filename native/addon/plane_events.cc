#include "addon/plane_events.h"

namespace sluice::addon {

namespace {

using plane::Event;

Napi::Object to_result(Napi::Env env, const plane::UpstreamResult& r) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("request", Napi::Number::New(env, static_cast<double>(r.request)));
  o.Set("code", r.code != nullptr ? Napi::Value(Napi::String::New(env, r.code)) : env.Null());
  o.Set("message", Napi::String::New(env, r.message));
  o.Set("bytes", Napi::Number::New(env, static_cast<double>(r.bytes)));
  o.Set("reused", Napi::Boolean::New(env, r.reused));
  o.Set("status", Napi::Number::New(env, r.status));
  Napi::Object fields = Napi::Object::New(env);
  for (const auto& field : r.fields) fields.Set(field.name, Napi::String::New(env, field.value));
  o.Set("headers", fields);
  o.Set("body", Napi::Buffer<std::uint8_t>::Copy(env, r.body.data(), r.body.size()));
  return o;
}

const char* name_of(Event::Type type) {
  switch (type) {
    case Event::Type::source_fault:
      return "source-fault";
    case Event::Type::stream_ready:
      return "stream-ready";
    case Event::Type::upstream_head:
      return "upstream-head";
    case Event::Type::object_wanted:
      return "object-wanted";
    case Event::Type::relay_wanted:
      return "relay-wanted";
    case Event::Type::relay_ended:
      return "relay-ended";
    case Event::Type::capture_end:
      return "capture-end";
    case Event::Type::replay_end:
      return "replay-end";
    default:
      return "upstream-end";
  }
}

void set_relay(Napi::Env env, Napi::Object& o, const Event& e) {
  const auto& [group, target, stream, reason] = e.relay;
  o.Set("group", Napi::String::New(env, group));
  if (reason != nullptr) {
    o.Set("reason", Napi::String::New(env, reason));
    return;
  }
  o.Set("address", Napi::String::New(env, target.address.host()));
  o.Set("port", Napi::Number::New(env, target.address.port()));
  o.Set("source", target.source ? Napi::Value(Napi::String::New(env, target.source->host())) : env.Null());
}

}  // namespace

Napi::Object event_value(Napi::Env env, const Event& e) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("type", Napi::String::New(env, name_of(e.type)));
  o.Set("handle", Napi::Number::New(env, static_cast<double>(e.handle)));
  if (e.type == Event::Type::source_fault) {
    o.Set("code", Napi::String::New(env, e.code));
    o.Set("detail", Napi::String::New(env, e.detail));
  }
  if (e.type == Event::Type::capture_end || e.type == Event::Type::replay_end) {
    o.Set("code", e.code != nullptr ? Napi::Value(Napi::String::New(env, e.code)) : env.Null());
    o.Set("detail", Napi::String::New(env, e.detail));
  }
  if (e.type == Event::Type::relay_wanted || e.type == Event::Type::relay_ended) set_relay(env, o, e);
  if (e.type == Event::Type::upstream_head) o.Set("status", Napi::Number::New(env, e.result.status));
  if (e.type == Event::Type::upstream_end) o.Set("result", to_result(env, e.result));
  if (e.type == Event::Type::object_wanted) {
    o.Set("ticket", Napi::Number::New(env, static_cast<double>(e.wanted.ticket)));
    o.Set("target", Napi::String::New(env, e.wanted.target));
    o.Set("etag", Napi::String::New(env, e.wanted.etag));
    o.Set("lastModified", Napi::String::New(env, e.wanted.last_modified));
    const bool answered = e.result.status != 0 || e.result.code != nullptr;
    o.Set("result", answered ? Napi::Value(to_result(env, e.result)) : env.Null());
  }
  return o;
}

}  // namespace sluice::addon
