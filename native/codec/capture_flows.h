// The MPEG-TS flows of a capture: datagrams of one sender and destination, put in order, RTP headers taken
// off.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "codec/capture_reader.h"
#include "codec/packet.h"

namespace sluice::codec {

/** One MPEG-TS flow, plain over UDP or as RTP/MP2T (RFC 2250 section 2). */
struct CaptureFlow {
  /** Addresses and ports of the first datagram; its payload is empty. */
  UdpDatagram ends;
  bool rtp = false;
  /** Datagrams, RTP duplicates left out. */
  std::size_t packets = 0;
  /** From the first to the last capture time. */
  std::int64_t duration_ns = 0;
  /** Whole 188-byte packets; RTP in the order of the sequence numbers (what was lost is missing). */
  std::vector<std::uint8_t> ts;
};

/** Why a capture gives no flow: `code` is CAPTURE_INVALID or CAPTURE_EMPTY, `message` one sentence without
 * file name. */
struct CaptureError {
  const char* code = "CAPTURE_INVALID";
  std::string message;
};

/** What a capture gives. */
struct CaptureFlows {
  /** All MPEG-TS flows, in the order of their first datagrams; at least one. */
  std::vector<CaptureFlow> flows;
  /** Where the file is damaged: the flows end there. */
  std::optional<CaptureDamage> damage;
};

/** The flows of a capture, up to where it is damaged; an error when there is none. */
std::variant<CaptureFlows, CaptureError> read_capture_flows(Bytes file);

}  // namespace sluice::codec
