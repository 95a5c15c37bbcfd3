// Which fields of an origin's answer a proxy hands on.
#pragma once

#include <string>

#include "http/response.h"

namespace sluice::http {

/**
 * The field lines that go on to viewers, each ended by CRLF. Left out: what belongs to one connection (RFC
 * 9110 section 7.6.1, with the fields that Connection names), what this server says itself (Date, Server,
 * Age, framing, CORS), and what is for one viewer only (Set-Cookie). `via` is added as the Via of this hop.
 */
std::string forwarded_fields(const ResponseHead& head, const std::string& via);

}  // namespace sluice::http
