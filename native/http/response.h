// Reads HTTP/1.1 answers (RFC 9112) piece by piece.
#pragma once

#include <llhttp.h>

#include <string>
#include <string_view>
#include <vector>

#include "codec/bytes.h"

namespace sluice::http {

/** One field of an answer. */
struct Field {
  /** In lower case. */
  std::string name;
  /** Without white space around it; repeated fields joined by ", " (RFC 9110 section 5.3). */
  std::string value;
};

/** The head of a final (not 1xx) answer. */
struct ResponseHead {
  unsigned status = 0;
  std::vector<Field> fields;
  /** The value of a field by its lower-case name, or null. */
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
};

/**
 * Parser of one answer after another on one connection. Interim answers (1xx) are skipped. Header sections,
 * and trailers, of more than kMaxHead bytes are refused, as are transfer codings other than chunked and
 * conflicting lengths.
 */
class ResponseParser {
 public:
  static constexpr std::size_t kMaxHead = 64 * 1024;
  static constexpr std::size_t kMaxFields = 256;

  struct Step {
    std::size_t consumed = 0;
    /** Points into the input; empty when none. */
    codec::Bytes body;
    /** The answer is complete by its own framing. */
    bool end = false;
    bool error = false;
  };

  ResponseParser() noexcept;
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;
  ~ResponseParser() = default;

  /** Begins a new answer. */
  void reset() noexcept;
  /** Takes bytes until the next piece of body, the end of the answer, an error, or the end of `input`. Not
   * after an error. */
  Step feed(codec::Bytes input) noexcept;
  [[nodiscard]] bool head_complete() const noexcept { return head_complete_; }
  [[nodiscard]] const ResponseHead& head() const noexcept { return head_; }
  /** The body ends with the connection (RFC 9112 section 6.3, rule 8). Valid once the head is complete. */
  [[nodiscard]] bool until_close() const noexcept { return until_close_; }
  /** The server keeps the connection open. Valid at the end of the answer. */
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
  /** What was wrong, for a person. */
  [[nodiscard]] const char* reason() const noexcept { return reason_; }

 private:
  static int on_field(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_value_complete(llhttp_t* parser) noexcept;
  static int on_headers_complete(llhttp_t* parser) noexcept;
  static int on_body(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_message_complete(llhttp_t* parser) noexcept;
  static const llhttp_settings_t& settings() noexcept;
  bool interim() const noexcept { return parser_.status_code / 100 == 1; }
  int refuse(const char* reason) noexcept;
  int take_head() noexcept;
  void begin_message() noexcept;
  bool run(codec::Bytes input, Step& step) noexcept;

  llhttp_t parser_{};
  ResponseHead head_;
  Field field_;
  codec::Bytes body_;
  std::size_t head_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  bool head_complete_ = false;
  bool message_complete_ = false;
  bool until_close_ = false;
  bool keep_alive_ = false;
  const char* reason_ = "";
};

}  // namespace sluice::http
