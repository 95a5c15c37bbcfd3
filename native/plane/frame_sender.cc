#include "plane/frame_sender.h"

#include <algorithm>
#include <utility>

namespace sluice::plane {

using codec::Bytes;

namespace {

constexpr std::size_t kAddress = 6;
constexpr std::size_t kEthernet = 14;
constexpr std::size_t kTag = 4;
constexpr std::uint16_t kVlan = 0x8100;

}  // namespace

kernel::Result<FrameSender> FrameSender::open(const FrameTarget& target) {
  auto socket = kernel::PacketTx::open(target.interface_name);
  if (!socket.ok()) return socket.error();
  return FrameSender(target, std::move(socket.value()));
}

/** Both Ethernet addresses; `out` holds the captured ones where there are any. */
void FrameSender::address(const codec::LinkView& link, std::uint8_t* out, bool captured) const noexcept {
  constexpr HardwareAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  codec::IpView ip;
  std::optional<HardwareAddress> destination = target_.unicast;
  if (codec::parse_ip(link, ip) == codec::IpFind::ip) {
    if (ip.to_group()) destination = codec::group_hardware_address(ip.version, ip.destination);
  } else if (captured) {
    // ARP and the like: the address says whom it is for, a frame to all must stay one.
    destination.reset();
  }
  if (!captured && !destination) destination = kBroadcast;
  if (destination) std::copy(destination->begin(), destination->end(), out);
  std::copy_n(socket_.hardware_address().begin(), kAddress, out + kAddress);
}

Sent FrameSender::send(const codec::CapturePacket& packet) noexcept {
  if (packet.data.size() < packet.original_length) return Sent::unsuitable;
  const auto link = codec::parse_link(packet.data, packet.link_type);
  if (!link) return Sent::unsuitable;
  if (socket_.layer() == kernel::LinkLayer::raw)
    return link->is_ip() ? hand_over({}, link->network, link->ethertype) : Sent::unsuitable;
  std::array<std::uint8_t, kEthernet + 4 * kTag> head{};
  if (packet.link_type == codec::kLinkEthernet) {
    // The outermost one: to the kernel a tagged frame is of the tag's type.
    const std::uint16_t ethertype = codec::load16(packet.data.data() + 2 * kAddress);
    if (!target_.rewrite) return hand_over({}, packet.data, ethertype);
    std::copy_n(packet.data.begin(), 2 * kAddress, head.begin());
    address(*link, head.data(), true);
    return hand_over(Bytes(head).first(2 * kAddress), packet.data.subspan(2 * kAddress), ethertype);
  }
  if (link->ethertype == 0 || link->is_llc()) return Sent::unsuitable;
  address(*link, head.data(), false);
  std::size_t size = 2 * kAddress;
  for (std::size_t i = 0; i < link->tag_count; i++, size += kTag) {
    codec::store16(head.data() + size, kVlan);
    codec::store16(head.data() + size + 2, link->tags[i]);
  }
  codec::store16(head.data() + size, link->ethertype);
  const std::uint16_t ethertype = link->tag_count > 0 ? kVlan : link->ethertype;
  return hand_over(Bytes(head).first(size + 2), link->network, ethertype);
}

Sent FrameSender::hand_over(Bytes head, Bytes rest, std::uint16_t ethertype) noexcept {
  // The kernel only reads what the pieces point at.
  const auto piece = [](Bytes bytes) { return iovec{const_cast<std::uint8_t*>(bytes.data()), bytes.size()}; };
  std::array<iovec, 2> pieces = {piece(head), piece(rest)};
  const auto outcome = socket_.send(pieces, ethertype);
  if (outcome.sent) return Sent::sent;
  if (outcome.full) return Sent::full;
  error_ = outcome.error;
  return Sent::failed;
}

}  // namespace sluice::plane
