// A client on a reactor of its own, and what its handler was told.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/request.h"

namespace sluice::test {

/** A client with a handler that remembers, and a reactor that is turned until something has happened. */
struct Fixture final : http::ClientHandler {
  kernel::Reactor reactor;
  http::UpstreamCounters counters;
  http::ClientTimeouts timeouts;
  std::unique_ptr<http::Client> client;
  unsigned status = 0;
  std::vector<http::Field> fields;
  std::string body;
  std::optional<http::ClientOutcome> outcome;
  std::function<void()> at_body;

  explicit Fixture(http::ClientTimeouts t = {}) : timeouts(t) {
    client = std::make_unique<http::Client>(reactor, timeouts, *this, counters);
  }
  void on_head(const http::ResponseHead& head) noexcept override {
    status = head.status;
    fields = head.fields;
  }
  void on_body(codec::Bytes bytes) noexcept override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (at_body) at_body();
  }
  void on_end(const http::ClientOutcome& o) noexcept override { outcome = o; }

  static http::ClientRequest get(const kernel::Address& to, std::uint64_t max = 1 << 20) {
    http::ClientRequest r;
    r.address = to;
    r.head = http::make_get_head("origin.example", "/x?y=1", {{"accept-encoding", "gzip"}}).value();
    r.max_bytes = max;
    return r;
  }
  void turn_until(const std::function<bool()>& done) {
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) reactor.turn();
    REQUIRE(done());
  }
  http::ClientOutcome run(http::ClientRequest request) {
    status = 0;
    fields.clear();
    body.clear();
    outcome.reset();
    REQUIRE(client->request(std::move(request)));
    CHECK_FALSE(outcome.has_value());
    turn_until([&] { return outcome.has_value(); });
    return *outcome;
  }
  std::string field(const std::string& name) const {
    for (const auto& f : fields) {
      if (f.name == name) return f.value;
    }
    return "(none)";
  }
};

inline std::string code(const http::ClientOutcome& o) {
  return o.code == nullptr ? "" : o.code;
}

}  // namespace sluice::test
