// repair-model none|parity:LxD|parity:LxD+rows|block:K+M random:SHARE|burst:PACKETS MEGABITS ROUND-TRIP-MS
//              PLAYOUT-US resends|silent PACKETS SEED
//
// A stream of so many Mbit/s in datagrams of 1316 bytes of payload over a link that loses, on a clock of its
// own: the daemon's encoders, its receiver (repair::Recovery) and what its retransmission server does, with
// the bytes that they put on the wire. Every packet that comes out is compared with the one that went in.
// Writes one line of JSON: packets lost, and bytes of parity and resends as percent of the media's.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>

#include "channel.h"
#include "codec/rtcp_writer.h"
#include "repair/parity_encoder.h"
#include "repair/recovery.h"
#include "source.h"

namespace sluice::bench {
namespace {

/** Without loss before and after what counts: all begins and ends in order. */
constexpr std::int64_t kQuiet = 1'000;
constexpr std::size_t kMostPairs = 128;

struct Options {
  std::optional<repair::ParityOptions> parity;
  std::optional<repair::BlockOptions> block;
  Loss loss;
  /** Of the media, in bytes of payload a second. */
  std::uint64_t rate = 1'000'000;
  Nanos round_trip = 0;
  Nanos playout = 0;
  bool resends = false;
  std::int64_t packets = 0;
  std::uint32_t seed = 1;
};

/** What is on its way. */
struct Flying {
  enum class What : std::uint8_t { media, parity, block, resend, feedback };
  Nanos at = 0;
  What what = What::media;
  /** Of media. */
  std::int64_t index = 0;
  /** Of all else. */
  std::vector<std::uint8_t> bytes;
};

repair::RecoveryOptions recovery_options(const Options& o) {
  repair::RecoveryOptions made;
  made.playout = o.playout;
  made.asks = o.resends;
  made.block = o.block;
  return made;
}

class Model final : repair::RecoveryOutput, repair::ParityOutput, repair::BlockOutput {
 public:
  explicit Model(const Options& o)
      : options_(o),
        channel_(o.loss, kQuiet, kQuiet + o.packets, o.seed),
        resender_(media_, o.rate),
        interval_(kPayload * Nanos{1'000'000'000} / static_cast<Nanos>(o.rate)),
        recovery_(recovery_options(o), *this, o.seed) {
    if (o.parity) parity_.emplace(*o.parity);
    if (o.block) block_.emplace(*o.block);
  }

  /** False when something came out that had not gone in. */
  bool run() {
    while (step()) {
    }
    const double media = static_cast<double>(options_.packets + 2 * kQuiet) * kDatagram;
    std::printf(R"({"lost":%lld,"parity":%.4f,"resends":%.4f,"asked":%llu})"
                "\n",
                static_cast<long long>(lost_), 100 * parity_bytes_ / media, 100 * resent_bytes_ / media,
                static_cast<unsigned long long>(recovery_.counters().requested));
    return wrong_ == 0 && delivered_ + lost_ == options_.packets + 2 * kQuiet;
  }

 private:
  static constexpr Nanos kNever = INT64_MAX;
  static Nanos next_of(const std::deque<Flying>& queue) { return queue.empty() ? kNever : queue.front().at; }

  /** What comes next happens; false after the last. */
  bool step() {
    const Nanos departure =
        media_.next() < options_.packets + 2 * kQuiet ? media_.next() * interval_ : kNever;
    const Nanos deadline = std::max(now_, recovery_.deadline().value_or(kNever));
    const Nanos first = std::min({departure, deadline, next_of(down_), next_of(up_)});
    if (first == kNever) return false;
    now_ = first;
    if (next_of(up_) == first) {
      take(up_);
    } else if (next_of(down_) == first) {
      while (next_of(down_) == first) take(down_);
      recovery_.advance(now_);
    } else if (departure == first) {
      depart();
    } else {
      recovery_.advance(now_);
    }
    return true;
  }

  void depart() {
    const std::int64_t index = media_.next();
    media_.make(index);
    if (!channel_.loses_media(index)) down_.push_back({arrival(), Flying::What::media, index, {}});
    const Bytes all = media_.datagram(index);
    const repair::ProtectedPacket packet{index + kFirstNumber, all.data(),
                                         all.subspan(codec::kRtpHeaderSize)};
    if (parity_) parity_->push(packet, *this);
    if (block_) block_->push(packet, *this);
  }

  void on_parity(const codec::ParityPacket& packet) noexcept override {
    std::vector<std::uint8_t> bytes(codec::kParityHeadersSize);
    codec::write_parity({false, 96, 0, 0, 0}, packet, bytes.data());
    send_parity(Flying::What::parity, std::move(bytes), packet.payload);
  }
  void on_block_parity(const codec::BlockParityPacket& packet) noexcept override {
    std::vector<std::uint8_t> bytes(codec::kRtpHeaderSize + codec::kBlockParityHeaderSize);
    codec::write_block_parity({false, 96, 0, 0, 0}, packet, bytes.data());
    send_parity(Flying::What::block, std::move(bytes), packet.symbol);
  }
  void send_parity(Flying::What what, std::vector<std::uint8_t> bytes, Bytes rest) {
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    parity_bytes_ += static_cast<double>(bytes.size());
    send(what, std::move(bytes));
  }
  void send(Flying::What what, std::vector<std::uint8_t> bytes) {
    if (!channel_.loses_beside(slot())) down_.push_back({arrival(), what, 0, std::move(bytes)});
  }
  [[nodiscard]] std::int64_t slot() const noexcept { return now_ / interval_; }
  [[nodiscard]] Nanos arrival() const noexcept { return now_ + options_.round_trip / 2; }

  void take(std::deque<Flying>& queue) {
    const Flying one = std::move(queue.front());
    queue.pop_front();
    switch (one.what) {
      case Flying::What::media:
        return recovery_.on_packet(media_.datagram(one.index), now_);
      case Flying::What::parity:
        return recovery_.on_parity(one.bytes, now_);
      case Flying::What::block:
        return recovery_.on_block_parity(one.bytes, now_);
      case Flying::What::resend:
        return take_resend(one.bytes);
      case Flying::What::feedback:
        return resender_.on_feedback(one.bytes, now_, [this](Bytes bytes) {
          resent_bytes_ += static_cast<double>(bytes.size());
          send(Flying::What::resend, {bytes.begin(), bytes.end()});
        });
    }
  }
  void take_resend(Bytes bytes) {
    std::array<std::uint8_t, kDatagram + codec::kOriginalNumberSize> original;
    const auto size = codec::restore_original(bytes, kMediaSsrc, kMediaType, original);
    if (size) recovery_.on_retransmission({original.data(), *size}, now_);
  }

  void on_request(std::span<const std::int64_t> sequences) noexcept override {
    std::array<std::uint8_t, 4 * kMostPairs> pairs;
    for (auto rest = sequences; !rest.empty();) {
      codec::NackWriter writer(pairs);
      std::size_t taken = 0;
      while (taken < rest.size() && writer.add(static_cast<std::uint16_t>(rest[taken]))) taken++;
      rest = rest.subspan(taken);
      ask(writer.written());
    }
  }
  void ask(Bytes control) {
    std::vector<std::uint8_t> bytes(64 + 4 * kMostPairs);
    codec::RtcpWriter writer(bytes);
    writer.receiver_report(1);
    writer.cname(1, "receiver");
    writer.feedback(codec::rtcp_type::kTransportFeedback, codec::rtcp_feedback::kNack, 1, kMediaSsrc,
                    control);
    bytes.resize(writer.size());
    if (!channel_.loses_against(slot()))
      up_.push_back({arrival(), Flying::What::feedback, 0, std::move(bytes)});
  }

  void on_packet(std::int64_t sequence, Bytes datagram, repair::Origin) noexcept override {
    if (delivered_++ == 0) origin_ = sequence;
    const Bytes sent = media_.datagram(sequence - origin_);
    if (!std::equal(sent.begin(), sent.end(), datagram.begin(), datagram.end())) wrong_++;
  }
  void on_lost(std::int64_t, std::int64_t count) noexcept override { lost_ += count; }
  void on_restart() noexcept override { wrong_++; }

  const Options options_;
  Media media_;
  Channel channel_;
  Resender resender_;
  const Nanos interval_;
  std::optional<repair::ParityEncoder> parity_;
  std::optional<repair::BlockEncoder> block_;
  repair::Recovery recovery_;
  std::deque<Flying> down_;
  std::deque<Flying> up_;
  Nanos now_ = 0;
  std::int64_t origin_ = 0;
  std::int64_t delivered_ = 0;
  std::int64_t lost_ = 0;
  std::int64_t wrong_ = 0;
  double parity_bytes_ = 0;
  double resent_bytes_ = 0;
};

void read_code(const std::string& text, Options& options) {
  unsigned a = 0;
  unsigned b = 0;
  if (std::sscanf(text.c_str(), "parity:%ux%u", &a, &b) == 2) {
    options.parity = repair::ParityOptions{a, b, text.ends_with("+rows")};
  } else if (std::sscanf(text.c_str(), "block:%u+%u", &a, &b) == 2) {
    options.block = repair::BlockOptions{a, b, kPayload};
  }
}

void read_loss(const std::string& text, Options& options) {
  if (std::sscanf(text.c_str(), "random:%lf", &options.loss.random) == 1) return;
  std::sscanf(text.c_str(), "burst:%u", &options.loss.burst);
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 9) {
    std::fputs(
        "usage: repair-model CODE LOSS MEGABITS ROUND-TRIP-MS PLAYOUT-US resends|silent PACKETS SEED\n",
        stderr);
    return 2;
  }
  Options options;
  read_code(arguments[1], options);
  read_loss(arguments[2], options);
  options.rate = std::strtoull(arguments[3], nullptr, 10) * 1'000'000 / 8;
  options.round_trip = std::strtoll(arguments[4], nullptr, 10) * 1'000'000;
  options.playout = std::strtoll(arguments[5], nullptr, 10) * 1'000;
  options.resends = std::string_view(arguments[6]) == "resends";
  options.packets = std::strtoll(arguments[7], nullptr, 10);
  options.seed = static_cast<std::uint32_t>(std::strtoul(arguments[8], nullptr, 10));
  if (Model(options).run()) return 0;
  std::fputs("repair-model: packets came out that had not gone in\n", stderr);
  return 1;
}
