// Verbs for ports, flows and their receivers.
#include "addon/convert.h"
#include "addon/plane_object.h"

namespace sluice::addon {

using plane::Handle;

namespace {

std::optional<kernel::Address> address_or_none(Napi::Env env, const Options& o, const char* key) {
  if (o.is_null(key)) return std::nullopt;
  const std::string text = o.text(key);
  const auto address = kernel::Address::parse(text, 0);
  if (!address) throw_error(env, {"ADDRESS_INVALID", "`" + text + "` is not a numeric IPv4 or IPv6 address"});
  return address;
}

std::optional<std::uint32_t> ssrc_of(const Options& o) {
  if (o.is_null("ssrc")) return std::nullopt;
  return o.number<std::uint32_t>("ssrc", 0, 0xffffffffLL);
}

plane::FlowReceiverOptions receiver_of(Napi::Env env, const Options& o) {
  plane::FlowReceiverOptions r;
  r.port = handle_of(o.get("port"));
  r.destination = address_of(env, o, "address", "destinationPort");
  r.rtcp_port = o.number<std::uint16_t>("rtcpPort", 0, 65535);
  r.source = address_or_none(env, o, "sourceAddress");
  r.dscp = o.number<std::uint8_t>("dscp", 0, 63);
  r.ssrc = ssrc_of(o);
  if (!o.is_null("payloadType")) r.payload_type = o.number<std::uint8_t>("payloadType", 0, 127);
  r.sequence_offset = o.number<std::uint16_t>("sequenceOffset", 0, 0xffff);
  r.timestamp_offset = o.number<std::uint32_t>("timestampOffset", 0, 0xffffffffLL);
  r.open = o.flag("open");
  return r;
}

std::vector<Handle> handles_of(const Napi::Value& value) {
  std::vector<Handle> handles;
  const auto list = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < list.Length(); i++) handles.push_back(handle_of(list.Get(i)));
  return handles;
}

/** Null before a report came. */
Napi::Value report_of(Napi::Env env, const plane::FlowReceiverRow& row) {
  if (!row.report) return env.Null();
  const auto milliseconds = [env](kernel::Nanos n) {
    return Napi::Number::New(env, static_cast<double>(n) / static_cast<double>(kernel::kMillisecond));
  };
  Napi::Object o = Napi::Object::New(env);
  o.Set("fractionLost", Napi::Number::New(env, row.report->fraction_lost));
  o.Set("lost", Napi::Number::New(env, row.report->lost));
  o.Set("jitterMs", milliseconds(row.report->jitter));
  o.Set("roundTripMs",
        row.report->round_trip ? Napi::Value(milliseconds(*row.report->round_trip)) : env.Null());
  o.Set("ageMs", milliseconds(row.report_age));
  return o;
}

}  // namespace

Napi::Value PlaneObject::add_port(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[0]);
  plane::PortOptions p;
  p.socket.socket.address = o.text("address");
  p.socket.socket.port = o.number<std::uint16_t>("port", 0, 65535);
  p.socket.socket.source = o.text_or_empty("source");
  p.socket.socket.interface_name = o.text_or_empty("interfaceName");
  p.socket.socket.receive_buffer = o.number<int>("receiveBufferBytes", 1 << 16, 1 << 28);
  p.socket.ttl = o.number<std::uint8_t>("ttl", 1, 255);
  p.socket.multicast_loop = o.flag("multicastLoop");
  p.batching = batching_of(o.text("batching"));
  std::optional<std::uint32_t> loop;
  if (!o.is_null("loop")) loop = o.number<std::uint32_t>("loop", 0, plane::kMostLoops);
  std::uint16_t number = 0;
  Napi::Object out = to_object(env, plane_->add_port(p, loop, number));
  out.Set("port", Napi::Number::New(env, number));
  return out;
}

Napi::Value PlaneObject::remove_port(const Info& info) {
  if (const auto refused = plane_->remove_port(handle_of(info[0]))) throw_error(info.Env(), *refused);
  return info.Env().Undefined();
}

Napi::Value PlaneObject::add_flow(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[1]);
  plane::AddFlow flow;
  plane::FlowOptions& f = flow.flow;
  f.name = o.text("name");
  f.rtp = o.text("media") == "rtp";
  f.clock_rate = o.number<std::uint32_t>("clockRate", 1000, 1'000'000);
  f.history = o.number<std::size_t>("historyBytes", 0, 1 << 30);
  f.wait = o.integer("waitUs", 0, 2000) * (kernel::kMillisecond / 1000);
  f.priority = o.number<unsigned>("priority", 0, 7);
  if (!o.is_null("smoothing")) {
    const Options smoothing(env, o.get("smoothing"));
    f.smoothing = plane::SmootherOptions{smoothing.number<double>("thresholdPercent", 1, 1000) / 100,
                                         smoothing.milliseconds("maxDelayMs"), 0};
  }
  const Options m(env, info[2]);
  flow.match.remote = address_or_none(env, m, "remote");
  flow.match.remote_port = m.number<std::uint16_t>("remotePort", 0, 65535);
  flow.match.ssrc = ssrc_of(m);
  if (!o.is_null("rtcp")) {
    const Options rtcp(env, o.get("rtcp"));
    flow.rtcp = {rtcp.text("cname"), static_cast<double>(rtcp.integer("bandwidth", 0, 1LL << 53))};
    if (!rtcp.is_null("port")) flow.rtcp_port = handle_of(rtcp.get("port"));
  }
  return to_object(env, plane_->add_flow(handle_of(info[0]), std::move(flow)));
}

Napi::Value PlaneObject::add_flow_receivers(const Info& info) {
  const Napi::Env env = info.Env();
  const auto list = info[1].As<Napi::Array>();
  std::vector<plane::FlowReceiverOptions> receivers;
  receivers.reserve(list.Length());
  for (std::uint32_t i = 0; i < list.Length(); i++)
    receivers.push_back(receiver_of(env, Options(env, list.Get(i))));
  auto first = plane_->add_flow_receivers(handle_of(info[0]), receivers);
  if (!first.ok()) throw_error(env, first.error());
  return Napi::Number::New(env, static_cast<double>(first.value()));
}

Napi::Value PlaneObject::remove_flow_receivers(const Info& info) {
  plane_->remove_flow_receivers(handles_of(info[0]));
  return info.Env().Undefined();
}

Napi::Value PlaneObject::set_gates(const Info& info) {
  const Napi::Env env = info.Env();
  const auto list = info[0].As<Napi::Array>();
  std::vector<plane::GateChange> changes;
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Options o(env, list.Get(i));
    changes.push_back({handle_of(o.get("receiver")), o.flag("open"),
                       o.is_null("flow") ? 0 : handle_of(o.get("flow")), o.milliseconds("prebufferMs")});
  }
  if (const auto refused = plane_->set_gates(changes)) throw_error(env, *refused);
  return env.Undefined();
}

Napi::Value PlaneObject::flow_receivers(const Info& info) {
  const Napi::Env env = info.Env();
  const auto rows = plane_->flow_receivers(handle_of(info[0]), info[1].As<Napi::Number>().Uint32Value(),
                                           info[2].As<Napi::Number>().Uint32Value());
  Napi::Array out = Napi::Array::New(env, rows.size());
  for (std::size_t i = 0; i < rows.size(); i++) {
    const auto& row = rows[i];
    Napi::Object o = Napi::Object::New(env);
    const auto set = [&](const char* key, auto value) {
      o.Set(key, Napi::Number::New(env, static_cast<double>(value)));
    };
    set("receiver", row.receiver);
    set("flow", row.flow);
    o.Set("open", Napi::Boolean::New(env, row.open));
    set("packets", row.packets);
    set("bytes", row.bytes);
    set("errors", row.errors);
    set("switches", row.switches);
    set("sequence", row.sequence);
    o.Set("report", report_of(env, row));
    out.Set(static_cast<std::uint32_t>(i), o);
  }
  return out;
}

}  // namespace sluice::addon
