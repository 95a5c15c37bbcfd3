#include "http/request.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::http {

namespace {

constexpr std::size_t kMaxRequestHead = 16 * 1024;
constexpr std::array<std::string_view, 5> kOwnFields{"host", "connection", "content-length",
                                                     "transfer-encoding", "upgrade"};

bool is_token(const std::string& text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

/** Visible ASCII without spaces: what a target or a Host value consists of. */
bool is_visible(const std::string& text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

/** A field value: no control characters except tab (RFC 9110 section 5.5). */
bool is_value(const std::string& text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u == '\t' || (u >= 0x20 && u != 0x7f);
  });
}

bool is_own(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return std::find(kOwnFields.begin(), kOwnFields.end(), name) != kOwnFields.end();
}

kernel::Error refused(const std::string& what) {
  return {"UPSTREAM_HTTP", what};
}

}  // namespace

kernel::Result<std::string> make_get_head(const std::string& host, const std::string& target,
                                          const std::vector<std::pair<std::string, std::string>>& fields) {
  if (!is_visible(target) || target.front() != '/') {
    return refused("the request target must begin with / and have neither spaces nor control characters");
  }
  if (!is_visible(host)) return refused("the Host value must have neither spaces nor control characters");
  std::string head = "GET " + target + " HTTP/1.1\r\nhost: " + host + "\r\n";
  for (const auto& [name, value] : fields) {
    if (!is_token(name))
      return refused("a request field has a name that is not a token (RFC 9110 section 5.6.2)");
    if (is_own(name)) return refused("the request field " + name + " is set by Sluice itself");
    if (!is_value(value)) return refused("the request field " + name + " has control characters");
    head.append(name).append(": ").append(value).append("\r\n");
  }
  head += "\r\n";
  if (head.size() > kMaxRequestHead) return refused("the request head is over 16 KiB");
  return head;
}

}  // namespace sluice::http
