#include "plane/captured_frame.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace sluice::plane {

namespace {

constexpr std::size_t kAddresses = 12;

}  // namespace

std::uint32_t link_type_of(kernel::LinkLayer layer) noexcept {
  switch (layer) {
    case kernel::LinkLayer::ethernet:
      return codec::kLinkEthernet;
    case kernel::LinkLayer::raw:
      return codec::kLinkRaw;
    default:
      return codec::kLinkCooked2;
  }
}

CapturedFrame::CapturedFrame(const kernel::Frame& frame, kernel::LinkLayer layer) noexcept
    : rest_(frame.data) {
  switch (layer) {
    case kernel::LinkLayer::ethernet:
      restore_ethernet(frame);
      break;
    case kernel::LinkLayer::raw:
      link_ = codec::parse_link(frame.data, codec::kLinkRaw).value_or(codec::LinkView{});
      break;
    default:
      restore_cooked(frame);
  }
  const std::size_t added = head_size_ + rest_.size() - frame.data.size();
  original_length_ = frame.original_length + static_cast<std::uint32_t>(added);
}

void CapturedFrame::restore_ethernet(const kernel::Frame& frame) noexcept {
  link_ = codec::parse_link(frame.data, codec::kLinkEthernet).value_or(codec::LinkView{});
  if (frame.tpid == 0 || frame.data.size() < kAddresses) return;
  std::copy_n(frame.data.begin(), kAddresses, head_.begin());
  codec::store16(head_.data() + kAddresses, frame.tpid);
  codec::store16(head_.data() + kAddresses + 2, frame.tci);
  head_size_ = kAddresses + kTag;
  rest_ = frame.data.subspan(kAddresses);
  add_tag(frame);
}

void CapturedFrame::restore_cooked(const kernel::Frame& frame) noexcept {
  const std::uint16_t ethertype = ntohs(frame.from.sll_protocol);
  codec::CookedFacts facts;
  facts.ethertype = frame.tpid != 0 ? frame.tpid : ethertype;
  facts.interface = static_cast<std::uint32_t>(frame.from.sll_ifindex);
  facts.device_type = frame.from.sll_hatype;
  facts.packet_type = frame.from.sll_pkttype;
  facts.address_length = frame.from.sll_halen;
  std::memcpy(facts.address.data(), frame.from.sll_addr, facts.address.size());
  codec::write_cooked2(facts, head_.data());
  head_size_ = codec::kCooked2Header;
  link_ = codec::parse_network(ethertype, frame.data);
  if (frame.tpid == 0) return;
  codec::store16(head_.data() + codec::kCooked2Header, frame.tci);
  codec::store16(head_.data() + codec::kCooked2Header + 2, ethertype);
  head_size_ += kTag;
  add_tag(frame);
}

void CapturedFrame::add_tag(const kernel::Frame& frame) noexcept {
  const auto tags = link_.tags.begin();
  std::copy_backward(tags, tags + 3, tags + 4);
  link_.tags[0] = frame.tci;
  link_.tag_count = static_cast<std::uint8_t>(std::min(link_.tag_count + 1, 4));
}

}  // namespace sluice::plane
