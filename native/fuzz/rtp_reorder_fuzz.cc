// Fuzz target: bytes as a programme of arrivals (sequence, source, time, size) at the reorder window.
#include <optional>

#include "fuzz/check.h"
#include "plane/rtp_reorder.h"

using namespace sluice;
using plane::Nanos;

namespace {

constexpr std::size_t kArrival = 5;

/** Payloads carry a number, so that what comes out is known; the number never falls between two restarts. */
class Order final : public plane::RtpReorderOutput {
 public:
  void on_payload(codec::Bytes payload, Nanos) noexcept override {
    SLUICE_HOLDS(payload.size() >= 4);
    const std::uint32_t number = codec::load32(payload.data());
    SLUICE_HOLDS(!last_ || static_cast<std::int16_t>(static_cast<std::uint16_t>(number - *last_)) > 0);
    SLUICE_HOLDS(!last_ || number >> 16 == *last_ >> 16);
    last_ = number;
    delivered_++;
  }
  void on_restart() noexcept override { last_.reset(); }
  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }

 private:
  std::optional<std::uint32_t> last_;
  std::uint64_t delivered_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const Nanos wait = static_cast<Nanos>(input.choose(4)) * 10 * kernel::kMillisecond;
  Order order;
  plane::InputCounters counters{};
  plane::RtpReorder reorder(wait, order, counters);
  Nanos now = kernel::kSecond;
  std::uint16_t sequence = static_cast<std::uint16_t>(input.choose(65'536));
  std::uint64_t pushed = 0;
  const fuzz::Block& body = input.body();
  for (std::size_t at = 0; at + kArrival <= body.size(); at += kArrival) {
    const std::uint8_t* const a = body.data() + at;
    // Mostly small steps, sometimes anything.
    sequence = (a[0] & 0x80) != 0
                   ? codec::load16(a)
                   : static_cast<std::uint16_t>(sequence + static_cast<std::int8_t>(a[0] << 1) / 16);
    now += Nanos{a[2]} * a[2] * 10'000;
    const std::uint32_t ssrc = a[3] & 3;
    fuzz::Block payload(4 + std::size_t{a[4]} * 8);
    codec::store32(payload.data(), (ssrc << 16) | sequence);
    codec::RtpPacket packet;
    packet.header.sequence = sequence;
    packet.header.ssrc = ssrc;
    packet.header.timestamp = static_cast<std::uint32_t>(now / 11'111) + codec::load16(a);
    packet.payload = payload;
    // Kernel times of packets that one receive call brings need not ascend.
    reorder.push(packet, now - ((a[3] & 0x80) != 0 ? kernel::kMillisecond : 0));
    pushed++;
    if ((a[3] & 0x40) != 0) reorder.expire(now);
    const auto deadline = reorder.deadline();
    SLUICE_HOLDS(!deadline || *deadline <= now + wait);
  }
  reorder.expire(now + 2 * wait);
  SLUICE_HOLDS(!reorder.deadline() || wait == 0);
  reorder.flush();
  SLUICE_HOLDS(!reorder.deadline() && order.delivered() <= pushed);
  return 0;
}
