// An addon with one mistake of each kind that a sanitizer is to find. It is loaded as the real one is: when
// nothing is reported, the sanitizers see nothing under Node, and a clean run of the real addon says nothing.
#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

namespace {

void overflow() {
  std::vector<std::uint8_t> bytes(16);
  volatile std::uint8_t* const p = bytes.data();
  p[bytes.size()] = 1;
}

void undefined() {
  volatile int most = std::numeric_limits<int>::max();
  most = most + 1;
}

void race() {
  int shared = 0;
  std::thread other([&shared] { *static_cast<volatile int*>(&shared) = 1; });
  *static_cast<volatile int*>(&shared) = 2;
  other.join();
}

napi_value commit(napi_env env, napi_callback_info info) {
  std::size_t count = 1;
  napi_value argument = nullptr;
  char name[16] = {};
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_string_utf8(env, argument, name, sizeof name, nullptr);
  if (std::strcmp(name, "overflow") == 0) overflow();
  if (std::strcmp(name, "undefined") == 0) undefined();
  if (std::strcmp(name, "race") == 0) race();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "commit", NAPI_AUTO_LENGTH, commit, nullptr, &function);
  napi_set_named_property(env, exports, "commit", function);
  return exports;
}
