#include "plane/range_client.h"

#include "http/rtp_range.h"

namespace sluice::plane {

namespace {

constexpr std::string_view kEndOfHead = "\r\n";
constexpr unsigned kPartial = 206;
constexpr unsigned kNotThere = 416;

/** The unit is ours (RFC 9110 section 14.4). */
bool is_of_packets(const http::ResponseHead& head) noexcept {
  const std::string* const range = head.find("content-range");
  return range != nullptr && range->starts_with("rtp ");
}

}  // namespace

RangeClient::RangeClient(kernel::Reactor& reactor, http::ClientRequest server, std::size_t most,
                         RangeOutput& output)
    : reactor_(reactor),
      server_(std::move(server)),
      output_(output),
      most_(most),
      frames_(most),
      client_(reactor, http::ClientTimeouts{}, *this, counters_) {}

bool RangeClient::fetch(std::span<const std::int64_t> sequences, kernel::Nanos patience) {
  if (busy_ || sequences.empty()) return false;
  busy_ = again_ = true;
  wanted_ = sequences.size();
  request_ = server_;
  request_.head.resize(request_.head.size() - kEndOfHead.size());
  request_.head.append("Range: ").append(http::rtp_ranges(sequences)).append("\r\n").append(kEndOfHead);
  request_.total = patience;
  request_.max_bytes = wanted_ * (codec::kFrameHeadSize + most_);
  begin();
  return true;
}

void RangeClient::begin() {
  status_ = 0;
  frames_.reset();
  client_.request(request_);
}

void RangeClient::on_head(const http::ResponseHead& head) noexcept {
  status_ = head.status;
  if (status_ / 100 == 2 && (status_ != kPartial || !is_of_packets(head))) give_up();
}

void RangeClient::on_body(codec::Bytes bytes) noexcept {
  while (!bytes.empty()) {
    const auto step = frames_.feed(bytes);
    bytes = bytes.subspan(step.consumed);
    if (step.error || (!step.packet.empty() && wanted_ == 0)) return give_up();
    if (step.packet.empty()) continue;
    wanted_--;
    output_.on_fetched(step.packet);
  }
}

void RangeClient::on_end(const http::ClientOutcome& outcome) noexcept {
  // The server had closed the kept connection meanwhile.
  if (outcome.reused && std::exchange(again_, false)) return begin();
  const bool whole = outcome.code == nullptr && frames_.at_border();
  end(whole && (status_ == kPartial || status_ == kNotThere));
}

/** What follows cannot be read, or is not wanted. */
void RangeClient::give_up() noexcept {
  client_.cancel();
  // The client is in the middle of the answer: told on a later turn.
  reactor_.arm(*this, reactor_.now());
}

void RangeClient::on_timer(kernel::Nanos) noexcept {
  end(false);
}

void RangeClient::end(bool answered) noexcept {
  busy_ = false;
  output_.on_fetch_end(answered);
}

}  // namespace sluice::plane
