// Rows of the multicast router as JavaScript values: what their kinds share.
#pragma once

#include "addon/router_rows.h"

namespace sluice::addon {

/** Sets the members of an object. */
class RowWriter {
 public:
  explicit RowWriter(Napi::Env env) : env_(env), object_(Napi::Object::New(env)) {}
  RowWriter& number(const char* key, double value) { return set(key, Napi::Number::New(env_, value)); }
  template <class T>
  RowWriter& number(const char* key, T value) {
    return number(key, static_cast<double>(value));
  }
  /** In milliseconds; null for what never comes. */
  RowWriter& time(const char* key, kernel::Nanos value) {
    if (value == membership::kNever) return set(key, env_.Null());
    return number(key, static_cast<double>(value) / static_cast<double>(kernel::kMillisecond));
  }
  RowWriter& text(const char* key, const std::string& value) {
    return set(key, Napi::String::New(env_, value));
  }
  RowWriter& flag(const char* key, bool value) { return set(key, Napi::Boolean::New(env_, value)); }
  RowWriter& address(const char* key, const codec::IpAddress& value) {
    return set(key, address_value(env_, value));
  }
  RowWriter& null(const char* key) { return set(key, env_.Null()); }
  RowWriter& set(const char* key, const Napi::Value& value) {
    object_.Set(key, value);
    return *this;
  }
  template <class List, class Each>
  RowWriter& list(const char* key, const List& list, Each&& each) {
    Napi::Array out = Napi::Array::New(env_, list.size());
    std::uint32_t at = 0;
    for (const auto& one : list) out.Set(at++, each(one));
    return set(key, out);
  }
  RowWriter& addresses(const char* key, const std::vector<codec::IpAddress>& value) {
    return list(key, value, [&](const codec::IpAddress& one) { return address_value(env_, one); });
  }
  RowWriter& texts(const char* key, const std::vector<std::string>& value) {
    return list(key, value, [&](const std::string& one) { return Napi::String::New(env_, one); });
  }
  [[nodiscard]] Napi::Object object() const { return object_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

/** Names of the interfaces in a set. */
std::vector<std::string> names_of(const plane::MulticastRouter& router, kernel::VifSet set);

}  // namespace sluice::addon
