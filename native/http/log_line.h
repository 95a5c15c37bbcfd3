// How a line of the access log is written.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <span>
#include <string_view>

#include "kernel/address.h"
#include "kernel/reactor.h"

namespace sluice::http {

enum class LogFormat : std::uint8_t { combined, json };

/** A request and how it ended. */
struct AccessRecord {
  kernel::Address remote;
  /** Empty where no request could be read, as are the target and the protocol. */
  std::string_view method;
  /** As the client wrote it. */
  std::string_view target;
  std::string_view protocol;
  /** 499 when the client left before there was an answer. */
  unsigned status = 0;
  /** Sent behind the head. */
  std::uint64_t bytes = 0;
  std::string_view referer;
  std::string_view user_agent;
  /** From the end of the request's head to the end of the answer. */
  kernel::Nanos duration = 0;
  /** To the first byte of the answer; negative when none was sent. */
  kernel::Nanos first_byte = -1;
  /** See Answer::cache. */
  std::string_view cache;
  /** `TLSv1.3`, or empty. */
  std::string_view tls;
  /** The site or the stream that it is of. */
  std::string_view source;
};

/** Room for the longest line of a request as long as RequestParser takes them. */
constexpr std::size_t kMostLogLine = 40 * 1024;
using LogLine = std::array<char, kMostLogLine>;

/**
 * A line with its end. `combined` is that of Apache and nginx: quotes, backslashes, control bytes and all
 * above 126 are written `\xHH`. `json` is one object; bytes above 126 are taken for ISO 8859-1. Signatures of
 * tokens are `***`. What does not fit is left out. The time is the answer's end, in seconds since 1970 with
 * nanoseconds.
 */
std::size_t format_line(LogFormat format, const AccessRecord& record, const std::timespec& time,
                        std::span<char> into) noexcept;

}  // namespace sluice::http
