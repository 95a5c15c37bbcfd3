// Captures from files, and clips that play endlessly: what the plane offers besides live streams.
#pragma once

#include <string>
#include <vector>

#include "codec/capture_flows.h"
#include "codec/packet_filter.h"
#include "codec/ts_clip.h"
#include "kernel/result.h"
#include "plane/capture_file.h"

namespace sluice::plane {

using codec::CaptureFlow;
using codec::CaptureFlows;
using codec::ClipSegment;
using codec::ClipStream;
using codec::TsClip;

/** A capture is read whole; larger files are refused. */
constexpr std::size_t kMaxCaptureBytes = std::size_t{1} << 30;

/** The MPEG-TS flows of a capture, at least one, up to where it is damaged. CAPTURE_INVALID or CAPTURE_EMPTY,
 * with the file's name, else. */
kernel::Result<CaptureFlows> read_capture(const std::string& path);

/** A numeric address of a datagram's ends, as text. */
std::string capture_address(const codec::UdpDatagram& ends, bool destination);

/** The ends of a flow from numeric addresses of one family; none when they are not. */
std::optional<codec::UdpDatagram> flow_ends(const std::string& source, std::uint16_t source_port,
                                            const std::string& destination, std::uint16_t destination_port);

/** A numeric address and how many of its first bits count; none when it is none, or there are not so many. */
std::optional<codec::Prefix> address_prefix(const std::string& address, unsigned bits);

/** The clip of a recording; CAPTURE_INVALID or CAPTURE_EMPTY. `segment_ms` as for TsClip::build. */
kernel::Result<TsClip> make_clip(const std::uint8_t* recording, std::size_t size, std::int64_t segment_ms);

}  // namespace sluice::plane
