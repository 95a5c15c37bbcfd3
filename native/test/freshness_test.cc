#include "http/freshness.h"

#include <doctest/doctest.h>

using namespace sluice;
using kernel::kSecond;

TEST_CASE(
    "freshness: numbers out of range are as long as can be, and none where they are negative or no numbers") {
  struct Row {
    const char* cache_control;
    kernel::Nanos fresh;
  };
  const http::FreshnessRule rule;
  for (const Row& row : {Row{"max-age=7", 7 * kSecond}, Row{"max-age=99999999999999999999", rule.most},
                         Row{"max-age=-99999999999999999999", 0}, Row{"max-age=99999999999999999999x", 0},
                         Row{"max-age=-1", 0}, Row{"max-age=", 0}}) {
    CAPTURE(row.cache_control);
    http::ResponseHead head;
    head.fields.push_back({"cache-control", row.cache_control});
    CHECK(http::freshness_of(head, rule).fresh == row.fresh);
  }
}
