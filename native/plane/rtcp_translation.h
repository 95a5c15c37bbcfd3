// RTCP between a source and one of its receivers, where the receiver has numbers of its own (RFC 3550 section
// 7.2).
#pragma once

#include "codec/rtcp_writer.h"

namespace sluice::plane {

/** How what one receiver is sent comes from what the source sends. One mapping holds as long as the delta of
 * its sequence numbers: a gate that moves begins another. */
struct RtcpMapping {
  std::uint32_t source_ssrc = 0;
  /** That of the packets to the receiver. */
  std::uint32_t receiver_ssrc = 0;
  /** Receiver's number less source's, both extended by the relay (RFC 3550 A.1). */
  std::int64_t sequence_delta = 0;
  /** Receiver's extended numbers that this mapping is true for. */
  std::int64_t first_sequence = 0;
  std::int64_t last_sequence = 0;
  /** Receiver's RTP timestamps less source's, modulo 2^32. */
  std::uint32_t timestamp_delta = 0;
  /** What the receiver was sent, for the SR: packets and bytes of payload, modulo 2^32. */
  std::uint32_t packets = 0;
  std::uint32_t octets = 0;
  /** Cumulative loss that the receiver had told when the mapping began: not of this source. */
  std::int32_t lost_before = 0;
  /** The receiver's SSRC goes on when the source leaves: it is not told of that. */
  bool goes_on = false;
  /** The payload is not the source's: feedback about its contents means nothing to the source. */
  bool payload_rewritten = false;
};

/**
 * A compound of the source, as the receiver gets it; gives the size, 0 when nothing is left to be sent. Never
 * longer than `compound`; what does not fit `out` is left out.
 *
 * SR: SSRC, RTP timestamp and counts are the receiver's; NTP is kept, so that LSR and DLSR hold from end to
 * end. RR, SDES, BYE and APP of the source: SSRC. All else is left out: report blocks and feedback of a
 * source are about what flows the other way (which has a mapping of its own, see rtcp_to_source), extended
 * reports (RFC 3611) and types unknown hold SSRCs and sequence numbers at places that only they know.
 */
std::size_t rtcp_to_receiver(const codec::RtcpCompound& compound, const RtcpMapping& mapping,
                             codec::MutableBytes out) noexcept;

/**
 * A compound of the receiver, as the source gets it; gives the size, 0 when nothing is left to be sent. Never
 * longer than `compound`; what does not fit `out` is left out.
 *
 * SR and RR become an RR of the same SSRC with the blocks about receiver_ssrc, mapped. SDES, BYE: those of
 * the receiver itself. NACK (RFC 4585 section 6.2.1): numbers mapped, those that were never sent left out.
 * Picture loss, slice loss and full intra requests: media SSRC. All else is left out.
 */
std::size_t rtcp_to_source(const codec::RtcpCompound& compound, const RtcpMapping& mapping,
                           codec::MutableBytes out) noexcept;

/** One block about receiver_ssrc in the source's numbers; none when it is about another, or names a number
 * outside of the mapping. */
std::optional<codec::ReportBlock> block_to_source(const codec::ReportBlock& block,
                                                  const RtcpMapping& mapping) noexcept;

}  // namespace sluice::plane
