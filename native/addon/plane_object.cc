#include "addon/plane_object.h"

#include "addon/capture_options.h"
#include "addon/convert.h"

namespace sluice::addon {

using plane::Handle;

namespace {

constexpr std::int64_t kMaxSafe = (std::int64_t{1} << 53) - 1;

/** Of blocks whose parity is taken, whatever the sender makes: more than any sender of ours makes. */
constexpr repair::BlockOptions kLargestBlock{200, 55, repair::BlockOptions{}.most};

http::ClientRequest client_request_of(Napi::Env env, const Options& o, const plane::Plane& plane);

plane::RepairOptions repair_options(Napi::Env env, const Options& o, const plane::Plane& plane) {
  plane::RepairOptions r;
  r.columns = r.rows = o.flag("fec");
  if (r.columns) r.recovery.block = kLargestBlock;
  if (!o.is_null("feedback")) r.feedback = address_of(env, Options(env, o.get("feedback")));
  r.tokens = o.flag("tokens");
  r.acquisition = o.flag("acquisition");
  r.recovery.asks = r.feedback.has_value();
  if (!o.is_null("range")) r.range = client_request_of(env, Options(env, o.get("range")), plane);
  r.recovery.fetches = r.range.has_value();
  r.recovery.playout = o.milliseconds("playoutMs");
  r.recovery.least_playout = o.milliseconds("leastPlayoutMs");
  r.recovery.dither = o.milliseconds("ditherMs");
  return r;
}

plane::UdpInputOptions input_options(const Options& o, const plane::Plane& plane) {
  plane::UdpInputOptions options;
  options.socket.address = o.text("address");
  options.socket.port = o.number<std::uint16_t>("port", 0, 65535);
  options.socket.source = o.text_or_empty("source");
  options.socket.interface_name = o.text_or_empty("interfaceName");
  options.reorder = o.milliseconds("reorderMs");
  options.numbering = numbering_of(o.text("numbering"));
  if (!o.is_null("repair"))
    options.repair = repair_options(o.env(), Options(o.env(), o.get("repair")), plane);
  return options;
}

Napi::Array numbers(Napi::Env env, const std::vector<std::uint32_t>& list) {
  Napi::Array out = Napi::Array::New(env, list.size());
  for (std::uint32_t i = 0; i < list.size(); i++) out.Set(i, Napi::Number::New(env, list[i]));
  return out;
}

std::vector<std::string> texts_of(const Napi::Value& value) {
  std::vector<std::string> texts;
  const auto list = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < list.Length(); i++) texts.push_back(list.Get(i).ToString());
  return texts;
}

plane::ParitySenderOptions parity_options(Napi::Env env, const Options& o) {
  plane::ParitySenderOptions p;
  p.payload_type = o.number<std::uint8_t>("payloadType", 0, 127);
  if (!o.is_null("parity")) {
    const Options parity(env, o.get("parity"));
    p.parity = repair::ParityOptions{parity.number<unsigned>("columns", 1, 100),
                                     parity.number<unsigned>("rows", 1, 100), parity.flag("rowParity")};
  }
  if (!o.is_null("block")) {
    const Options block(env, o.get("block"));
    p.block.emplace();
    p.block->source = block.number<unsigned>("source", 1, 254);
    p.block->repair = block.number<unsigned>("repair", 1, 255 - p.block->source);
  }
  return p;
}

kernel::AddressPrefix prefix_of(Napi::Env env, const std::string& text) {
  const auto prefix = kernel::AddressPrefix::parse(text);
  if (!prefix) throw_error(env, {"ADDRESS_INVALID", "`" + text + "` is not a prefix of addresses"});
  return *prefix;
}

plane::RetransmissionOptions retransmission_options(Napi::Env env, const Options& o) {
  plane::RetransmissionOptions r;
  r.port.socket.address = o.text("address");
  r.port.socket.port = o.number<std::uint16_t>("port", 0, 65535);
  r.plain = o.flag("plain");
  r.payload_type = o.number<std::uint8_t>("payloadType", 0, 127);
  r.dscp = o.number<std::uint8_t>("dscp", 0, 63);
  r.depth = o.milliseconds("depthMs");
  r.share = o.number<unsigned>("sharePercent", 1, 1000);
  r.rate = static_cast<std::uint64_t>(o.integer("rate", 1, kMaxSafe)) / 8;
  for (const std::string& text : texts_of(o.get("allow"))) r.allowed.push_back(prefix_of(env, text));
  r.common.receivers = o.number<unsigned>("multicastAfter", 0, repair::CommonLosses::kMost);
  r.common.hold = o.milliseconds("holdMs");
  if (!o.is_null("tokenLifetimeMs")) r.token_lifetime = o.milliseconds("tokenLifetimeMs");
  if (!o.is_null("acquisition")) {
    const Options a(env, o.get("acquisition"));
    r.acquisition.emplace();
    r.acquisition->rate = a.number<unsigned>("ratePercent", 105, 1000);
    r.acquisition->most = a.number<std::size_t>("bursts", 1, 10'000);
    r.acquisition->most_rate = static_cast<std::uint64_t>(a.integer("rate", 1, kMaxSafe)) / 8;
    r.acquisition->overlap = a.milliseconds("overlapMs");
    r.acquisition->dscp = r.dscp;
  }
  return r;
}

http::ClientLimitOptions client_limits_of(Napi::Env env, const Options& o) {
  constexpr std::int64_t kMost = 1'000'000;
  http::ClientLimitOptions c;
  c.connections = o.number<std::uint32_t>("connectionsPerAddress", 0, kMost);
  c.requests = o.number<std::uint32_t>("requestsPerAddress", 0, kMost);
  c.burst = o.number<std::uint32_t>("burst", 1, kMost);
  c.all_requests = o.number<std::uint32_t>("requests", 0, kMost);
  for (const std::string& text : texts_of(o.get("exempt"))) c.exempt.push_back(prefix_of(env, text));
  return c;
}

http::TokenRule token_rule_of(Napi::Env env, const Options& o) {
  http::TokenRule rule{o.text("realm"), {}, o.flag("required")};
  const auto keys = o.get("keys").As<Napi::Array>();
  for (std::uint32_t i = 0; i < keys.Length(); i++) {
    const Options key(env, keys.Get(i));
    rule.keys.push_back({key.text("id"), key.text("secret")});
  }
  return rule;
}

http::ServerOptions limits_of(Napi::Env env, const Options& o) {
  http::ServerOptions s;
  s.max_connections = o.number<std::size_t>("maxConnections", 1, 1'000'000);
  s.header_timeout = o.milliseconds("headerTimeoutMs");
  s.idle_timeout = o.milliseconds("idleTimeoutMs");
  s.stall_timeout = o.milliseconds("stallTimeoutMs");
  s.send_buffer = o.number<int>("sendBufferBytes", 4096, 1 << 28);
  s.header_size = o.number<std::size_t>("headerSizeBytes", 1024, 1 << 20);
  s.min_rate = o.number<std::uint64_t>("minRate", 0, 1 << 30);
  s.clients = client_limits_of(env, Options(env, o.get("clients")));
  return s;
}

plane::SegmentSeal seal_of(Napi::Env env, const Options& o) {
  const auto key = secure::aes_block(o.text("key"));
  const auto vector = secure::aes_block(o.text("iv"));
  if (!key || !vector) throw Napi::TypeError::New(env, "key and iv: expected 32 hexadecimal digits");
  return {*key, *vector, static_cast<std::uint64_t>(o.integer("skipBytes", 0, kMaxSafe))};
}

plane::Route route_of(Napi::Env env, const Options& o) {
  const std::string kind = o.text("kind");
  if (kind == "static")
    return plane::StaticRoute{o.text("contentType"), o.text("cacheControl"),
                              std::make_shared<const std::string>(o.text("body"))};
  const auto stream = static_cast<Handle>(o.integer("stream", 0, kMaxSafe));
  if (kind == "continuous") return plane::ContinuousRoute{stream};
  if (kind == "playlist") return plane::PlaylistRoute{stream, o.text("prefix")};
  if (kind == "segments") return plane::SegmentsRoute{stream};
  if (kind == "packets") {
    const auto rate = static_cast<std::uint64_t>(o.integer("rate", 1, kMaxSafe)) / 8;
    return plane::PacketsRoute{stream, std::make_shared<plane::RangeRepair>(rate)};
  }
  throw Napi::TypeError::New(env, "kind: expected static, continuous, playlist, segments or packets");
}

std::vector<std::pair<std::string, std::string>> fields_of(const Options& o) {
  std::vector<std::pair<std::string, std::string>> fields;
  const auto headers = o.get("headers").As<Napi::Object>();
  const Napi::Array names = headers.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = names.Get(i).ToString();
    fields.emplace_back(name, headers.Get(name).ToString().Utf8Value());
  }
  return fields;
}

/** Where to; the head is still to be made. */
http::ClientRequest peer_of(Napi::Env env, const Options& o, const plane::Plane& plane) {
  http::ClientRequest request;
  request.address = address_of(env, o);
  if (o.is_null("tls")) return request;
  const Options tls(env, o.get("tls"));
  request.server_name = tls.text("serverName");
  request.tls = plane.tls(tls.flag("insecure"));
  if (!request.tls) throw_error(env, {"TLS_CERTIFICATE", "nobody has said whom to trust"});
  return request;
}

/** Where to, and the head. */
http::ClientRequest client_request_of(Napi::Env env, const Options& o, const plane::Plane& plane) {
  auto head = http::make_get_head(o.text("host"), o.text("target"), fields_of(o));
  if (!head.ok()) throw_error(env, head.error());
  http::ClientRequest request = peer_of(env, o, plane);
  request.head = std::move(head.value());
  return request;
}

http::ClientTimeouts timeouts_of(const Options& o) {
  return {o.milliseconds("connectTimeoutMs"), o.milliseconds("tlsTimeoutMs"), o.milliseconds("headTimeoutMs"),
          o.milliseconds("idleTimeoutMs")};
}

plane::SmootherOptions smoothing_of(const Options& o) {
  plane::SmootherOptions s;
  s.threshold = o.number<double>("thresholdPercent", 1, 1000) / 100;
  s.max_delay = o.milliseconds("maxDelayMs");
  return s;
}

http::FreshnessRule freshness_rule_of(const Options& o) {
  return {o.flag("honour"), o.milliseconds("otherwiseMs"), o.milliseconds("leastMs"),
          o.milliseconds("mostMs"), o.milliseconds("staleIfErrorMs")};
}

objects::Refusal refusal_of(const Options& o) {
  return {o.number<unsigned>("status", 400, 599), o.number<unsigned>("retryAfter", 0, 3600),
          o.text("message")};
}

plane::RelayOptions relay_options_of(Napi::Env env, const Options& o) {
  plane::RelayOptions options;
  const auto rules = o.get("allow").As<Napi::Array>();
  for (std::uint32_t i = 0; i < rules.Length(); i++) {
    const Options r(env, rules.Get(i));
    plane::RelayRule rule;
    if (!r.is_null("source")) rule.source = prefix_of(env, r.text("source"));
    rule.address = prefix_of(env, r.text("address"));
    rule.first_port = r.number<std::uint16_t>("firstPort", 1, 65535);
    rule.last_port = r.number<std::uint16_t>("lastPort", 1, 65535);
    options.allow.push_back(rule);
  }
  options.most_groups = o.number<std::size_t>("mostGroups", 1, 1000);
  options.wait = o.milliseconds("waitMs");
  options.hold = o.milliseconds("holdMs");
  return options;
}

/** Empty for plain HTTP. */
std::vector<secure::ServerCertificate> certificates_of(Napi::Env env, const Napi::Value& value) {
  std::vector<secure::ServerCertificate> certificates;
  const auto list = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const Options o(env, list.Get(i));
    certificates.push_back({o.text("chain"), o.text("key")});
  }
  return certificates;
}

}  // namespace

Napi::Function PlaneObject::define(Napi::Env env) {
  return DefineClass(env, "Plane",
                     {InstanceMethod("addStream", &PlaneObject::add_stream),
                      InstanceMethod("spliceStream", &PlaneObject::splice_stream),
                      InstanceMethod("trust", &PlaneObject::trust),
                      InstanceMethod("openUpstream", &PlaneObject::open_upstream),
                      InstanceMethod("request", &PlaneObject::request),
                      InstanceMethod("addInput", &PlaneObject::add_input),
                      InstanceMethod("addSender", &PlaneObject::add_sender),
                      InstanceMethod("setFec", &PlaneObject::set_fec),
                      InstanceMethod("addReceiver", &PlaneObject::add_receiver),
                      InstanceMethod("addCapture", &PlaneObject::add_capture),
                      InstanceMethod("addReplay", &PlaneObject::add_replay),
                      InstanceMethod("addPort", &PlaneObject::add_port),
                      InstanceMethod("removePort", &PlaneObject::remove_port),
                      InstanceMethod("addFlow", &PlaneObject::add_flow),
                      InstanceMethod("addFlowReceivers", &PlaneObject::add_flow_receivers),
                      InstanceMethod("removeFlowReceivers", &PlaneObject::remove_flow_receivers),
                      InstanceMethod("setGates", &PlaneObject::set_gates),
                      InstanceMethod("flowReceivers", &PlaneObject::flow_receivers),
                      InstanceMethod("listen", &PlaneObject::listen),
                      InstanceMethod("setCertificates", &PlaneObject::set_certificates),
                      InstanceMethod("setLimits", &PlaneObject::set_limits),
                      InstanceMethod("setTokens", &PlaneObject::set_tokens),
                      InstanceMethod("setAccessLog", &PlaneObject::set_access_log),
                      InstanceMethod("remove", &PlaneObject::remove),
                      InstanceMethod("addSite", &PlaneObject::add_site),
                      InstanceMethod("setWay", &PlaneObject::set_way),
                      InstanceMethod("fetch", &PlaneObject::fetch),
                      InstanceMethod("putObject", &PlaneObject::put_object),
                      InstanceMethod("refuseObject", &PlaneObject::refuse_object),
                      InstanceMethod("purge", &PlaneObject::purge),
                      InstanceMethod("setRelay", &PlaneObject::set_relay),
                      InstanceMethod("openRelay", &PlaneObject::open_relay),
                      InstanceMethod("refuseRelay", &PlaneObject::refuse_relay),
                      InstanceMethod("serve", &PlaneObject::serve),
                      InstanceMethod("setRoute", &PlaneObject::set_route),
                      InstanceMethod("deleteRoute", &PlaneObject::delete_route),
                      InstanceMethod("viewers", &PlaneObject::viewers),
                      InstanceMethod("counters", &PlaneObject::counters),
                      InstanceMethod("close", &PlaneObject::close)});
}

PlaneObject::PlaneObject(const Info& info) : Napi::ObjectWrap<PlaneObject>(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction())
    throw Napi::TypeError::New(env, "expected (options, onEvents)");
  events_ = std::make_unique<EventQueue<plane::Event>>(env, info[1].As<Napi::Function>(), event_value);
  const Options o(env, info[0]);
  plane::PlaneOptions options;
  options.memory = static_cast<std::size_t>(o.integer("memoryBytes", 0, kMaxSafe));
  options.objects.budget = static_cast<std::size_t>(o.integer("objectBytes", 0, kMaxSafe));
  options.objects.largest = o.number<std::size_t>("largestObjectBytes", 1, 1 << 30);
  options.via = o.text("via");
  options.loops = o.number<std::uint32_t>("loops", 1, plane::kMostLoops);
  const auto cpus = o.get("cpus").As<Napi::Array>();
  for (std::uint32_t i = 0; i < cpus.Length(); i++)
    options.cpus.push_back(cpus.Get(i).As<Napi::Number>().Uint32Value());
  plane_ = std::make_unique<plane::Plane>(
      std::move(options), [queue = events_.get()](plane::Event e) { queue->push(std::move(e)); });
  if (const auto error = plane_->start()) throw_error(env, *error);
  // Node runs hooks in reverse order, so the loop ends before the queue into this environment does.
  napi_add_env_cleanup_hook(env, on_environment_end, this);
  hooked_ = true;
}

PlaneObject::~PlaneObject() {
  // The same function as was added: a hook is found by function and argument.
  if (hooked_) napi_remove_env_cleanup_hook(Env(), on_environment_end, this);
  shut();
}

void PlaneObject::shut() {
  if (plane_) plane_->close();
  if (events_) events_->release();
}

Napi::Object PlaneObject::to_object(Napi::Env env, kernel::Result<plane::Added> added) {
  if (!added.ok()) throw_error(env, added.error());
  Napi::Object o = Napi::Object::New(env);
  o.Set("handle", Napi::Number::New(env, static_cast<double>(added.value().handle)));
  o.Set("slot", Napi::Number::New(env, added.value().slot));
  o.Set("loop", Napi::Number::New(env, added.value().loop));
  return o;
}

Napi::Value PlaneObject::add_stream(const Info& info) {
  const Options o(info.Env(), info[0]);
  plane::StreamOptions s;
  s.name = o.text("name");
  s.ring_bytes = o.number<std::size_t>("ringBytes", 1 << 20, 1 << 30);
  s.delay = o.milliseconds("delayMs");
  s.spread = o.milliseconds("spreadMs");
  if (!o.is_null("smoothing")) s.smoothing = smoothing_of(Options(info.Env(), o.get("smoothing")));
  if (!o.is_null("program")) s.program = o.number<std::uint16_t>("program", 1, 65535);
  s.segment = o.milliseconds("segmentMs");
  s.window = o.number<std::size_t>("windowSegments", 1, 1000);
  s.ssrc = o.number<std::uint32_t>("ssrc", 0, 0xffffffffLL);
  if (!o.is_null("loop")) s.loop = o.number<std::uint32_t>("loop", 0, plane::kMostLoops - 1);
  return to_object(info.Env(), plane_->add_stream(s));
}

Napi::Value PlaneObject::splice_stream(const Info& info) {
  return Napi::Boolean::New(info.Env(), plane_->splice_stream(handle_of(info[0])));
}

Napi::Value PlaneObject::trust(const Info& info) {
  auto trusted = plane_->trust(info[0].As<Napi::String>().Utf8Value());
  if (!trusted.ok()) throw_error(info.Env(), trusted.error());
  return info.Env().Undefined();
}

Napi::Value PlaneObject::open_upstream(const Info& info) {
  const Options o(info.Env(), info[1]);
  return to_object(info.Env(), plane_->open_upstream(handle_of(info[0]), timeouts_of(o)));
}

Napi::Value PlaneObject::request(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[1]);
  plane::UpstreamRequest r;
  r.id = static_cast<std::uint64_t>(o.integer("id", 0, kMaxSafe));
  r.http = client_request_of(env, o, *plane_);
  r.http.to_sink = o.text("sink") == "stream";
  r.http.max_bytes = static_cast<std::uint64_t>(o.integer("maxBytes", 0, kMaxSafe));
  r.http.skip_bytes = static_cast<std::uint64_t>(o.integer("skipBytes", 0, kMaxSafe));
  r.http.total = o.milliseconds("totalTimeoutMs");
  r.discontinuity = o.flag("discontinuity");
  if (!o.is_null("seal")) r.seal = seal_of(env, Options(env, o.get("seal")));
  return Napi::Boolean::New(env, plane_->request(handle_of(info[0]), std::move(r)));
}

Napi::Value PlaneObject::add_input(const Info& info) {
  return to_object(info.Env(), plane_->add_input(handle_of(info[0]),
                                                 input_options(Options(info.Env(), info[1]), *plane_)));
}

Napi::Value PlaneObject::add_sender(const Info& info) {
  const Options o(info.Env(), info[1]);
  plane::SenderOptions s;
  s.socket.destination = address_of(info.Env(), o);
  s.socket.interface_name = o.text_or_empty("interfaceName");
  s.socket.source_address = o.text_or_empty("sourceAddress");
  s.socket.source_port = o.number<std::uint16_t>("sourcePort", 0, 65535);
  s.socket.ttl = o.number<std::uint8_t>("ttl", 0, 255);
  s.socket.dscp = o.number<std::uint8_t>("dscp", 0, 63);
  s.socket.loop = o.flag("loop");
  s.batching = batching_of(o.text("batching"));
  s.numbering = numbering_of(o.text("numbering"));
  if (!o.is_null("rtcp")) s.cname = Options(info.Env(), o.get("rtcp")).text("cname");
  if (!o.is_null("fec")) s.parity = parity_options(info.Env(), Options(info.Env(), o.get("fec")));
  if (!o.is_null("retransmission"))
    s.retransmission = retransmission_options(info.Env(), Options(info.Env(), o.get("retransmission")));
  return to_object(info.Env(), plane_->add_sender(handle_of(info[0]), s));
}

Napi::Value PlaneObject::set_fec(const Info& info) {
  plane::ParitySenderOptions parity;
  if (!info[1].IsNull()) parity = parity_options(info.Env(), Options(info.Env(), info[1]));
  if (const auto failure = plane_->set_parity(handle_of(info[0]), parity)) throw_error(info.Env(), *failure);
  return info.Env().Undefined();
}

Napi::Value PlaneObject::add_receiver(const Info& info) {
  const Options o(info.Env(), info[0]);
  plane::ReceiverOptions r{input_options(o, *plane_), std::nullopt, std::nullopt};
  if (!o.is_null("outputFd")) r.output_fd = o.number<int>("outputFd", 0, 1 << 20);
  if (!o.is_null("recording")) r.recording = recording_options(Options(info.Env(), o.get("recording")));
  return to_object(info.Env(), plane_->add_receiver(r));
}

Napi::Value PlaneObject::add_capture(const Info& info) {
  return to_object(info.Env(), plane_->add_capture(capture_options(info.Env(), info[0])));
}

Napi::Value PlaneObject::add_replay(const Info& info) {
  return to_object(info.Env(), plane_->add_replay(replay_options(info.Env(), info[0])));
}

Napi::Value PlaneObject::listen(const Info& info) {
  const Options o(info.Env(), info[0]);
  http::ServerOptions s = limits_of(info.Env(), o);
  s.address = address_of(info.Env(), o);
  if (const auto certificates = certificates_of(info.Env(), o.get("tls")); !certificates.empty()) {
    auto tls = secure::ServerContext::create(certificates);
    if (!tls.ok()) throw_error(info.Env(), tls.error());
    s.tls = std::move(tls.value());
  }
  s.hold = o.flag("hold");
  if (o.get("fd").IsNumber()) s.socket = o.number<int>("fd", 0, 1 << 20);
  plane::Listening opened;
  Napi::Object added = to_object(info.Env(), plane_->listen(s, o.milliseconds("viewerLagMs"), opened));
  added.Set("port", Napi::Number::New(info.Env(), opened.port));
  added.Set("fd", Napi::Number::New(info.Env(), opened.socket));
  added.Set("slots", numbers(info.Env(), opened.slots));
  return added;
}

Napi::Value PlaneObject::set_certificates(const Info& info) {
  const auto failure = plane_->set_certificates(handle_of(info[0]), certificates_of(info.Env(), info[1]));
  if (failure) throw_error(info.Env(), *failure);
  return info.Env().Undefined();
}

Napi::Value PlaneObject::add_site(const Info& info) {
  const Options o(info.Env(), info[0]);
  const Napi::Env env = info.Env();
  return to_object(env, plane_->add_site({o.text("prefix"), o.flag("query"), o.text("name"),
                                          token_rule_of(env, Options(env, o.get("tokens")))}));
}

Napi::Value PlaneObject::set_way(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[1]);
  plane::Way way;
  way.http = peer_of(env, o, *plane_);
  way.http.to_sink = true;
  way.http.raw = true;
  way.timeouts = timeouts_of(Options(env, o.get("timeouts")));
  way.freshness = freshness_rule_of(Options(env, o.get("freshness")));
  way.host = o.text("host");
  way.base = o.text("base");
  way.fields = fields_of(o);
  const auto but = o.get("but").As<Napi::Array>();
  for (std::uint32_t i = 0; i < but.Length(); i++) way.but.push_back(but.Get(i).ToString());
  const kernel::Nanos valid = o.milliseconds("validMs");
  return Napi::Boolean::New(env, plane_->set_way(handle_of(info[0]), std::move(way), valid));
}

Napi::Value PlaneObject::fetch(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[0]);
  plane::FetchRequest r;
  r.id = static_cast<std::uint64_t>(o.integer("id", 0, kMaxSafe));
  r.http = client_request_of(env, o, *plane_);
  r.timeouts = timeouts_of(Options(env, o.get("timeouts")));
  if (o.is_null("fill")) {
    r.http.max_bytes = static_cast<std::uint64_t>(o.integer("maxBytes", 0, kMaxSafe));
  } else {
    const Options fill(env, o.get("fill"));
    r.http.to_sink = true;
    r.http.raw = true;
    r.ticket = static_cast<std::uint64_t>(fill.integer("ticket", 1, kMaxSafe));
    r.freshness = freshness_rule_of(fill);
  }
  return Napi::Boolean::New(env, plane_->fetch(std::move(r)));
}

Napi::Value PlaneObject::put_object(const Info& info) {
  const Napi::Env env = info.Env();
  const Options o(env, info[1]);
  plane::MadeObject made;
  made.head.status = o.number<unsigned>("status", 200, 599);
  for (auto& [name, value] : fields_of(o)) made.head.fields.push_back({std::move(name), std::move(value)});
  made.body = o.text("body");
  made.freshness = freshness_rule_of(Options(env, o.get("freshness")));
  return Napi::Boolean::New(env, plane_->put_object(handle_of(info[0]), std::move(made)));
}

Napi::Value PlaneObject::refuse_object(const Info& info) {
  const Napi::Env env = info.Env();
  return Napi::Boolean::New(env,
                            plane_->refuse_object(handle_of(info[0]), refusal_of(Options(env, info[1]))));
}

Napi::Value PlaneObject::set_relay(const Info& info) {
  const Napi::Env env = info.Env();
  plane_->set_relay(info[0].IsNull() ? std::nullopt
                                     : std::optional(relay_options_of(env, Options(env, info[0]))));
  return env.Undefined();
}

Napi::Value PlaneObject::open_relay(const Info& info) {
  return Napi::Boolean::New(info.Env(),
                            plane_->open_relay(info[0].As<Napi::String>().Utf8Value(), handle_of(info[1])));
}

Napi::Value PlaneObject::refuse_relay(const Info& info) {
  const Napi::Env env = info.Env();
  return Napi::Boolean::New(
      env, plane_->refuse_relay(info[0].As<Napi::String>().Utf8Value(), refusal_of(Options(env, info[1]))));
}

Napi::Value PlaneObject::purge(const Info& info) {
  const std::size_t purged = plane_->purge(handle_of(info[0]), info[1].As<Napi::String>().Utf8Value());
  return Napi::Number::New(info.Env(), static_cast<double>(purged));
}

Napi::Value PlaneObject::set_limits(const Info& info) {
  const Options o(info.Env(), info[1]);
  return Napi::Boolean::New(info.Env(), plane_->set_limits(handle_of(info[0]), limits_of(info.Env(), o),
                                                           o.milliseconds("viewerLagMs")));
}

Napi::Value PlaneObject::set_tokens(const Info& info) {
  const Napi::Env env = info.Env();
  return Napi::Boolean::New(
      env, plane_->set_tokens(handle_of(info[0]), token_rule_of(env, Options(env, info[1]))));
}

Napi::Value PlaneObject::set_access_log(const Info& info) {
  const Napi::Env env = info.Env();
  std::optional<http::AccessLogOptions> options;
  if (!info[0].IsNull()) {
    using Format = http::LogFormat;
    const Options o(env, info[0]);
    options = {o.text("file"), o.text("format") == "json" ? Format::json : Format::combined};
  }
  if (const auto failure = plane_->set_access_log(options)) throw_error(env, *failure);
  return env.Undefined();
}

Napi::Value PlaneObject::serve(const Info& info) {
  return Napi::Boolean::New(info.Env(), plane_->serve(handle_of(info[0])));
}

Napi::Value PlaneObject::remove(const Info& info) {
  return Napi::Boolean::New(info.Env(), plane_->remove(handle_of(info[0])));
}

Napi::Value PlaneObject::set_route(const Info& info) {
  plane_->set_route(info[0].As<Napi::String>().Utf8Value(),
                    route_of(info.Env(), Options(info.Env(), info[1])));
  return info.Env().Undefined();
}

Napi::Value PlaneObject::delete_route(const Info& info) {
  plane_->delete_route(info[0].As<Napi::String>().Utf8Value());
  return info.Env().Undefined();
}

Napi::Value PlaneObject::viewers(const Info& info) {
  const Napi::Env env = info.Env();
  const auto rows = plane_->viewers();
  Napi::Array out = Napi::Array::New(env, rows.size());
  for (std::size_t i = 0; i < rows.size(); i++) {
    const auto& row = rows[i];
    Napi::Object o = Napi::Object::New(env);
    o.Set("id", Napi::Number::New(env, static_cast<double>(row.id)));
    o.Set("stream", Napi::Number::New(env, static_cast<double>(row.follower.stream)));
    o.Set("remote", Napi::String::New(env, row.remote));
    // From the network: bytes that are not UTF-8 are replaced, never thrown at.
    o.Set("userAgent", Napi::Buffer<char>::Copy(env, row.user_agent.data(), row.user_agent.size()));
    const kernel::Nanos connected_ms = row.connected / kernel::kMillisecond;
    o.Set("connectedMs", Napi::Number::New(env, static_cast<double>(connected_ms)));
    o.Set("bytes", Napi::Number::New(env, static_cast<double>(row.bytes)));
    o.Set("drops", Napi::Number::New(env, static_cast<double>(row.follower.drops)));
    o.Set("lagBytes", Napi::Number::New(env, static_cast<double>(row.follower.lag_bytes)));
    out.Set(static_cast<std::uint32_t>(i), o);
  }
  return out;
}

Napi::Value PlaneObject::counters(const Info& info) {
  const Napi::Env env = info.Env();
  const auto& words = plane_->counters().words();
  // JavaScript holds the table as long as it likes.
  auto* const keep = new std::shared_ptr<std::uint64_t[]>(words);
  Napi::Object o = Napi::Object::New(env);
  o.Set("table", Napi::ArrayBuffer::New(
                     env, words.get(), plane_->counters().slots() * plane::kSlotWords * sizeof(std::uint64_t),
                     [](Napi::Env, void*, std::shared_ptr<std::uint64_t[]>* held) { delete held; }, keep));
  o.Set("slotWords", Napi::Number::New(env, plane::kSlotWords));
  o.Set("loopSlots", numbers(env, plane_->loop_slots()));
  o.Set("objectSlot", Napi::Number::New(env, plane_->object_slot()));
  o.Set("fetchSlot", Napi::Number::New(env, plane_->fetch_slot()));
  o.Set("accessLogSlot", Napi::Number::New(env, plane_->access_log_slot()));
  o.Set("relaySlot", Napi::Number::New(env, plane_->relay_slot()));
  return o;
}

Napi::Value PlaneObject::close(const Info& info) {
  shut();
  return info.Env().Undefined();
}

}  // namespace sluice::addon
