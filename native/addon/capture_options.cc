#include "addon/capture_options.h"

#include <array>
#include <cstdio>

#include "plane/captures.h"

namespace sluice::addon {

namespace {

constexpr std::int64_t kMostCount = (std::int64_t{1} << 53) - 1;

/** The members of an array, each made by `make(value)`. */
template <class T, class Make>
std::vector<T> list(const Options& o, const char* key, Make&& make) {
  const Napi::Value value = o.get(key);
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), std::string(key) + ": expected an array");
  const auto array = value.As<Napi::Array>();
  std::vector<T> out;
  for (std::uint32_t i = 0; i < array.Length(); i++) out.push_back(make(array.Get(i)));
  return out;
}

std::vector<codec::Prefix> prefixes(Napi::Env env, const Options& o, const char* key) {
  return list<codec::Prefix>(o, key, [env](const Napi::Value& value) {
    const Options p(env, value);
    const std::string address = p.text("address");
    const auto prefix = plane::address_prefix(address, p.number<unsigned>("bits", 0, 128));
    if (!prefix) throw_error(env, {"ADDRESS_INVALID", "`" + address + "` is not a numeric address"});
    return *prefix;
  });
}

std::vector<std::uint16_t> numbers(const Options& o, const char* key) {
  return list<std::uint16_t>(o, key, [](const Napi::Value& value) {
    return static_cast<std::uint16_t>(value.ToNumber().Uint32Value());
  });
}

codec::PacketFilter filter_of(Napi::Env env, const Options& o) {
  codec::PacketFilter filter;
  filter.groups = prefixes(env, o, "groups");
  filter.hosts = prefixes(env, o, "hosts");
  filter.ports = numbers(o, "ports");
  filter.vlans = numbers(o, "vlans");
  filter.protocols = list<codec::Protocol>(o, "protocols", [env](const Napi::Value& value) {
    const auto protocol = codec::protocol_of(value.ToString().Utf8Value());
    if (!protocol) throw Napi::TypeError::New(env, "protocols: expected a known protocol");
    return *protocol;
  });
  return filter;
}

plane::FrameTarget frame_target(Napi::Env env, const Options& o) {
  plane::FrameTarget target{o.text("interfaceName"), o.flag("rewrite"), std::nullopt};
  const std::string text = o.text_or_empty("unicast");
  if (text.empty()) return target;
  std::array<unsigned, 6> bytes{};
  const int read = std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", bytes.data(), &bytes[1], &bytes[2],
                               &bytes[3], &bytes[4], &bytes[5]);
  if (read != 6) throw_error(env, {"ADDRESS_INVALID", "`" + text + "` is not an Ethernet address"});
  target.unicast.emplace();
  for (std::size_t i = 0; i < bytes.size(); i++) (*target.unicast)[i] = static_cast<std::uint8_t>(bytes[i]);
  return target;
}

}  // namespace

plane::RecordingOptions recording_options(const Options& o) {
  plane::RecordingOptions r;
  r.path = o.text("path");
  r.format = o.text("format") == "pcap" ? codec::CaptureFormat::pcap : codec::CaptureFormat::pcapng;
  r.interface_name = o.text_or_empty("interfaceName");
  r.comment = o.text("comment");
  r.application = o.text("application");
  r.snaplen = o.number<std::uint32_t>("snaplen", 1, codec::kMaxCaptured);
  r.max_packets = o.number<std::uint64_t>("maxPackets", 0, kMostCount);
  r.max_bytes = o.number<std::uint64_t>("maxBytes", 0, kMostCount);
  r.rotate = o.flag("rotate");
  r.keep = o.number<std::uint32_t>("keep", 0, 1'000'000);
  return r;
}

plane::PacketCaptureOptions capture_options(Napi::Env env, const Napi::Value& value) {
  const Options o(env, value);
  plane::PacketCaptureOptions c;
  c.socket.interface_name = o.text_or_empty("interfaceName");
  c.socket.promiscuous = o.flag("promiscuous");
  c.filter = filter_of(env, Options(env, o.get("filter")));
  c.recording = recording_options(Options(env, o.get("recording")));
  c.socket.snaplen = c.recording.snaplen;
  return c;
}

plane::ReplayOptions replay_options(Napi::Env env, const Napi::Value& value) {
  const Options o(env, value);
  plane::ReplayOptions r;
  r.path = o.text("path");
  r.speed = o.get("speed").ToNumber().DoubleValue();
  if (!(r.speed >= 0)) throw Napi::RangeError::New(env, "speed: expected 0 or more");
  r.loops = o.number<std::uint64_t>("loops", 0, kMostCount);
  if (!o.is_null("flow")) {
    const Options f(env, o.get("flow"));
    r.flow = plane::flow_ends(f.text("source"), f.number<std::uint16_t>("sourcePort", 0, 65535),
                              f.text("destination"), f.number<std::uint16_t>("port", 0, 65535));
    if (!r.flow) throw_error(env, {"ADDRESS_INVALID", "flow: expected two numeric addresses of one family"});
  }
  const Options t(env, o.get("target"));
  if (t.text("kind") == "frames") {
    r.target = frame_target(env, t);
    return r;
  }
  if (!r.flow) throw Napi::TypeError::New(env, "flow: expected one, since only datagrams are sent");
  kernel::UdpTxOptions udp;
  const std::string address = t.text("address");
  const auto destination = kernel::Address::parse(address, t.number<std::uint16_t>("port", 1, 65535));
  if (!destination) throw_error(env, {"ADDRESS_INVALID", "`" + address + "` is not a numeric address"});
  udp.destination = *destination;
  udp.interface_name = t.text_or_empty("interfaceName");
  udp.ttl = t.number<std::uint8_t>("ttl", 0, 255);
  r.target = udp;
  return r;
}

}  // namespace sluice::addon
