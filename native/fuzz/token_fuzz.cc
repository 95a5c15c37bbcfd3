// Fuzz target: bytes as what stands behind a prefix, and as a line of the access log.
#include <string>

#include "fuzz/check.h"
#include "http/log_line.h"
#include "http/token.h"

using namespace sluice;

namespace {

// The seeds are signed with another secret.
const http::TokenRule kRule{"cdn", {{"k1", "not that of the seeds"}}, true};

/** Nobody signs by chance: whatever comes is refused. */
void check_target(const std::string& path, const std::string& query) {
  const auto target = http::take_token(path, query);
  SLUICE_HOLDS(path.ends_with(target.path));
  SLUICE_HOLDS(target.query.size() <= query.size());
  SLUICE_HOLDS(("&" + target.query).find("&token=") == std::string::npos);
  const auto client = *kernel::Address::parse("192.0.2.7", 1);
  SLUICE_HOLDS(http::check_token(kRule, target, client, 1) != http::TokenFault::none);
}

/** A line ends once, at its end, and has nothing in it that a reader could take for another field. */
void check_line(const std::string& text, http::LogFormat format) {
  http::AccessRecord record{*kernel::Address::parse("192.0.2.7", 1)};
  record.method = "GET";
  record.target = record.referer = record.user_agent = text;
  std::vector<char> line(http::kMostLogLine + text.size() * 18);
  line.resize(http::format_line(format, record, {}, line));
  SLUICE_HOLDS(!line.empty() && line.back() == '\n');
  line.pop_back();
  for (const char c : line) SLUICE_HOLDS(c >= 0x20 && c < 0x7f);
  // Six fields and the request in combined, as many members as there are in JSON.
  const auto quotes = std::count(line.begin(), line.end(), '"');
  SLUICE_HOLDS(quotes == (format == http::LogFormat::json ? 48 : 6));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string text(input.body().begin(), input.body().end());
  const std::size_t mark = std::min(text.find('?'), text.size());
  check_target(text.substr(0, mark), text.substr(std::min(mark + 1, text.size())));
  check_line(text, http::LogFormat::combined);
  check_line(text, http::LogFormat::json);
  return 0;
}
