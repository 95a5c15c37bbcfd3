// A test's view of the codec: every packet of a capture as one line, and where the file is damaged.
//
//   capture-dump FILE   time, captured and original length, VLAN ids, addresses, ports; tab separated
//   capture-dump --cuts FILE   for every length of the file: packets, offset of the damage or -1
#include <arpa/inet.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "codec/capture_reader.h"
#include "codec/packet.h"

using namespace sluice::codec;

namespace {

std::string address_text(std::uint8_t version, const std::array<std::uint8_t, 16>& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(version == 4 ? AF_INET : AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

void print(const CapturePacket& packet) {
  std::string tags;
  std::string source;
  std::string destination;
  std::string ports;
  const auto link = parse_link(packet.data, packet.link_type);
  for (std::size_t i = 0; link && i < link->tag_count; i++)
    tags += (i > 0 ? "," : "") + std::to_string(link->tags[i] & 0xfff);
  IpView ip;
  if (link && parse_ip(*link, ip) == IpFind::ip) {
    source = address_text(ip.version, ip.source);
    destination = address_text(ip.version, ip.destination);
  }
  UdpDatagram udp;
  if (find_udp(packet.data, packet.link_type, udp) == UdpFind::udp)
    ports = std::to_string(udp.source_port) + "-" + std::to_string(udp.destination_port);
  std::printf("%s\t%zu\t%u\t%s\t%s\t%s\t%s\n", packet.timed ? std::to_string(packet.time_ns).c_str() : "",
              packet.data.size(), packet.original_length, tags.c_str(), source.c_str(), destination.c_str(),
              ports.c_str());
}

/** Reads in pieces of 1000 bytes, as from a file that is larger than memory. */
template <class F>
std::int64_t read(Bytes file, F&& each) {
  CaptureReader reader;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (;;) {
    Bytes window = file.subspan(begin, end - begin);
    CapturePacket packet;
    const auto step = reader.next(window, end == file.size(), packet);
    begin = end - window.size();
    if (step == CaptureReader::Step::packet) {
      each(packet);
    } else if (step == CaptureReader::Step::more) {
      end = std::min(file.size(), std::max(end + 1000, begin + reader.needed()));
    } else {
      if (reader.damage()) std::fprintf(stderr, "%s\n", reader.damage()->text().c_str());
      return reader.damage() ? static_cast<std::int64_t>(reader.damage()->offset) : -1;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  const bool cuts = std::strcmp(arguments[1], "--cuts") == 0;
  std::ifstream stream(arguments[count - 1], std::ios::binary);
  const std::vector<std::uint8_t> file{std::istreambuf_iterator<char>(stream), {}};
  if (!cuts) return read(file, print) < 0 ? 0 : 1;
  for (std::size_t size = 0; size <= file.size(); size++) {
    std::size_t packets = 0;
    const std::int64_t damage = read(Bytes(file).first(size), [&](const CapturePacket&) { packets++; });
    std::printf("%zu\t%" PRId64 "\n", packets, damage);
  }
  return 0;
}
