// fec-flow block:K+M|parity:LxD|parity:LxD+rows AT-ONCE GROUP PORT INTERFACE MILLISECONDS
//
// What parity adds to the cost of sending, by the plane's own parts: a Stream's ring, a Sender and a
// ParitySender, told of the departure of AT-ONCE packets at a time. In turn, about a millisecond each:
//
//   without   the Sender
//   with      the Sender and the ParitySender
//   stand-in  the Sender, and what sends as many datagrams as the ParitySender, as long, at the same times,
//             but encodes nothing
//
// Prints {"without","with"} as nanoseconds of CPU for each packet of media: the median of `without`, and that
// plus the median of what `with` takes more than the stand-in before it. Departures follow each other without
// pause, so that the caches are as warm for sending as they can be; what is sent is more than fits the
// second.
#include <algorithm>
#include <cstdlib>

#include "code.h"
#include "plane/repair_ports.h"
#include "plane/sender.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kRing = 4 << 20;
constexpr std::size_t kMostPackets = 2'300;
constexpr std::size_t kLeastTurn = 400;

struct Deaf final : plane::StreamObserver {
  void on_stream_ready() noexcept override {}
  void on_source_fault(const char*, std::string) override {}
};

template <typename T>
T must(kernel::Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result.value());
}

/** Sends what the parity would be from as many buffers, one after another. */
class StandIn final : public plane::PacketReader {
 public:
  StandIn(const Code& code, const kernel::UdpTxOptions& media) : code_(code), socket_(open(media)) {
    const std::size_t head =
        code.parity ? codec::kParityHeadersSize : codec::kRtpHeaderSize + codec::kBlockParityHeaderSize;
    const std::size_t body = code.parity ? kPayload : codec::kSymbolHeaderSize + kPayload;
    const std::size_t buffers = code.parity ? code.parity->columns : code.block->repair;
    head_.resize(head);
    bodies_.assign(buffers, std::vector<std::uint8_t>(body, 0x55));
  }
  void on_departure(plane::Ring&, std::int64_t first, std::int64_t end) noexcept override {
    for (; first < end; first++) {
      if (place_ < bodies_.size()) send();
      if (code_.parity && code_.parity->row_parity && (place_ + 1) % code_.parity->columns == 0) send();
      place_ = (place_ + 1) % code_.size();
    }
  }
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }

 private:
  static kernel::UdpTx open(kernel::UdpTxOptions media) {
    const auto port = static_cast<std::uint16_t>(media.destination.port() + plane::kColumnPortStep);
    media.destination = media.destination.with_port(port);
    return must(kernel::UdpTx::open(media));
  }
  void send() noexcept {
    std::vector<std::uint8_t>& body = bodies_[sent_++ % bodies_.size()];
    std::array<iovec, 2> pieces{iovec{head_.data(), head_.size()}, iovec{body.data(), body.size()}};
    socket_.send(pieces);
  }

  const Code code_;
  kernel::UdpTx socket_;
  std::vector<std::uint8_t> head_;
  std::vector<std::vector<std::uint8_t>> bodies_;
  std::size_t place_ = 0;
  std::uint64_t sent_ = 0;
};

/** A stream whose ring has been filled, and turns of sending it. */
class Bed {
 public:
  Bed(const Code& code, std::size_t at_once, const kernel::UdpTxOptions& media)
      : at_once_(at_once),
        stream_(must(plane::Stream::create(reactor_, options(), stream_counters_, loop_, deaf_))),
        sender_(*stream_, must(kernel::UdpTx::open(media)), plane::Batching::automatic, sent_),
        parity_(must(plane::ParitySender::open(*stream_, media, {code.parity, code.block}, parity_sent_))),
        stand_in_(code, media) {
    const std::size_t step = code.size() * at_once;
    turn_ = (kLeastTurn + step - 1) / step * step;
    fill(kMostPackets / turn_ * turn_);
  }
  /** Each gives nanoseconds of CPU for each packet of media. */
  double without() { return turn(without_, nullptr); }
  double with() { return turn(with_, parity_.get()); }
  double stand_in() { return turn(instead_, &stand_in_); }
  /** Throws when not everything was sent, or the stand-in sent less or more than the parity. */
  void check() const {
    const std::uint64_t parity =
        parity_sent_.parity_columns + parity_sent_.parity_rows + parity_sent_.parity_blocks;
    const std::uint64_t waits =
        std::max<std::uint64_t>(stand_in_.sent(), parity) - std::min<std::uint64_t>(stand_in_.sent(), parity);
    // What a block leaves behind goes with the packets of the next.
    if (sent_.errors + parity_sent_.parity_errors > 0) throw std::runtime_error("not everything was sent");
    if (parity == 0 || waits > codec::kMostSymbols)
      throw std::runtime_error("the stand-in sends differently");
  }

 private:
  static plane::StreamOptions options() {
    plane::StreamOptions options;
    options.name = "bench/flow";
    options.ring_bytes = kRing;
    options.ssrc = 0xcafe;
    return options;
  }
  void fill(std::size_t packets) {
    plane::Ring& ring = stream_->ring();
    first_ = ring.next_sequence();
    std::vector<std::uint8_t> payload(kPayload);
    for (std::size_t i = 0; i < packets; i++) {
      for (std::size_t k = 0; k < kPayload; k++)
        payload[k] = static_cast<std::uint8_t>((i * kPayload + k) * 2654435761U >> 7);
      const std::uint64_t position = ring.write_position();
      ring.append(payload);
      ring.publish(position, kPayload, 0, 0, false);
    }
    end_ = ring.next_sequence();
    without_ = with_ = instead_ = first_;
  }
  double turn(std::int64_t& from, plane::PacketReader* beside) {
    plane::Ring& ring = stream_->ring();
    const double begin = cpu_nanos();
    for (std::size_t i = 0; i < turn_; i += at_once_) {
      const auto end = from + static_cast<std::int64_t>(at_once_);
      sender_.on_departure(ring, from, end);
      if (beside != nullptr) beside->on_departure(ring, from, end);
      from = end == end_ ? first_ : end;
    }
    return (cpu_nanos() - begin) / static_cast<double>(turn_);
  }

  const std::size_t at_once_;
  kernel::Reactor reactor_;
  plane::StreamCounters stream_counters_{};
  plane::LoopCounters loop_{};
  plane::SenderCounters sent_{};
  plane::SenderCounters parity_sent_{};
  Deaf deaf_;
  std::unique_ptr<plane::Stream> stream_;
  plane::Sender sender_;
  std::unique_ptr<plane::ParitySender> parity_;
  StandIn stand_in_;
  std::size_t turn_ = 0;
  std::int64_t first_ = 0;
  std::int64_t end_ = 0;
  std::int64_t without_ = 0;
  std::int64_t with_ = 0;
  std::int64_t instead_ = 0;
};

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void measure(Bed& bed, double milliseconds) {
  std::vector<double> without;
  std::vector<double> more;
  for (const double end = cpu_nanos() + milliseconds * 1e6; cpu_nanos() < end;) {
    without.push_back(bed.without());
    const double stand_in = bed.stand_in();
    more.push_back(bed.with() - stand_in);
  }
  bed.check();
  const double least = median(without);
  std::printf("{\"without\":%.1f,\"with\":%.1f}\n", least, least + median(more));
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice;
  if (count != 7) {
    std::fputs("usage: fec-flow CODE AT-ONCE GROUP PORT INTERFACE MILLISECONDS\n", stderr);
    return 2;
  }
  try {
    const auto port = static_cast<std::uint16_t>(std::atoi(arguments[4]));
    const auto group = kernel::Address::parse(arguments[3], port);
    if (!group) throw std::runtime_error("no such address");
    kernel::UdpTxOptions media;
    media.destination = *group;
    media.interface_name = arguments[5];
    bench::Bed bed(bench::read_code(arguments[1]), static_cast<std::size_t>(std::atoi(arguments[2])), media);
    bench::measure(bed, std::atof(arguments[6]));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fec-flow: %s\n", error.what());
    return 1;
  }
}
