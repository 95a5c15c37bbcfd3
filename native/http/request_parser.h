// Reads HTTP/1.1 requests (RFC 9112) piece by piece.
#pragma once

#include <llhttp.h>

#include <string>

#include "codec/bytes.h"

namespace sluice::http {

/** What of a request matters to an answer. */
struct Request {
  enum class Method : std::uint8_t { get, head, options, other };
  Method method = Method::other;
  /** Path of the target without query; of an absolute-form target (RFC 9112 3.2.2) the path alone. */
  std::string path;
  /** What stands behind the `?`, without it. */
  std::string query;
  /** Field values, trimmed; repeated fields joined by ", "; empty where there is none. */
  std::string host;
  std::string user_agent;
  std::string referer;
  std::string via;
  std::string range;
  std::string if_range;
  std::string if_none_match;
  std::string if_modified_since;
  /** The method as it was written, for the log; of an unknown one what llhttp calls it. */
  const char* method_name = "";
  bool http_1_1 = false;
  bool keep_alive = false;
  /** A body follows. It is not read: the connection is closed after the answer. */
  bool has_body = false;
};

/** Parser of one request after another on one connection; heads are bounded, to `max_head` bytes. */
class RequestParser {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;
  static constexpr std::size_t kMaxTarget = 4 * 1024;

  enum class State : std::uint8_t { more, complete, error };

  explicit RequestParser(std::size_t max_head = kMaxHead) noexcept;
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /** Begins a new request. */
  void reset() noexcept;
  /** Instead of feed(): a request that another parser has read. */
  void take(Request request, std::string target) noexcept;
  /** Takes bytes up to the end of one request's head; `consumed` tells how many. Not after complete or error.
   */
  State feed(codec::Bytes input, std::size_t& consumed) noexcept;
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /** The target as it was written, as far as it has come. */
  [[nodiscard]] const std::string& target() const noexcept { return target_; }
  /** The status to answer an error with (400, 414, 431). */
  [[nodiscard]] unsigned error_status() const noexcept { return error_status_; }
  /** Whether any byte of a request has come since reset(). */
  [[nodiscard]] bool begun() const noexcept { return head_bytes_ > 0; }

 private:
  static const llhttp_settings_t& settings() noexcept;
  static RequestParser& self(llhttp_t* parser) noexcept { return *static_cast<RequestParser*>(parser->data); }
  static int on_url(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_field(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_field_complete(llhttp_t* parser) noexcept;
  static int on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept;
  static int on_value_complete(llhttp_t* parser) noexcept;
  static int on_headers_complete(llhttp_t* parser) noexcept;
  static int on_message_complete(llhttp_t* parser) noexcept;
  int fail(unsigned status) noexcept;
  void take_target() noexcept;
  /** Where the value of a field goes, or null where it does not matter. */
  std::string* place_of(const std::string& field) noexcept;

  const std::size_t max_head_;
  llhttp_t parser_{};
  Request request_;
  std::string target_;
  std::string field_;
  std::string* value_ = nullptr;
  bool has_host_ = false;
  std::size_t head_bytes_ = 0;
  unsigned error_status_ = 400;
};

}  // namespace sluice::http
