import type { Row } from '../../base/registry.js';
import type { InputCounters, RelayGroup, StreamCounters } from '../../plane/contract.js';

/** A group as it runs. */
export interface RelayStatus {
  readonly group: RelayGroup;
  /** There is something to begin with: viewers are served. */
  readonly ready: boolean;
  /** Since it was joined. */
  readonly seconds: number;
  readonly interface: string | null;
  readonly counters: StreamCounters;
  readonly input: InputCounters;
}

export const COLUMNS = ['group', 'state', 'viewers', 'bitrate', 'joined_s', 'lost', 'drops', 'interface'];

/** A line of `show relays`. */
export function rowOf({ group, ready, seconds, counters, input, interface: name }: RelayStatus): Row {
  return {
    group,
    state: ready ? 'flowing' : 'waiting',
    viewers: counters.viewersContinuous,
    bitrate: counters.bitrate,
    joined_s: Math.round(seconds),
    lost: input.rtpLost + input.kernelDrops,
    drops: counters.viewerDrops,
    interface: name,
  };
}

/** Why a group is as it is, in the order in which its media travels. */
export function explainRelay(group: string, status: RelayStatus | undefined, configured: boolean): readonly string[] {
  if (!configured) return ['http.relay is not configured: /udp/ and /rtp/ are paths as any others'];
  if (status === undefined) {
    return [
      `group ${group} is not joined now: nobody asks for it, it gave nothing, or it is not on the list of http.relay (403)`,
    ];
  }
  const { ready, seconds, counters, input } = status;
  const steps = [
    `  input: ${mark(input.packets > 0)}: ${input.packets} datagrams in ${seconds.toFixed(0)} s by ${status.interface ?? "the route's interface"}, ${input.rtpLost} lost, ${input.kernelDrops} for which the socket had no room, ${input.malformed} that are no MPEG-TS`,
    `  ring: ${mark(counters.accessPoints > 0)}: ${counters.tsPacketsIn} packets of MPEG-TS, ${counters.accessPoints} random access points, ${counters.underruns} underruns`,
    `  viewers: ${mark(ready)}: ${counters.viewersContinuous} now, ${counters.viewerDrops} times one was too slow and jumped`,
  ];
  return [`group ${group} is ${ready ? 'flowing' : 'waiting for something to begin with'}`, ...steps];
}

function mark(ok: boolean): string {
  return ok ? 'ok' : 'BROKEN';
}
