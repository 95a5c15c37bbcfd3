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

TEST_CASE("freshness: what the origin says, within the operator's rule") {
  struct Row {
    std::vector<http::Field> fields;
    double fresh;
    double stale;
    double age;
  };
  http::FreshnessRule rule;
  rule.otherwise = 3 * kSecond;
  rule.most = 100 * kSecond;
  rule.stale_if_error = 50 * kSecond;
  const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
  for (const Row& row : {
           Row{{}, 3, 50, 0},
           Row{{{"cache-control", "max-age=10"}}, 10, 50, 0},
           Row{{{"cache-control", "MAX-AGE = \"10\" , public"}}, 10, 50, 0},
           Row{{{"cache-control", "max-age=10, s-maxage=20"}}, 20, 50, 0},
           Row{{{"cache-control", "s-maxage=0, max-age=10"}}, 0, 50, 0},
           Row{{{"cache-control", "max-age=500"}}, 100, 50, 0},
           Row{{{"cache-control", "max-age=10"}, {"age", "4"}}, 6, 50, 4},
           Row{{{"cache-control", "max-age=10"}, {"age", "40"}}, 0, 50, 40},
           Row{{{"cache-control", "no-store"}}, 0, 0, 0},
           Row{{{"cache-control", "no-cache, max-age=10"}}, 0, 0, 0},
           Row{{{"cache-control", "Private"}}, 0, 0, 0},
           Row{{{"cache-control", "max-age=10, must-revalidate"}}, 10, 0, 0},
           Row{{{"cache-control", "proxy-revalidate"}}, 3, 0, 0},
           Row{{{"cache-control", ",, ,"}}, 3, 50, 0},
           Row{{{"expires", "Sun, 06 Nov 1994 08:49:47 GMT"}, {"date", date}}, 10, 50, 0},
           Row{{{"expires", date}, {"date", date}}, 0, 50, 0},
           Row{{{"expires", "0"}, {"date", date}}, 0, 50, 0},
           Row{{{"expires", date}, {"cache-control", "max-age=7"}}, 7, 50, 0},
       }) {
    CAPTURE(row.fields.empty() ? std::string() : row.fields.front().value);
    http::ResponseHead head;
    head.fields = row.fields;
    const objects::Freshness found = http::freshness_of(head, rule);
    CHECK(static_cast<double>(found.fresh) / kSecond == row.fresh);
    CHECK(static_cast<double>(found.stale_if_error) / kSecond == row.stale);
    CHECK(static_cast<double>(found.age) / kSecond == row.age);
  }
  http::ResponseHead head;
  head.fields = {{"cache-control", "max-age=1"}};
  rule.least = 5 * kSecond;
  CHECK(http::freshness_of(head, rule).fresh == 5 * kSecond);
  rule.honour = false;
  head.fields = {{"cache-control", "no-store"}, {"expires", "0"}};
  rule.least = 0;
  CHECK(http::freshness_of(head, rule).fresh == rule.otherwise);
}
