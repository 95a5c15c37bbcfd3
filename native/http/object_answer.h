// Answers made of objects: whole, in part, or "not modified".
#pragma once

#include "http/body.h"
#include "objects/store.h"

namespace sluice::http {

/** What an answer needs beside the object. */
struct ObjectTerms {
  /** For the log. */
  const char* cache;
  const kernel::Reactor& reactor;
};

/**
 * The answer to a request for an object; waits while it is wanted. Conditional requests (RFC 9110 section 13)
 * and single ranges (section 14) are answered as such. A growing object of unknown size is sent in chunks as
 * it comes; a range of it waits until its bytes are there, and an open one whose end is a very large number
 * is answered as RFC 8673 says.
 */
Answer answer_with(std::shared_ptr<objects::Object> object, const Request& request, const ObjectTerms& terms);

/** A short text for a person, with a status. */
Answer answer_with_text(unsigned status, std::string text, unsigned retry_after = 0);

}  // namespace sluice::http
