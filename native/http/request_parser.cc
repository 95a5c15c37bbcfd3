#include "http/request_parser.h"

#include <strings.h>

#include <algorithm>
#include <array>

namespace sluice::http {

namespace {

/** Of a value that is kept; what is longer is cut. Validators that long match nothing. */
constexpr std::size_t kMaxValue = 1024;
constexpr std::size_t kMaxUserAgent = 200;
constexpr std::size_t kMaxFieldName = 64;

}  // namespace

const llhttp_settings_t& RequestParser::settings() noexcept {
  static const llhttp_settings_t shared = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = on_url;
    s.on_header_field = on_field;
    s.on_header_field_complete = on_field_complete;
    s.on_header_value = on_value;
    s.on_header_value_complete = on_value_complete;
    s.on_headers_complete = on_headers_complete;
    s.on_message_complete = on_message_complete;
    return s;
  }();
  return shared;
}

RequestParser::RequestParser(std::size_t max_head) noexcept : max_head_(max_head) {
  reset();
}

void RequestParser::reset() noexcept {
  llhttp_init(&parser_, HTTP_REQUEST, &settings());
  parser_.data = this;
  request_ = {};
  target_.clear();
  field_.clear();
  value_ = nullptr;
  has_host_ = false;
  head_bytes_ = 0;
  error_status_ = 400;
}

void RequestParser::take(Request request, std::string target) noexcept {
  request_ = std::move(request);
  target_ = std::move(target);
}

RequestParser::State RequestParser::feed(codec::Bytes input, std::size_t& consumed) noexcept {
  const auto* const begin = reinterpret_cast<const char*>(input.data());
  head_bytes_ += input.size();
  const llhttp_errno_t code = llhttp_execute(&parser_, begin, input.size());
  consumed = input.size();
  if (code == HPE_PAUSED) {
    consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - begin);
    // One read may hold more than one head; only this one's size counts.
    head_bytes_ -= input.size() - consumed;
  } else if (code != HPE_OK) {
    return State::error;
  }
  if (head_bytes_ <= max_head_) return code == HPE_OK ? State::more : State::complete;
  error_status_ = target_.size() >= std::min(kMaxTarget, max_head_ / 2) ? 414 : 431;
  return State::error;
}

int RequestParser::fail(unsigned status) noexcept {
  error_status_ = status;
  return HPE_USER;
}

int RequestParser::on_url(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  RequestParser& p = self(parser);
  if (p.target_.size() + length > kMaxTarget) return p.fail(414);
  p.target_.append(at, length);
  return 0;
}

int RequestParser::on_field(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  RequestParser& p = self(parser);
  // One more than any name that is looked for: what is cut off does not make another name of it.
  p.field_.append(at, std::min(length, kMaxFieldName + 1 - p.field_.size()));
  return 0;
}

std::string* RequestParser::place_of(const std::string& field) noexcept {
  struct Place {
    const char* name;
    std::string Request::*value;
  };
  static constexpr std::array<Place, 8> kPlaces{{{"host", &Request::host},
                                                 {"user-agent", &Request::user_agent},
                                                 {"referer", &Request::referer},
                                                 {"via", &Request::via},
                                                 {"range", &Request::range},
                                                 {"if-range", &Request::if_range},
                                                 {"if-none-match", &Request::if_none_match},
                                                 {"if-modified-since", &Request::if_modified_since}}};
  for (const Place& place : kPlaces)
    if (strcasecmp(field.c_str(), place.name) == 0) return &(request_.*place.value);
  return nullptr;
}

int RequestParser::on_field_complete(llhttp_t* parser) noexcept {
  RequestParser& p = self(parser);
  // RFC 9110 5.1: a name is a token. llhttp lets ": value" pass, which others read as they like.
  if (p.field_.empty()) return p.fail(400);
  p.value_ = p.place_of(p.field_);
  p.field_.clear();
  if (p.value_ == &p.request_.host) {
    // RFC 9112 3.2: more than one Host field is answered with 400.
    if (p.has_host_) return p.fail(400);
    p.has_host_ = true;
  }
  if (p.value_ != nullptr && !p.value_->empty()) p.value_->append(", ");
  return 0;
}

int RequestParser::on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  RequestParser& p = self(parser);
  if (p.value_ == nullptr) return 0;
  const std::size_t most = p.value_ == &p.request_.user_agent ? kMaxUserAgent : kMaxValue;
  p.value_->append(at, std::min(most - std::min(most, p.value_->size()), length));
  return 0;
}

int RequestParser::on_value_complete(llhttp_t* parser) noexcept {
  RequestParser& p = self(parser);
  if (p.value_ != nullptr) p.value_->resize(p.value_->find_last_not_of(" \t") + 1);
  p.value_ = nullptr;
  return 0;
}

int RequestParser::on_headers_complete(llhttp_t* parser) noexcept {
  RequestParser& p = self(parser);
  const bool http_1_1 = parser->http_major == 1 && parser->http_minor == 1;
  // RFC 9112 3.2: a 1.1 request without Host is answered with 400.
  if (parser->http_major != 1 || (http_1_1 && !p.has_host_))
    return p.fail(parser->http_major != 1 ? 505 : 400);
  switch (parser->method) {
    case HTTP_GET:
      p.request_.method = Request::Method::get;
      break;
    case HTTP_HEAD:
      p.request_.method = Request::Method::head;
      break;
    case HTTP_OPTIONS:
      p.request_.method = Request::Method::options;
      break;
    default:
      p.request_.method = Request::Method::other;
  }
  p.take_target();
  p.request_.method_name = llhttp_method_name(static_cast<llhttp_method_t>(parser->method));
  p.request_.http_1_1 = http_1_1;
  p.request_.keep_alive = llhttp_should_keep_alive(parser) != 0;
  p.request_.has_body =
      parser->content_length > 0 || (parser->flags & F_CHUNKED) != 0 || parser->upgrade != 0;
  return p.request_.has_body ? HPE_PAUSED : 0;
}

int RequestParser::on_message_complete(llhttp_t*) noexcept {
  return HPE_PAUSED;
}

void RequestParser::take_target() noexcept {
  std::size_t begin = 0;
  // RFC 9110 4.2.3: the scheme is case-insensitive.
  if (strncasecmp(target_.c_str(), "http://", 7) == 0)
    begin = std::min(target_.find_first_of("/?#", 7), target_.size());
  const std::size_t end = std::min(target_.find_first_of("?#", begin), target_.size());
  request_.path = begin == end ? std::string("/") : target_.substr(begin, end - begin);
  if (end < target_.size() && target_[end] == '?')
    request_.query = target_.substr(end + 1, target_.find('#', end) - end - 1);
}

}  // namespace sluice::http
