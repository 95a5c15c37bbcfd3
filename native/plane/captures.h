// Captures from files, and clips that play endlessly: what the plane offers besides live streams.
#pragma once

#include <string>
#include <vector>

#include "codec/capture_flows.h"
#include "codec/ts_clip.h"
#include "kernel/result.h"

namespace sluice::plane {

using codec::CaptureFlow;
using codec::ClipSegment;
using codec::ClipStream;
using codec::TsClip;

/** A capture is read whole; larger files are refused. */
constexpr std::size_t kMaxCaptureBytes = std::size_t{1} << 30;

/** The MPEG-TS flows of a capture, at least one. CAPTURE_INVALID or CAPTURE_EMPTY, with the file's name,
 * else. */
kernel::Result<std::vector<CaptureFlow>> read_capture(const std::string& path);

/** A numeric address of a flow's ends, as text. */
std::string capture_address(const CaptureFlow& flow, bool destination);

/** The clip of a recording; CAPTURE_INVALID or CAPTURE_EMPTY. `segment_ms` as for TsClip::build. */
kernel::Result<TsClip> make_clip(const std::uint8_t* recording, std::size_t size, std::int64_t segment_ms);

}  // namespace sluice::plane
