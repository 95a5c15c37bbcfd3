import type { Capture } from './capture.js';

/** What goes from the edge to the origin, as tshark dissects it. */
export interface UpstreamTraffic {
  readonly connections: number;
  /** GET requests per path. */
  readonly requests: ReadonlyMap<string, number>;
}

/** @param untilMs milliseconds since 1970; what came later does not count */
export async function requestsPerPath(capture: Capture, port: number, untilMs: number): Promise<UpstreamTraffic> {
  const until = `frame.time_epoch <= ${(untilMs / 1_000).toFixed(3)}`;
  const http = [`tcp.port==${port},http`];
  // A SYN that was sent again (nobody listened yet) is the same connection attempt: source ports count.
  const syns = await capture.fields(`tcp.flags.syn == 1 && ${until}`, ['tcp.srcport'], http);
  const acknowledged = new Set(
    (await capture.fields(`http.request && ${until}`, ['tcp.srcport'], http)).map((row) => row[0]),
  );
  const requests = new Map<string, number>();
  for (const [path = ''] of await capture.fields(`http.request && ${until}`, ['http.request.uri'], http)) {
    requests.set(path, (requests.get(path) ?? 0) + 1);
  }
  return { connections: syns.filter(([from]) => acknowledged.has(from)).length, requests };
}
