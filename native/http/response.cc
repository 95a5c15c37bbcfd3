#include "http/response.h"

#include <algorithm>

namespace sluice::http {

namespace {

ResponseParser& self(llhttp_t* parser) noexcept {
  return *static_cast<ResponseParser*>(parser->data);
}

bool is_chunked(const std::string& coding) noexcept {
  constexpr std::string_view kChunked = "chunked";
  return std::equal(coding.begin(), coding.end(), kChunked.begin(), kChunked.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

}  // namespace

const std::string* ResponseHead::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
  return found == fields.end() ? nullptr : &found->value;
}

const llhttp_settings_t& ResponseParser::settings() noexcept {
  static const llhttp_settings_t table = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = on_field;
    s.on_header_value = on_value;
    s.on_header_value_complete = on_value_complete;
    s.on_headers_complete = on_headers_complete;
    s.on_body = on_body;
    s.on_message_complete = on_message_complete;
    return s;
  }();
  return table;
}

ResponseParser::ResponseParser() noexcept {
  reset();
}

void ResponseParser::reset() noexcept {
  head_bytes_ = 0;
  trailer_bytes_ = 0;
  reason_ = "";
  begin_message();
}

void ResponseParser::begin_message() noexcept {
  llhttp_init(&parser_, HTTP_RESPONSE, &settings());
  parser_.data = this;
  head_.status = 0;
  head_.fields.clear();
  field_ = {};
  head_complete_ = message_complete_ = until_close_ = keep_alive_ = false;
}

int ResponseParser::refuse(const char* reason) noexcept {
  reason_ = reason;
  return -1;
}

int ResponseParser::on_field(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  ResponseParser& p = self(parser);
  if (p.head_complete_) {
    p.trailer_bytes_ += length;
    return p.trailer_bytes_ > kMaxHead ? p.refuse("the trailer section is over 64 KiB") : 0;
  }
  for (std::size_t i = 0; i < length; i++) {
    p.field_.name.push_back(static_cast<char>(at[i] >= 'A' && at[i] <= 'Z' ? at[i] + 32 : at[i]));
  }
  return 0;
}

int ResponseParser::on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  ResponseParser& p = self(parser);
  if (p.head_complete_) return on_field(parser, at, length);
  p.field_.value.append(at, length);
  return 0;
}

int ResponseParser::on_value_complete(llhttp_t* parser) noexcept {
  ResponseParser& p = self(parser);
  if (p.head_complete_) return 0;
  std::string& value = p.field_.value;
  value.erase(value.find_last_not_of(" \t") + 1);
  auto& fields = p.head_.fields;
  const auto same =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == p.field_.name; });
  if (same == fields.end() && fields.size() == kMaxFields)
    return p.refuse("there are more than 256 different fields");
  if (same == fields.end()) {
    fields.push_back(std::move(p.field_));
  } else {
    same->value.append(", ").append(value);
  }
  p.field_ = {};
  return 0;
}

int ResponseParser::take_head() noexcept {
  head_.status = parser_.status_code;
  // RFC 9112 section 6.1: a coding that is not understood leaves the framing unknown.
  const std::string* coding = head_.find("transfer-encoding");
  if (coding != nullptr && !is_chunked(*coding)) return refuse("the transfer coding is not chunked");
  head_complete_ = true;
  // RFC 9112 section 6.3, rule 1: no body, whatever Content-Length says.
  const bool bodiless = head_.status == 204 || head_.status == 304;
  until_close_ = !bodiless && llhttp_message_needs_eof(&parser_) != 0;
  return bodiless ? 1 : 0;
}

int ResponseParser::on_headers_complete(llhttp_t* parser) noexcept {
  ResponseParser& p = self(parser);
  if (parser->status_code == 101) return p.refuse("the server switched protocols, which was not asked for");
  if (parser->status_code < 100) return p.refuse("the status is not a number of 100 to 999");
  return p.interim() ? 1 : p.take_head();
}

int ResponseParser::on_body(llhttp_t* parser, const char* at, std::size_t length) noexcept {
  self(parser).body_ = {reinterpret_cast<const std::uint8_t*>(at), length};
  return HPE_PAUSED;
}

int ResponseParser::on_message_complete(llhttp_t* parser) noexcept {
  ResponseParser& p = self(parser);
  p.message_complete_ = true;
  p.keep_alive_ = llhttp_should_keep_alive(parser) != 0;
  return HPE_PAUSED;
}

/** One pass of the parser; false when the input is used up or there is something to tell. */
bool ResponseParser::run(codec::Bytes input, Step& step) noexcept {
  const auto* begin = reinterpret_cast<const char*>(input.data());
  const bool in_head = !head_complete_;
  body_ = {};
  const llhttp_errno_t result = llhttp_execute(&parser_, begin + step.consumed, input.size() - step.consumed);
  std::size_t end = input.size();
  if (result == HPE_PAUSED) {
    end = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - begin);
    llhttp_resume(&parser_);
  } else if (result != HPE_OK) {
    step.error = true;
    if (*reason_ == '\0') reason_ = llhttp_get_error_reason(&parser_);
    return false;
  }
  if (in_head) head_bytes_ += end - step.consumed - body_.size();
  step.consumed = end;
  if (head_bytes_ > kMaxHead) {
    step.error = true;
    reason_ = "the header section is over 64 KiB";
    return false;
  }
  step.body = body_;
  if (!body_.empty() && step.consumed == input.size()) {
    // The parser stopped at the last byte of the input: without another byte, it may still find that this was
    // the end.
    if (llhttp_execute(&parser_, begin + step.consumed, 0) == HPE_PAUSED) llhttp_resume(&parser_);
  }
  step.end = message_complete_ && head_complete_;
  if (message_complete_ && !head_complete_) {
    begin_message();
    return step.consumed < input.size();
  }
  return step.body.empty() && !step.end && step.consumed < input.size();
}

ResponseParser::Step ResponseParser::feed(codec::Bytes input) noexcept {
  Step step;
  while (!input.empty() && run(input, step)) {
  }
  return step;
}

}  // namespace sluice::http
