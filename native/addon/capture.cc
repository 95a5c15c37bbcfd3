#include "addon/capture.h"

#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "addon/convert.h"
#include "plane/captures.h"

namespace sluice::addon {

namespace {

/** Runs a verb so that only Napi::Error leaves it. */
template <class F>
auto guarded(Napi::Env env, F&& verb) {
  try {
    return verb();
  } catch (const std::bad_alloc&) {
    throw_error(env, {"MEMORY_BUDGET", "expected memory for the whole capture, got none"});
  }
}

Napi::Uint8Array bytes_value(Napi::Env env, const std::vector<std::uint8_t>& bytes) {
  Napi::Uint8Array out = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(out.Data(), bytes.data(), bytes.size());
  return out;
}

Napi::Value text_or_null(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::Value(Napi::String::New(env, text));
}

Napi::Object flow_value(Napi::Env env, const plane::CaptureFlow& flow) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("source", plane::capture_address(flow.ends, false));
  out.Set("destination", plane::capture_address(flow.ends, true));
  out.Set("port", Napi::Number::New(env, flow.ends.destination_port));
  out.Set("rtp", Napi::Boolean::New(env, flow.rtp));
  out.Set("packets", Napi::Number::New(env, static_cast<double>(flow.packets)));
  out.Set("durationMs", Napi::Number::New(env, static_cast<double>(flow.duration_ns) / 1e6));
  out.Set("ts", bytes_value(env, flow.ts));
  return out;
}

Napi::Value read_capture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) throw Napi::TypeError::New(env, "expected the path of a capture");
  return guarded(env, [&]() -> Napi::Value {
    const std::string path = info[0].As<Napi::String>();
    auto result = plane::read_capture(path);
    if (!result.ok()) throw_error(env, result.error());
    const auto& [flows, damage] = result.value();
    Napi::Array list = Napi::Array::New(env, flows.size());
    for (std::uint32_t i = 0; i < flows.size(); i++) list.Set(i, flow_value(env, flows[i]));
    Napi::Object out = Napi::Object::New(env);
    out.Set("flows", list);
    out.Set("damage", text_or_null(env, damage ? path + ": " + damage->text() : std::string()));
    return out;
  });
}

const char* kind_of(const plane::UdpFlow& flow) {
  if (flow.kind == plane::UdpFlow::Kind::ts) return "ts";
  return flow.kind == plane::UdpFlow::Kind::rtp ? "rtp" : "udp";
}

Napi::Object udp_flow_value(Napi::Env env, const plane::UdpFlow& flow) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("source", plane::capture_address(flow.ends, false));
  out.Set("sourcePort", Napi::Number::New(env, flow.ends.source_port));
  out.Set("destination", plane::capture_address(flow.ends, true));
  out.Set("port", Napi::Number::New(env, flow.ends.destination_port));
  out.Set("kind", kind_of(flow));
  out.Set("packets", Napi::Number::New(env, static_cast<double>(flow.packets)));
  out.Set("bytes", Napi::Number::New(env, static_cast<double>(flow.bytes)));
  const auto duration = static_cast<double>(flow.last_ns - flow.first_ns);
  out.Set("durationMs", Napi::Number::New(env, duration / 1e6));
  return out;
}

Napi::Value scan_capture(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) throw Napi::TypeError::New(env, "expected the path of a capture");
  return guarded(env, [&]() -> Napi::Value {
    auto result = plane::scan_capture(info[0].As<Napi::String>());
    if (!result.ok()) throw_error(env, result.error());
    const plane::CaptureSummary& summary = result.value();
    Napi::Object out = Napi::Object::New(env);
    out.Set("packets", Napi::Number::New(env, static_cast<double>(summary.packets)));
    out.Set("bytes", Napi::Number::New(env, static_cast<double>(summary.bytes)));
    const auto duration = static_cast<double>(summary.last_ns - summary.first_ns);
    out.Set("durationMs", Napi::Number::New(env, duration / 1e6));
    Napi::Array flows = Napi::Array::New(env, summary.flows.size());
    for (std::uint32_t i = 0; i < summary.flows.size(); i++)
      flows.Set(i, udp_flow_value(env, summary.flows[i]));
    out.Set("flows", flows);
    out.Set("damage", text_or_null(env, summary.damage));
    return out;
  });
}

double milliseconds(std::int64_t ticks90k) {
  return static_cast<double>(ticks90k) / 90.0;
}

Napi::Object segment_value(Napi::Env env, const plane::ClipSegment& segment) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("startMs", Napi::Number::New(env, milliseconds(segment.start)));
  out.Set("durationMs", Napi::Number::New(env, milliseconds(segment.duration)));
  out.Set("bytes", Napi::Number::New(env, static_cast<double>(segment.size)));
  Napi::Float64Array marks = Napi::Float64Array::New(env, segment.marks.size() * 2);
  for (std::size_t i = 0; i < segment.marks.size(); i++) {
    marks[2 * i] = static_cast<double>(segment.marks[i].offset);
    marks[2 * i + 1] = static_cast<double>(segment.marks[i].time) / 27'000.0;
  }
  out.Set("marks", marks);
  return out;
}

Napi::Object stream_value(Napi::Env env, const plane::ClipStream& stream) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("pid", Napi::Number::New(env, stream.pid));
  out.Set("type", Napi::Number::New(env, stream.type));
  out.Set("jointMs", Napi::Number::New(env, milliseconds(stream.joint)));
  return out;
}

class TsClipWrap : public Napi::ObjectWrap<TsClipWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "TsClip",
        {InstanceMethod<&TsClipWrap::info>("info"), InstanceMethod<&TsClipWrap::render>("render")});
  }

  explicit TsClipWrap(const Napi::CallbackInfo& info) : ObjectWrap(info), clip_(build(info)) {}

 private:
  static plane::TsClip build(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      throw Napi::TypeError::New(env, "expected a Uint8Array of MPEG-TS");
    }
    const Napi::Value segment_ms =
        info[1].IsObject() ? info[1].As<Napi::Object>().Get("segmentMs") : env.Undefined();
    const double ms = segment_ms.IsNumber() ? segment_ms.As<Napi::Number>().DoubleValue() : -1;
    if (!(ms >= 1 && ms <= 60'000)) throw Napi::RangeError::New(env, "expected segmentMs of 1 to 60000");
    const auto ts = info[0].As<Napi::Uint8Array>();
    return guarded(env, [&] {
      auto result = plane::make_clip(ts.Data(), ts.ByteLength(), static_cast<std::int64_t>(ms));
      if (!result.ok()) throw_error(env, result.error());
      return std::move(result.value());
    });
  }

  Napi::Value info(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Object out = Napi::Object::New(env);
    out.Set("durationMs", Napi::Number::New(env, milliseconds(clip_.duration())));
    out.Set("accessPoints", Napi::Number::New(env, static_cast<double>(clip_.access_points())));
    out.Set("continuityErrors", Napi::Number::New(env, static_cast<double>(clip_.continuity_errors())));
    out.Set("pcrPid", Napi::Number::New(env, clip_.pcr_pid()));
    Napi::Array streams = Napi::Array::New(env);
    for (std::uint32_t i = 0; i < clip_.streams().size(); i++)
      streams.Set(i, stream_value(env, clip_.streams()[i]));
    out.Set("streams", streams);
    Napi::Array segments = Napi::Array::New(env);
    for (std::uint32_t i = 0; i < clip_.segments().size(); i++)
      segments.Set(i, segment_value(env, clip_.segments()[i]));
    out.Set("segments", segments);
    return out;
  }

  Napi::Value render(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const double index = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
    const double loop = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : std::nan("");
    const auto count = static_cast<double>(clip_.segments().size());
    if (!(index >= 0 && index < count) || index != std::floor(index)) {
      throw Napi::RangeError::New(
          env, "expected a segment of 0 to " + std::to_string(clip_.segments().size() - 1));
    }
    if (!(std::abs(loop) <= 9007199254740991.0) || loop != std::floor(loop)) {
      throw Napi::RangeError::New(env, "expected a whole loop number");
    }
    const auto segment = static_cast<std::size_t>(index);
    Napi::Uint8Array out = Napi::Uint8Array::New(env, clip_.segments()[segment].size);
    clip_.render(segment, static_cast<std::int64_t>(loop), out.Data());
    return out;
  }

  plane::TsClip clip_;
};

}  // namespace

void init_capture(Napi::Env env, Napi::Object exports) {
  exports.Set("readCapture", Napi::Function::New<read_capture>(env, "readCapture"));
  exports.Set("scanCapture", Napi::Function::New<scan_capture>(env, "scanCapture"));
  exports.Set("TsClip", TsClipWrap::define(env));
}

}  // namespace sluice::addon
