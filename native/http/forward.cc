#include "http/forward.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::http {

namespace {

constexpr std::array<std::string_view, 20> kKept{"connection",
                                                 "keep-alive",
                                                 "proxy-connection",
                                                 "proxy-authenticate",
                                                 "te",
                                                 "trailer",
                                                 "transfer-encoding",
                                                 "upgrade",
                                                 "content-length",
                                                 "content-range",
                                                 "accept-ranges",
                                                 "date",
                                                 "server",
                                                 "age",
                                                 "via",
                                                 "set-cookie",
                                                 "alt-svc",
                                                 "strict-transport-security",
                                                 "content-encoding",
                                                 "access-control-allow-origin"};

/** Whether a list of tokens (RFC 9110 section 5.6.1) has a name, which is in lower case. */
bool lists(const std::string* field, const std::string& name) noexcept {
  std::string_view rest = field != nullptr ? std::string_view(*field) : std::string_view{};
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string_view token = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    token.remove_prefix(std::min(token.find_first_not_of(" \t"), token.size()));
    token = token.substr(0, token.find_last_not_of(" \t") + 1);
    if (token.size() == name.size() && strncasecmp(token.data(), name.data(), name.size()) == 0) return true;
  }
  return false;
}

}  // namespace

std::string forwarded_fields(const ResponseHead& head, const std::string& via) {
  const std::string* const connection = head.find("connection");
  std::string lines;
  for (const Field& field : head.fields) {
    if (std::find(kKept.begin(), kKept.end(), field.name) != kKept.end() || lists(connection, field.name))
      continue;
    lines.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  const std::string* const before = head.find("via");
  lines.append("via: ");
  if (before != nullptr) lines.append(*before).append(", ");
  return lines.append(via).append("\r\n");
}

}  // namespace sluice::http
