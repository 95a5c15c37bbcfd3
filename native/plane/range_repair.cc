#include "plane/range_repair.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "codec/framing.h"
#include "http/object_answer.h"
#include "http/rtp_range.h"

namespace sluice::plane {

using http::Answer;
using kernel::bump;

namespace {

/** No registered type is of packets behind their lengths, and only who has asked by our unit reads them. */
constexpr const char* kType = "application/octet-stream";
constexpr std::size_t kHead = codec::kFrameHeadSize + codec::kRtpHeaderSize;
/** As many packets are copied at a time as a TCP super-packet takes. */
constexpr std::size_t kMostCopied = 46 * (kHead + kFullPayload);
/** What a full request may take at once, however low the rate. */
constexpr std::uint64_t kLeastBurst = RangeRepair::kMostPackets * (kHead + kFullPayload);
/** Sequence numbers that can be told apart. */
constexpr std::int64_t kNumbers = 1 << 16;

/** Packets, some at a time. Broken when the ring passes the reader. */
class PacketsBody final : public http::Body, private ByteReader {
 public:
  /** `sequences` ascend and are there; all of them make `size` bytes. */
  PacketsBody(Stream& stream, std::vector<std::int64_t> sequences, std::size_t size)
      : stream_(&stream), sequences_(std::move(sequences)), room_(std::min(size, kMostCopied)) {
    stream.hold(*this);
  }
  ~PacketsBody() override {
    if (stream_ != nullptr) stream_->let_go(*this);
  }

  Piece peek() noexcept override {
    if (sent_ == filled_) fill();
    if (sent_ < filled_) return {Next::bytes, codec::Bytes(room_).subspan(sent_, filled_ - sent_)};
    return {next_ == sequences_.size() ? Next::end : Next::broken, {}};
  }
  void consume(std::size_t n) noexcept override { sent_ += n; }
  void listen(http::AnswerListener&) noexcept override {}

 private:
  void on_bytes() noexcept override {}
  void on_stream_gone() noexcept override { stream_ = nullptr; }

  void fill() noexcept {
    sent_ = filled_ = 0;
    while (stream_ != nullptr && next_ < sequences_.size() && put(stream_->ring(), sequences_[next_]))
      next_++;
  }

  /** False where there is no room, or the packet is gone. */
  bool put(Ring& ring, std::int64_t sequence) noexcept {
    const Descriptor& d = ring.descriptor(sequence);
    if (!ring.holds(sequence) || room_.size() - filled_ < kHead + d.size) return false;
    std::uint8_t* const to = room_.data() + filled_;
    codec::store16(to, static_cast<std::uint16_t>(codec::kRtpHeaderSize + d.size));
    std::memcpy(to + codec::kFrameHeadSize, ring.header(sequence), codec::kRtpHeaderSize);
    std::memcpy(to + kHead, ring.at(d.position), d.size);
    filled_ += kHead + d.size;
    return true;
  }

  Stream* stream_;
  const std::vector<std::int64_t> sequences_;
  std::size_t next_ = 0;
  std::vector<std::uint8_t> room_;
  std::size_t sent_ = 0;
  std::size_t filled_ = 0;
};

/** Those that are there, ascending, each once, whatever ranges overlap. */
std::vector<std::int64_t> find_all(const Ring& ring, const std::vector<http::RtpRange>& ranges) {
  std::vector<std::int64_t> found;
  for (const http::RtpRange& range : ranges)
    for (std::size_t i = 0; i < range.size(); i++)
      if (const auto one = ring.find_number(static_cast<std::uint16_t>(range.first + i)))
        found.push_back(*one);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string numbers(std::int64_t first, std::int64_t last) {
  return std::to_string(static_cast<std::uint16_t>(first)) + "-" +
         std::to_string(static_cast<std::uint16_t>(last));
}

/** The numbers of what a range may name: of what has departed and is still there. */
std::string kept(const Ring& ring) {
  std::int64_t first = std::max(ring.oldest_sequence(), ring.released_sequence() - kNumbers);
  std::int64_t end = ring.released_sequence();
  const std::int64_t last = end - 1;
  while (first < end) {
    const std::int64_t middle = first + (end - first) / 2;
    if (ring.holds(middle)) {
      end = middle;
    } else {
      first = middle + 1;
    }
  }
  return numbers(std::min(first, last), last);
}

Answer refusal(const Stream& stream, unsigned status, std::string text, unsigned retry_after = 0) {
  Answer a = http::answer_with_text(status, std::move(text), retry_after);
  a.fields = "Accept-Ranges: rtp\r\n";
  a.cache_control = "no-store";
  a.source = stream.name();
  return a;
}

std::size_t asked_for(const std::vector<http::RtpRange>& ranges) noexcept {
  std::size_t sum = 0;
  for (const http::RtpRange& range : ranges) sum += range.size();
  return sum;
}

std::size_t size_of(const Ring& ring, const std::vector<std::int64_t>& sequences) noexcept {
  std::size_t sum = 0;
  for (const std::int64_t one : sequences) sum += kHead + ring.descriptor(one).size;
  return sum;
}

}  // namespace

RangeRepair::RangeRepair(std::uint64_t rate) noexcept : budget_(rate, std::max(rate / 4, kLeastBurst)) {}

Answer RangeRepair::answer(Stream& stream, const http::Request& request, Nanos now) {
  Ring& ring = stream.ring();
  StreamCounters& counters = stream.counters();
  const auto ranges = http::parse_rtp_ranges(request.range);
  if (!ranges) {
    bump(counters.range_malformed);
    return refusal(stream, 400, "expected Range: rtp=FIRST-LAST, RTP sequence numbers of 0 to 65535\n");
  }
  if (asked_for(*ranges) > kMostPackets) {
    bump(counters.range_malformed);
    return refusal(stream, 416,
                   "expected at most " + std::to_string(kMostPackets) + " packets in a request, got " +
                       std::to_string(asked_for(*ranges)) + "\n");
  }
  std::vector<std::int64_t> sequences = find_all(ring, *ranges);
  if (sequences.empty()) {
    bump(counters.range_gone);
    Answer a = refusal(stream, 416, "none of these packets is there, any more or yet\n");
    if (ring.released_sequence() > ring.oldest_sequence())
      a.fields += "Content-Range: rtp */" + kept(ring) + "\r\n";
    return a;
  }
  const std::size_t size = size_of(ring, sequences);
  if (!budget_.take(size, now)) {
    bump(counters.range_shed);
    return refusal(stream, 503, "the budget for ranges of this stream is used up\n", 1);
  }
  bump(counters.range_served);
  bump(counters.range_packets, sequences.size());
  bump(counters.range_bytes, size);
  Answer a;
  a.status = 206;
  a.content_type = kType;
  a.cache_control = "no-store";
  a.fields =
      "Accept-Ranges: rtp\r\nContent-Range: rtp " + numbers(sequences.front(), sequences.back()) + "/*\r\n";
  a.source = stream.name();
  a.length = size;
  a.body = std::make_unique<PacketsBody>(stream, std::move(sequences), size);
  return a;
}

}  // namespace sluice::plane
