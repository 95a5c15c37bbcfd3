// Fuzz target: bytes as HTTP requests of one connection, in one piece and in several: the same requests come
// out.
#include <string>

#include "fuzz/check.h"
#include "http/request_parser.h"

using namespace sluice;
using http::RequestParser;

namespace {

/** What a connection makes of its bytes, as text. */
class Connection {
 public:
  /** False when the connection would be closed. */
  bool take(codec::Bytes bytes) {
    while (!bytes.empty()) {
      std::size_t consumed = 0;
      const auto state = parser_.feed(bytes, consumed);
      SLUICE_HOLDS(consumed <= bytes.size());
      if (state == RequestParser::State::more) return true;
      if (state == RequestParser::State::error) {
        log_ += "error " + std::to_string(parser_.error_status()) + "\n";
        return false;
      }
      note(parser_.request());
      if (!parser_.request().keep_alive || parser_.request().has_body) return false;
      bytes = bytes.subspan(consumed);
      parser_.reset();
    }
    return true;
  }
  [[nodiscard]] const std::string& log() const noexcept { return log_; }

 private:
  void note(const http::Request& r) {
    SLUICE_HOLDS(!r.path.empty() && r.path.size() <= RequestParser::kMaxTarget);
    SLUICE_HOLDS(r.path.find_first_of("?# ") == std::string::npos);
    for (const auto* text : {&r.path, &r.query, &r.host, &r.user_agent, &r.referer, &r.via, &r.range,
                             &r.if_range, &r.if_none_match, &r.if_modified_since}) {
      // What a line of the log or a field of our own is made of must not break out of it.
      SLUICE_HOLDS(text->find_first_of("\r\n\0") == std::string::npos);
      log_ += *text + "\n";
    }
    log_ += std::to_string(static_cast<int>(r.method)) + r.method_name + std::to_string(r.http_1_1) +
            std::to_string(r.keep_alive) + std::to_string(r.has_body) + "\n";
  }

  RequestParser parser_;
  std::string log_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  // Heads near the limit may be refused or not, as the reads fall.
  if (input.body().size() > RequestParser::kMaxHead) return 0;
  Connection whole;
  Connection cut;
  whole.take(input.body());
  input.in_pieces(400, [&](codec::Bytes piece) { return cut.take(piece); });
  SLUICE_HOLDS(whole.log() == cut.log());
  return 0;
}
