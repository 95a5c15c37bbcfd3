// Options of captures, recordings and replays: from JavaScript objects (daemon/plane/contract.ts) to structs.
#pragma once

#include "addon/convert.h"

namespace sluice::addon {

plane::RecordingOptions recording_options(const Options& options);
/** Throws ADDRESS_INVALID, or a TypeError, naming the key. */
plane::PacketCaptureOptions capture_options(Napi::Env env, const Napi::Value& value);
/** Throws ADDRESS_INVALID, or a TypeError, naming the key. */
plane::ReplayOptions replay_options(Napi::Env env, const Napi::Value& value);

}  // namespace sluice::addon
