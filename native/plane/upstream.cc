#include "plane/upstream.h"

#include <utility>

namespace sluice::plane {

Upstream::Upstream(kernel::Reactor& reactor, Stream& stream, const http::ClientTimeouts& timeouts,
                   http::UpstreamCounters& counters, UpstreamObserver& observer)
    : reactor_(reactor), stream_(stream), observer_(observer), client_(reactor, timeouts, *this, counters) {
  stream_.on_room(this, [this] { client_.resume(); });
}

Upstream::~Upstream() {
  stream_.on_room(this, {});
  if (!client_.busy()) return;
  result_.code = "UPSTREAM_CLOSED";
  result_.message = "the upstream connection was closed here";
  observer_.on_upstream_end(std::move(result_));
}

bool Upstream::request(UpstreamRequest request) {
  if (client_.busy()) return false;
  result_ = {};
  result_.request = request.id;
  to_stream_ = request.http.to_sink;
  discontinuity_ = request.discontinuity;
  sealed_ = request.seal ? SealedSegment::create(*request.seal) : nullptr;
  if (request.seal && !sealed_) return false;
  return client_.request(std::move(request.http));
}

void Upstream::on_head(const http::ResponseHead& head) noexcept {
  result_.status = head.status;
  result_.fields = head.fields;
  if (to_stream_) observer_.on_upstream_head(result_.request, head.status);
}

void Upstream::on_body(codec::Bytes bytes) noexcept {
  if (!to_stream_) {
    result_.body.insert(result_.body.end(), bytes.begin(), bytes.end());
    return;
  }
  feed(sealed_ ? sealed_->open(bytes) : bytes);
}

void Upstream::feed(codec::Bytes bytes) noexcept {
  if (bytes.empty()) return;
  // Only now it is certain that something new comes: an attempt that failed before leaves the stream as it
  // was.
  if (std::exchange(discontinuity_, false)) stream_.splice();
  stream_.write(bytes, reactor_.now());
  if (!stream_.wants_more()) client_.pause();
}

void Upstream::on_end(const http::ClientOutcome& outcome) noexcept {
  result_.code = outcome.code;
  result_.message = outcome.message;
  result_.bytes = outcome.bytes;
  result_.reused = outcome.reused;
  if (sealed_) finish_seal();
  observer_.on_upstream_end(std::move(result_));
}

void Upstream::finish_seal() noexcept {
  // What was cut short has no end that could be looked at.
  if (result_.code == nullptr) feed(sealed_->finish());
  result_.bytes = sealed_->position();
  if (sealed_->fault() == nullptr) return;
  result_.code = "UPSTREAM_DECRYPT";
  result_.message = std::string("the segment cannot be decrypted: ") + sealed_->fault();
}

}  // namespace sluice::plane
