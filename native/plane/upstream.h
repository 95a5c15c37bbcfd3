// One upstream connection of a stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/request.h"
#include "plane/sealed_segment.h"
#include "plane/stream.h"

namespace sluice::plane {

/** How a request of TypeScript's ended. */
struct UpstreamResult {
  std::uint64_t request = 0;
  /** Null when the answer came whole, else a code of daemon/base/errors.ts. */
  const char* code = nullptr;
  std::string message;
  std::uint64_t bytes = 0;
  bool reused = false;
  unsigned status = 0;
  std::vector<http::Field> fields;
  std::vector<std::uint8_t> body;
};

class UpstreamObserver {
 public:
  virtual void on_upstream_head(std::uint64_t request, unsigned status) = 0;
  virtual void on_upstream_end(UpstreamResult result) = 0;

 protected:
  ~UpstreamObserver() = default;
};

/** A request as it crosses; the head is made and checked before. */
struct UpstreamRequest {
  std::uint64_t id = 0;
  http::ClientRequest http;
  /** The body does not continue the one before. */
  bool discontinuity = false;
  /** For the stream: the body is encrypted. */
  std::optional<SegmentSeal> seal;
};

/** Feeds bodies into the stream, or collects them. On the loop thread. */
class Upstream final : private http::ClientHandler {
 public:
  Upstream(kernel::Reactor& reactor, Stream& stream, const http::ClientTimeouts& timeouts,
           http::UpstreamCounters& counters, UpstreamObserver& observer);
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;
  /** A running request ends with UPSTREAM_CLOSED. */
  ~Upstream();

  /** False when a request is running, or OpenSSL refuses its key. */
  bool request(UpstreamRequest request);

 private:
  void on_head(const http::ResponseHead& head) noexcept override;
  void on_body(codec::Bytes bytes) noexcept override;
  void on_end(const http::ClientOutcome& outcome) noexcept override;
  void feed(codec::Bytes bytes) noexcept;
  void finish_seal() noexcept;

  kernel::Reactor& reactor_;
  Stream& stream_;
  UpstreamObserver& observer_;
  http::Client client_;
  bool to_stream_ = false;
  bool discontinuity_ = false;
  std::unique_ptr<SealedSegment> sealed_;
  UpstreamResult result_;
};

}  // namespace sluice::plane
