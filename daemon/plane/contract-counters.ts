/** The counters of the native boundary, list by list: what stands in the shared table, in its order. */

/**
 * Counters of a stream. All are totals since the stream was added unless said otherwise.
 * The order here is the order in the shared table; the addon states its own order and a test compares the two.
 */
export const STREAM_COUNTERS = [
  'bytesIn', // MPEG-TS bytes taken from the source
  'tsPacketsIn',
  'packetsIn', // RTP packets put into the ring
  'bytesRing', // payload bytes put into the ring
  'packetsReleased', // RTP packets that reached their departure time
  'syncErrors', // times the 0x47 was lost
  'continuityErrors', // ISO/IEC 13818-1 2.4.3.3
  'transportErrors', // transport_error_indicator set
  'discontinuities', // splices: announced by the source, or a PCR that jumped
  'underruns', // the recovered clock ran out of packets
  'ringFullDrops', // MPEG-TS packets dropped because the ring had no room
  'ringUsedBytes', // gauge: payload bytes from the oldest valid to the newest
  'ringSizeBytes', // gauge
  'bufferLevelUs', // gauge: media time between what has arrived and what departs now
  'clockPpb', // gauge, signed: correction of the recovered clock, parts per 10^9
  'bitrate', // gauge: bits a second over the last few seconds
  'segmentBitratePeak', // gauge: largest bits a second of any listed segment (RFC 8216 4.3.4.2 BANDWIDTH)
  'segments', // HLS segments cut
  'accessPoints', // random access points seen
  'viewersContinuous', // gauge
  'viewersSegmented', // gauge: connections, or addresses of closed ones, that fetched within three target durations
  'viewerBytes', // bytes sent to HTTP viewers
  'viewerDrops', // times a slow viewer jumped
  'viewerDropBytes', // bytes that slow viewers lost
  'segmentOverruns', // segment answers cut short because the ring passed the reader
  'rtpSequence', // gauge: extended sequence number of the next packet
  'lastInputMs', // gauge: CLOCK_MONOTONIC ms of the last byte taken
  'meanRate', // gauge: bits a second of the media over the last four seconds, before smoothing
  'rateVariation', // gauge: largest deviation of 100 ms from that, percent
  'peakRate', // gauge: largest bits a second of any 100 ms of those
  'outputPeakRate', // gauge: the same as it departs
  'smoothing', // gauge: 1 while packets are paced
  'smoothingDelayUs', // gauge: largest added delay over the last second
  'smoothingDelayMaxUs', // gauge: and since the stream was added
  'rangeServed', // requests for ranges of packets that were answered
  'rangeGone', // of whose packets none was there
  'rangeMalformed', // without a range that can be read, or of too many packets
  'rangeShed', // beyond the budget
  'rangePackets', // in the answers
  'rangeBytes', // of those, with their lengths
] as const;

/** Counters of an upstream connection. */
export const UPSTREAM_COUNTERS = [
  'connects',
  'requests',
  'connected', // gauge: 1 while a TCP connection is open
  'bytesIn', // as on the wire, heads included, TLS's own bytes not
] as const;

/** Counters of a UDP/RTP input and of a measuring receiver. */
export const INPUT_COUNTERS = [
  'packets',
  'bytes', // UDP payload
  'rtpLost', // given up; those of them that came after all are in rtpLate too (RFC 3550 A.3: the difference)
  'rtpReordered',
  'rtpDuplicates',
  'rtpLate', // came after they had been given up
  'jitterNs', // gauge: RFC 3550 6.4.1, of a 90 kHz clock, in ns
  'malformed', // neither RTP nor MPEG-TS, or cut short
  'kernelDrops', // SO_RXQ_OVFL
  'tsPackets',
  'continuityErrors',
  'transportErrors',
  'syncErrors',
  'pcrCount',
  'pcrJitterNs', // gauge: largest |PCR_AC + arrival| deviation over the last second
  'pcrDiscontinuities',
  'ssrc', // gauge
  'lastSequence', // gauge: highest extended sequence number received
  'outputBytes', // bytes written to the file descriptor
  'outputErrors',
  'recorded', // datagrams written into the recording
  'recordError', // gauge: errno of what ended the recording, or 0
  'rtcp', // datagrams of RTCP that came beside the RTP (RFC 5761)
  'missing', // RTP packets that were missing at first, repaired later or not; those below only where there is repair
  'damaged', // RTP packets whose payload is no whole MPEG-TS, or says that it is damaged: taken as missing
  'byParity', // repaired by ST 2022-1
  'byBlock', // repaired by the block code
  'byRetransmission',
  'byFetch', // repaired from elsewhere, such as by HTTP
  'parityPackets', // taken, of any code
  'nacks', // compound packets with generic NACKs sent
  'nacked', // packets asked for in them
  'resent', // retransmissions that came
  'playoutUs', // gauge: from arrival to delivery
  'repairRoundTripUs', // gauge: from asking to the answer
  'tokensGranted', // tokens that the retransmission server gave (RFC 6284)
  'tokensRefused', // and those that it did not take any more
  'acquisition', // gauge of rapid acquisition: 1 asking, 2 a burst comes, 3 the group is joined, 4 done; 0 without
  'acquisitionResponse', // gauge: last response to it (RFC 6285 section 7.3.1), 0 for none
  'acquired', // packets that came as a burst
  'joinErrors', // joins that failed after it; tried again
  'fetches', // requests for packets by HTTP
  'fetchAsked', // packets asked for in them
  'fetchErrors', // requests that had no answer, or one that is none
] as const;

/** Counters of a capture. */
export const CAPTURE_COUNTERS = [
  'packets', // recorded
  'bytes', // of those, on the wire
  'received', // taken from the socket, before the filter
  'kernelDrops', // PACKET_STATISTICS
  'fileBytes', // written, in all files
  'files',
] as const;

/** Counters of a replay. */
export const REPLAY_COUNTERS = [
  'packets', // sent
  'bytes', // frames, or UDP payload
  'unsuitable', // not sent: cut by the snap length, or of a kind that the device does not carry
  'errors', // refused by the kernel
  'lastError', // gauge: errno of the last of those
  'loops', // times that the end of the file was reached
  'lateNsMax', // gauge: worst lateness of a packet
] as const;

/** Counters of an RTP sender. */
export const SENDER_COUNTERS = [
  'packets',
  'bytes', // RTP packets without UDP and IP headers
  'calls', // system calls
  'errors',
  'drops', // packets the kernel did not take, or that the ring passed
  'segmentation', // gauge: 1 where UDP_SEGMENT is in use
  'rtcpOut', // compound packets
  'rtcpErrors', // those that the kernel did not take
  'rtcpIn', // compound packets that receivers answered
  'rtcpMalformed',
  'reports', // report blocks about this sender
  'reportedLostPpm', // gauge: fraction lost, of the last of those
  'reportedJitterUs', // gauge: of the last of those
  'roundTripUs', // gauge: of the last of those that named an SR
  'parityColumns', // ST 2022-1 packets sent, of columns
  'parityRows', // and of rows
  'parityBlocks', // repair packets of the block code sent
  'parityBytes', // of all parity, without UDP and IP headers
  'parityErrors', // those that the kernel did not take
  'feedbackIn', // compound packets that came to the retransmission server
  'feedbackMalformed',
  'feedbackRefused', // of senders that are not authorised
  'nacks', // generic NACKs (RFC 4585) of those that are
  'nacked', // packets asked for
  'resent',
  'resentBytes', // without UDP and IP headers
  'resendGone', // asked for, and no longer, or never, in the store
  'resendShed', // asked for beyond the budget
  'resendErrors', // not taken by the kernel
  'tokensGranted', // Port Mapping Requests answered (RFC 6284)
  'tokensRefused', // tokens shown that were no good, or no longer, or another's
  'acquisitions', // bursts that began (RFC 6285)
  'acquisitionsRefused',
  'burstPackets',
  'burstBytes', // without UDP and IP headers
  'askedPackets', // different packets asked for
  'resentToAll', // of those resent, to the group
  'suppressed', // asked for while they were on their way to the group
  'lossReports', // report blocks that came to the retransmission server, of those that may ask
  'audience', // gauge: receivers heard there within ten seconds of the last report
  'reportedExpected', // packets that these receivers together should have had between their reports
  'reportedMissing', // and those of them that did not come at first, whether repaired or not
  'tailLossPpm', // gauge: what nineteen of twenty receivers missed at most, of late
  'runs1', // runs of so many packets that receivers missed, of the next smaller number exclusive up to this one
  'runs2',
  'runs3',
  'runs4',
  'runs6',
  'runs8',
  'runs12',
  'runs16',
  'runs24',
  'runs32',
  'runs64',
  'runsLonger',
] as const;

/** Counters of a port. */
export const PORT_COUNTERS = [
  'packets', // received, RTCP included
  'bytes', // UDP payload
  'unmatched', // no flow asks for them
  'kernelDrops', // SO_RXQ_OVFL
  'receiveCalls',
  'sendCalls', // system calls that sent
  'segmentation', // gauge: 1 where UDP_SEGMENT is in use
  'coalescing', // gauge: 1 where UDP_GRO is in use
] as const;

/** Counters of a flow, all its receivers together. */
export const FLOW_COUNTERS = [
  'packetsIn',
  'bytesIn', // UDP payload
  'packetsOut',
  'bytesOut', // UDP payload
  'sequence', // gauge: highest extended sequence number received
  'sendErrors', // packets that the kernel did not take
  'malformed', // neither RTP nor RTCP
  'rtpLost', // RFC 3550 A.3, at the input
  'rtpReordered',
  'rtpDuplicates',
  'jitterUs', // gauge: RFC 3550 6.4.1, at the input
  'ssrc', // gauge: of the last packet
  'receivers', // gauge
  'receiversOpen', // gauge
  'switches', // gates that opened, or changed their flow to this one
  'shedLate', // packets that had waited too long at overload
  'shedPriority', // packets of a flow that gave way at overload
  'rtcpIn', // compound packets
  'rtcpOut',
  'rtcpMalformed',
  'historyMs', // gauge: how far back the store reaches
  'bitrate', // gauge: bits a second at the input, over the last second
  'peakRate', // gauge: largest bits a second of any 100 ms in the last seconds, at the input
  'outputPeakRate', // gauge: the same, after smoothing
  'smoothingDelayUs', // gauge: largest added delay over the last second
] as const;

/** Counters of a listener. */
export const LISTENER_COUNTERS = [
  'accepted',
  'connections', // gauge
  'refused', // over the limit
  'requests',
  'responses2xx',
  'responses3xx',
  'responses4xx',
  'responses5xx',
  'bytesOut',
  'headerTimeouts',
  'stalled', // disconnected because they took nothing
  'malformed',
  'tlsHandshakes',
  'tlsResumed', // of the handshakes, abbreviated ones
  'tlsFailures', // handshakes that came to nothing
  'refusedClient', // connections over the limit of their client
  'limitedClient', // requests over the rate of their client: 429
  'limitedAll', // requests over the rate of all: 503
  'tooSlow', // disconnected because they took too little
] as const;

/** Counters of a site. */
export const SITE_COUNTERS = [
  'fetched', // objects along the known way, without asking JavaScript
  'tokensAccepted',
  // Refused, by reason:
  'tokenMissing',
  'tokenMalformed',
  'tokenKey', // of a key that is not known
  'tokenSignature',
  'tokenExpired',
  'tokenAddress', // for another client
  'tokenScope', // for another path
] as const;

/** Counters of the access log. */
export const ACCESS_LOG_COUNTERS = [
  'lines',
  'dropped', // because the file took too long
  'errors', // times it took nothing at all
] as const;

/** Counters of groups that are asked for by their addresses. */
export const RELAY_COUNTERS = [
  'groups', // gauge
  'begun',
  'joined', // requests for a group that is allowed
  // Refused, by reason:
  'malformed', // 400
  'forbidden', // not on the list: 403
  'full', // as many groups as there may be: 503
  'silent', // groups that gave nothing for too long: 504
  'noPicture', // viewers for whom nothing came that a picture could begin with: 504
  'failed', // groups that could not be had
  'told', // viewers who waited and were told
] as const;

/** Counters of the objects. */
export const OBJECT_COUNTERS = [
  'hits', // requests answered from a complete, fresh object
  'misses', // flights begun
  'joined', // requests that joined a flight or a growing object
  'stale', // flights that ended with the old object, because the origin failed
  'revalidated', // flights that ended with the old object, because the origin said so
  'refused', // flights that ended without an object
  'failed', // objects cut short
  'evicted',
  'bytesIn',
  'objects', // gauge: complete ones in the index
  'growing', // gauge
  'usedBytes', // gauge, of all that are in memory
  'budgetBytes', // gauge
  'wakes', // waiting readers told of progress
] as const;

/** Counters of the pool of upstream connections that fetches objects. */
export const FETCH_COUNTERS = [
  'requests',
  'connects',
  'bytesIn',
  'connections', // gauge
  'running', // gauge
  'queued', // gauge
] as const;

/** Counters of a loop thread. */
export const LOOP_COUNTERS = [
  'wakeups',
  'events',
  'busyNs',
  'timerLateNsMax', // gauge: worst lateness of a departure since the last second began
  'commands',
  'busyPermille', // gauge: in the last second that was measured
  'wakeupsPerSecond', // gauge: likewise
  'measured', // seconds that were measured
] as const;

export type StreamCounters = Readonly<Record<(typeof STREAM_COUNTERS)[number], number>>;
export type UpstreamCounters = Readonly<Record<(typeof UPSTREAM_COUNTERS)[number], number>>;
export type InputCounters = Readonly<Record<(typeof INPUT_COUNTERS)[number], number>>;
export type SenderCounters = Readonly<Record<(typeof SENDER_COUNTERS)[number], number>>;
export type CaptureCounters = Readonly<Record<(typeof CAPTURE_COUNTERS)[number], number>>;
export type ReplayCounters = Readonly<Record<(typeof REPLAY_COUNTERS)[number], number>>;
export type SiteCounters = Readonly<Record<(typeof SITE_COUNTERS)[number], number>>;
export type AccessLogCounters = Readonly<Record<(typeof ACCESS_LOG_COUNTERS)[number], number>>;
export type ListenerCounters = Readonly<Record<(typeof LISTENER_COUNTERS)[number], number>>;
export type RelayCounters = Readonly<Record<(typeof RELAY_COUNTERS)[number], number>>;
export type ObjectCounters = Readonly<Record<(typeof OBJECT_COUNTERS)[number], number>>;
export type FetchCounters = Readonly<Record<(typeof FETCH_COUNTERS)[number], number>>;
export type PortCounters = Readonly<Record<(typeof PORT_COUNTERS)[number], number>>;
export type FlowCounters = Readonly<Record<(typeof FLOW_COUNTERS)[number], number>>;
export type LoopCounters = Readonly<Record<(typeof LOOP_COUNTERS)[number], number>>;
