#include "plane/rtcp_directory.h"

#include <algorithm>
#include <string_view>

namespace sluice::plane {

std::size_t RtcpDirectory::Hash::operator()(const Key& key) const noexcept {
  return std::hash<std::string_view>()({key.data(), key.size()});
}

RtcpDirectory::Key RtcpDirectory::key_of(const kernel::Address& address) noexcept {
  Key key{};
  const auto bytes = address.bytes();
  std::copy(bytes.begin(), bytes.end(), key.begin());
  key[16] = static_cast<char>(address.port() >> 8);
  key[17] = static_cast<char>(address.port());
  return key;
}

void RtcpDirectory::add(const FlowReceiver& receiver) {
  kernel::UdpTarget target = receiver.target();
  if (receiver.rtcp_port() != 0) target.set_port(receiver.rtcp_port());
  if (!receivers_.try_emplace(receiver.handle(), target).second) return;
  by_address_.emplace(key_of(target.destination()), receiver.handle());
}

void RtcpDirectory::remove(Handle receiver) noexcept {
  const auto it = receivers_.find(receiver);
  if (it == receivers_.end()) return;
  const auto [first, last] = by_address_.equal_range(key_of(it->second.target.destination()));
  const auto at =
      std::find_if(first, last, [receiver](const auto& entry) { return entry.second == receiver; });
  by_address_.erase(at);
  receivers_.erase(it);
}

ReceiverRtcp* RtcpDirectory::find(Handle receiver) noexcept {
  const auto it = receivers_.find(receiver);
  return it != receivers_.end() ? &it->second : nullptr;
}

const ReceiverRtcp* RtcpDirectory::find(Handle receiver) const noexcept {
  const auto it = receivers_.find(receiver);
  return it != receivers_.end() ? &it->second : nullptr;
}

}  // namespace sluice::plane
