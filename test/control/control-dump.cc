// A test's view of the codecs of IGMP, MLD and PIM: what control messages a capture holds, and a capture of
// messages made by our writers.
//
//   control-dump FILE          one JSON line for each IGMP, MLD or PIM packet: its number in the file, and
//   lists of values by
//                              the names that tshark has for the fields
//   control-dump --make FILE   messages of every kind, in both families
#include <fstream>
#include <iostream>
#include <iterator>

#include "codec/capture_reader.h"
#include "messages.h"
#include "values.h"

using namespace sluice::codec;
using namespace sluice::test;

namespace {

/** What the IP packet holds, or nothing where it is no control message. */
Values read_packet(const IpView& ip) {
  Values values;
  const ControlIp control = control_ip(ip);
  if (ip.protocol == igmp::kProtocol) {
    read_igmp(ip.transport, values);
  } else if (ip.protocol == mld::kProtocol && ip.version == 6) {
    read_mld(ip.transport, control.ends, values);
  } else if (ip.protocol == pim::kProtocol) {
    read_pim(ip.transport, control.ends, values);
  }
  if (values.empty()) return values;
  values.add("hops", control.hops);
  if (control.router_alert) values.add("alert", 0);
  values.add("source", control.ends.source);
  values.add("destination", control.ends.destination);
  return values;
}

int dump(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<std::uint8_t> file{std::istreambuf_iterator<char>(stream), {}};
  Bytes window = file;
  CaptureReader reader;
  CapturePacket packet;
  for (std::size_t number = 1; reader.next(window, true, packet) == CaptureReader::Step::packet; number++) {
    const auto link = parse_link(packet.data, packet.link_type);
    IpView ip;
    if (!link || parse_ip(*link, ip) != IpFind::ip || ip.fragment || ip.cut) continue;
    const Values values = read_packet(ip);
    if (!values.empty()) std::cout << "{\"frame\":" << number << ",\"values\":" << values.json() << "}\n";
  }
  if (reader.damage()) std::cerr << reader.damage()->text() << '\n';
  return reader.damage() ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2) return dump(arguments[1]);
  return count == 3 && std::string(arguments[1]) == "--make" ? make_messages(arguments[2]) : 2;
}
