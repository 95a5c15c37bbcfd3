#include "plane/datagram_recorder.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "codec/packet.h"
#include "kernel/counter.h"

namespace sluice::plane {

using kernel::gauge;

namespace {

/** Address and port of one end; the family was the socket's. */
void read_end(const sockaddr_storage& from, std::array<std::uint8_t, 16>& address,
              std::uint16_t& port) noexcept {
  const bool v4 = from.ss_family == AF_INET;
  const auto& in = reinterpret_cast<const sockaddr_in&>(from);
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from);
  const auto* const bytes = v4 ? reinterpret_cast<const std::uint8_t*>(&in.sin_addr) : in6.sin6_addr.s6_addr;
  std::copy_n(bytes, v4 ? 4 : 16, address.begin());
  port = ntohs(v4 ? in.sin_port : in6.sin6_port);
}

}  // namespace

kernel::Result<std::unique_ptr<Recording>> DatagramRecorder::open(RecordingOptions options) {
  options.link_type = codec::kLinkRaw;
  return Recording::open(std::move(options));
}

DatagramRecorder::~DatagramRecorder() {
  recording_->finish(counters_.packets, counters_.kernel_drops);
}

void DatagramRecorder::on_datagram(const kernel::Datagram& datagram) noexcept {
  if (datagram.headers == nullptr) return;
  const kernel::DatagramHeaders& said = *datagram.headers;
  codec::UdpHeaders headers;
  codec::UdpDatagram& d = headers.datagram;
  d.version = said.source.ss_family == AF_INET ? 4 : 6;
  read_end(said.source, d.source, d.source_port);
  read_end(said.destination, d.destination, d.destination_port);
  d.payload = datagram.data;
  headers.ttl = said.ttl;
  headers.traffic_class = said.traffic_class;
  std::array<std::uint8_t, codec::kMostUdpHeaders> head{};
  const std::size_t size = codec::write_udp_headers(headers, head);
  if (size == 0) return;
  recording_->add(said.wall, static_cast<std::uint32_t>(size + d.payload.size()),
                  codec::Bytes(head).first(size), d.payload);
}

void DatagramRecorder::on_pause() noexcept {
  recording_->flush();
  gauge(counters_.recorded, recording_->packets());
  gauge(counters_.record_error, static_cast<std::uint64_t>(recording_->error()));
}

}  // namespace sluice::plane
