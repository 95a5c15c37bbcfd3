// Writes the head of a GET request (RFC 9112 section 3).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernel/result.h"

namespace sluice::http {

/**
 * The head of `GET target HTTP/1.1` with `host` and further fields, ready to send. Refused with
 * UPSTREAM_HTTP: control characters and spaces where they would end a line or a field early, a target that
 * does not begin with `/`, fields that frame a body or choose the connection (they belong to the client),
 * heads over 16 KiB.
 */
kernel::Result<std::string> make_get_head(const std::string& host, const std::string& target,
                                          const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace sluice::http
