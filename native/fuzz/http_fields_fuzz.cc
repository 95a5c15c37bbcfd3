// Fuzz target: bytes as the value of a Content-Range and of a Content-Encoding field.
#include <cctype>
#include <string>

#include "fuzz/check.h"
#include "http/content_range.h"
#include "http/inflate.h"

using namespace sluice;

namespace {

/** `bytes 007-` as from_chars reads it. */
void check_range(const std::string& text) {
  const auto begin = http::range_begin(text);
  if (!begin) return;
  const auto dash = text.find('-');
  SLUICE_HOLDS(text.rfind("bytes ", 0) == 0 && dash != std::string::npos && dash > 6);
  const auto digits = text.substr(6, dash - 6);
  const auto first = digits.find_first_not_of('0');
  SLUICE_HOLDS((first == std::string::npos ? "0" : digits.substr(first)) == std::to_string(*begin));
}

void check_coding(const std::string& text) {
  std::string other = text;
  for (char& c : other) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  SLUICE_HOLDS(http::content_coding(text) == http::content_coding(" \t" + other + "\t "));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check_range(text);
  check_coding(text);
  return 0;
}
