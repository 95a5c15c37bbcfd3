// Errors without exceptions: what a verb gives back when it could not be done.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace sluice::kernel {

/** A failure: `code` is one of the stable codes of daemon/base/errors.ts, `message` one sentence without the
 * code. */
struct Error {
  const char* code = "SYSTEM_CALL";
  std::string message;
};

/** The error of a system call that just failed, from errno. */
inline Error system_error(const std::string& what) {
  const int e = errno;
  const char* code = e == EADDRINUSE ? "ADDRESS_IN_USE" : (e == ENODEV ? "INTERFACE_UNKNOWN" : "SYSTEM_CALL");
  return {code, what + ": " + std::strerror(e)};
}

/** A value or the reason why there is none. */
template <class T>
class Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  [[nodiscard]] T& value() noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] Error& error() noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace sluice::kernel
