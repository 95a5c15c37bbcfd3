// Fuzz target: bytes as HTTP answers of one connection, in one piece and in several: the same answers come
// out.
#include <string>

#include "fuzz/check.h"
#include "http/content_range.h"
#include "http/response.h"

using namespace sluice;
using http::ResponseParser;

namespace {

/** What a client makes of its connection's bytes, as text. */
class Client {
 public:
  /** False when the connection would be closed. */
  bool take(codec::Bytes bytes) {
    while (!bytes.empty()) {
      const auto step = parser_.feed(bytes);
      SLUICE_HOLDS(step.consumed <= bytes.size());
      note_head();
      if (step.error) {
        SLUICE_HOLDS(parser_.reason()[0] != '\0');
        log_ += "\nerror";
        return false;
      }
      SLUICE_HOLDS(step.consumed > 0 || step.end);
      SLUICE_HOLDS(step.body.empty() ||
                   (step.body.data() >= bytes.data() &&
                    step.body.data() + step.body.size() <= bytes.data() + step.consumed));
      log_.append(reinterpret_cast<const char*>(step.body.data()), step.body.size());
      bytes = bytes.subspan(step.consumed);
      if (!step.end) continue;
      log_ += "\nend";
      if (!parser_.keep_alive()) return false;
      parser_.reset();
      head_noted_ = false;
    }
    return true;
  }
  [[nodiscard]] const std::string& log() const noexcept { return log_; }

 private:
  void note_head() {
    if (head_noted_ || !parser_.head_complete()) return;
    head_noted_ = true;
    const auto& head = parser_.head();
    SLUICE_HOLDS(head.status >= 200 && head.status <= 999);
    SLUICE_HOLDS(head.fields.size() <= ResponseParser::kMaxFields);
    log_ += "\n" + std::to_string(head.status) + (parser_.until_close() ? " until close" : "");
    for (const auto& field : head.fields) {
      SLUICE_HOLDS(head.find(field.name) == &field.value);
      log_ += "\n" + field.name + "=" + field.value;
    }
    log_ += "\n\n";
  }

  ResponseParser parser_;
  bool head_noted_ = false;
  std::string log_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.body().size() > ResponseParser::kMaxHead) return 0;
  Client whole;
  Client cut;
  whole.take(input.body());
  input.in_pieces(400, [&](codec::Bytes piece) { return cut.take(piece); });
  SLUICE_HOLDS(whole.log() == cut.log());
  return 0;
}
