// Fetches objects and documents over a pool of kept upstream connections.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/freshness.h"
#include "objects/store.h"
#include "plane/upstream.h"

namespace sluice::plane {

#define SLUICE_FETCH_COUNTERS(X) X(requests) X(connects) X(bytes_in) X(connections) X(running) X(queued)

/** In the order of FETCH_COUNTERS in daemon/plane/contract-counters.ts. */
struct FetchCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name = 0;
  SLUICE_FETCH_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

/** What of an answer's head stands in front of an object; `via` is added. The length is left to the caller.
 */
objects::Head object_head(const http::ResponseHead& from, const std::string& via);

/** One GET. */
struct FetchRequest {
  std::uint64_t id = 0;
  http::ClientRequest http;
  http::ClientTimeouts timeouts;
  /** The flight that the body of a 200 answer fills; 0 when the body goes back as bytes. */
  std::uint64_t ticket = 0;
  http::FreshnessRule freshness;
};

/**
 * Runs requests side by side, each on a connection of its own, kept for the next one to the same address. An
 * answer 200 to a request with a ticket becomes the object, growing as it comes; 304 makes the object before
 * it fresh again; every other status, and every failure before the head, leaves the flight to whoever asked.
 * On the loop thread.
 */
class Fetchers final {
 public:
  using Done = std::function<void(UpstreamResult)>;
  /** Requests side by side; more wait their turn, up to kMostQueued. */
  static constexpr std::size_t kMostRunning = 256;
  static constexpr std::size_t kMostQueued = 4096;

  Fetchers(kernel::Reactor& reactor, objects::Store& store, std::string via, FetchCounters& counters,
           Done done);
  Fetchers(const Fetchers&) = delete;
  Fetchers& operator=(const Fetchers&) = delete;
  /** What is under way ends without `done`. */
  ~Fetchers();

  /** False when the queue is full. */
  bool request(FetchRequest request);
  /** Closes connections that nobody has used for a while; called once a second. */
  void housekeeping(kernel::Nanos now);

 private:
  class Fetcher;
  void start(FetchRequest request);
  void on_done(Fetcher& fetcher, UpstreamResult result);
  void count() noexcept;

  kernel::Reactor& reactor_;
  objects::Store& store_;
  const std::string via_;
  FetchCounters& counters_;
  const Done done_;
  std::vector<std::unique_ptr<Fetcher>> running_;
  /** Most recently used last. */
  std::vector<std::unique_ptr<Fetcher>> idle_;
  std::deque<FetchRequest> queue_;
  /** Of fetchers that are gone. */
  http::UpstreamCounters past_;
};

}  // namespace sluice::plane
