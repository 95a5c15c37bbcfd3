// Between JavaScript values and plain structs. TypeScript has validated what comes here; a value of another
// type is answered with a TypeError all the same.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "plane/plane.h"

namespace sluice::addon {

/** Throws an Error whose `code` is the stable code. */
[[noreturn]] inline void throw_error(Napi::Env env, const kernel::Error& error) {
  Napi::Error e = Napi::Error::New(env, error.message);
  e.Set("code", Napi::String::New(env, error.code));
  throw e;
}

/** Reads the members of an options object. */
class Options {
 public:
  Options(const Napi::Env& env, const Napi::Value& value) : env_(env) {
    if (!value.IsObject()) throw Napi::TypeError::New(env, "expected an object");
    object_ = value.As<Napi::Object>();
  }
  [[nodiscard]] std::string text(const char* key) const {
    const Napi::Value v = object_.Get(key);
    if (!v.IsString()) wrong(key, "a string");
    return v.As<Napi::String>().Utf8Value();
  }
  [[nodiscard]] std::string text_or_empty(const char* key) const {
    return object_.Get(key).IsNull() ? std::string() : text(key);
  }
  [[nodiscard]] std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const {
    const Napi::Value v = object_.Get(key);
    if (!v.IsNumber()) wrong(key, "a number");
    const std::int64_t n = v.As<Napi::Number>().Int64Value();
    if (n < least || n > most)
      wrong(key, "a number from " + std::to_string(least) + " to " + std::to_string(most));
    return n;
  }
  template <class T>
  [[nodiscard]] T number(const char* key, std::int64_t least, std::int64_t most) const {
    return static_cast<T>(integer(key, least, most));
  }
  [[nodiscard]] kernel::Nanos milliseconds(const char* key) const {
    return integer(key, 0, 86'400'000) * kernel::kMillisecond;
  }
  [[nodiscard]] bool flag(const char* key) const {
    const Napi::Value v = object_.Get(key);
    if (!v.IsBoolean()) wrong(key, "a boolean");
    return v.As<Napi::Boolean>().Value();
  }
  [[nodiscard]] bool is_null(const char* key) const { return object_.Get(key).IsNull(); }
  [[nodiscard]] Napi::Env env() const noexcept { return env_; }
  [[nodiscard]] Napi::Value get(const char* key) const { return object_.Get(key); }

 private:
  [[noreturn]] void wrong(const char* key, const std::string& expected) const {
    throw Napi::TypeError::New(env_, std::string(key) + ": expected " + expected);
  }
  Napi::Env env_;
  Napi::Object object_;
};

inline plane::Handle handle_of(const Napi::Value& value) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), "expected a handle");
  return static_cast<plane::Handle>(value.As<Napi::Number>().Int64Value());
}

inline kernel::Address address_of(Napi::Env env, const Options& o, const char* address_key = "address",
                                  const char* port_key = "port") {
  const std::string text = o.text(address_key);
  const auto address = kernel::Address::parse(text, o.number<std::uint16_t>(port_key, 0, 65535));
  if (!address) throw_error(env, {"ADDRESS_INVALID", "`" + text + "` is not a numeric IPv4 or IPv6 address"});
  return *address;
}

inline plane::Batching batching_of(const std::string& name) {
  if (name == "segment") return plane::Batching::segment;
  if (name == "sendmmsg") return plane::Batching::many;
  return name == "plain" ? plane::Batching::plain : plane::Batching::automatic;
}

inline codec::Numbering numbering_of(const std::string& name) {
  if (name == "rtp-extension") return codec::Numbering::extension;
  if (name == "ip-option") return codec::Numbering::option;
  return name == "field" ? codec::Numbering::field : codec::Numbering::rtp;
}

}  // namespace sluice::addon
