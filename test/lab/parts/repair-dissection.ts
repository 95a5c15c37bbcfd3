import { expect } from '../lib/report.js';
import type { Capture } from './capture.js';
import { MATRIX } from './repair-peers.js';

/** What tshark says when it does not like a packet. */
const COMPLAINTS = ['_ws.malformed', '_ws.expert.message'];

/** Rows without the complaints; fails when there is one. */
async function dissected(
  capture: Capture,
  match: string,
  fields: readonly string[],
  decodeAs: string,
): Promise<string[][]> {
  // Else it takes the payload type of parity for unknown media.
  const preferences = ['2dparityfec.enable:TRUE'];
  const rows = await capture.fields(match, [...COMPLAINTS, ...fields], [decodeAs], preferences);
  const complaint = rows.find(([malformed, expert]) => malformed !== '' || expert !== '');
  expect(complaint === undefined, `tshark complains: ${complaint?.join(' ')}`);
  return rows.map((row) => row.slice(COMPLAINTS.length));
}

const SCOPE = ['d', 'offset', 'na'];
/** What ST 2022-1 leaves at 0. */
const ZEROS = ['mask', 'x', 'type', 'index'];

/**
 * Fails unless all parity on a port is of the same kind, and begins at as many places of the matrix as there must be,
 * a multiple of `step` apart.
 *
 * @returns how many there are
 */
async function parityOn(capture: Capture, group: string, port: number, scope: string, step: number): Promise<number> {
  const fields = ['snbase_low', 'e', ...SCOPE, ...ZEROS].map((name) => `2dparityfec.${name}`);
  const match = `ip.dst == ${group} && udp.dstport == ${port}`;
  const rows = await dissected(capture, match, fields, `udp.port==${port},rtp`);
  const first = Number(rows[0]?.[0]);
  const places = new Set<number>();
  for (const [base, e, ...rest] of rows) {
    const seen = rest.slice(0, SCOPE.length).join(' ');
    const zeros = rest.slice(SCOPE.length).every((field) => Number(field) === 0);
    expect(e === '1' && zeros && seen === scope, `port ${port}: E ${e}, ${rest.join(' ')}`);
    places.add(((Number(base) - first) & 0xffff) % (MATRIX * MATRIX));
  }
  const fit = places.size === MATRIX && [...places].every((place) => place % step === 0);
  expect(rows.length > MATRIX && fit, `port ${port}: bases at ${[...places].join(' ')}`);
  return rows.length;
}

/** tshark finds our columns on the port + 2 and our rows on the port + 4, each for the packets that it must be for. */
export async function dissectParity(capture: Capture, group: string, port: number): Promise<string> {
  const columns = await parityOn(capture, group, port + 2, `0 ${MATRIX} ${MATRIX}`, 1);
  const rows = await parityOn(capture, group, port + 4, `1 1 ${MATRIX}`, MATRIX);
  return `${columns} columns and ${rows} rows`;
}

/** tshark reads requests as generic NACKs, and what comes back as RTP that holds what was asked for. */
export async function dissectRetransmission(capture: Capture, port: number): Promise<string> {
  const fields = ['rtcp.rtpfb.nack_pid', 'rtcp.rtpfb.nack_blp', 'rtcp.length_check'];
  const requests = await dissected(capture, `udp.dstport == ${port}`, fields, `udp.port==${port},rtcp`);
  const asked = new Set<number>();
  for (const [pids = '', blps = '', whole] of requests) {
    expect(whole !== '0' && whole !== 'False', 'tshark does not find the length of a request right');
    const masks = blps.split(',').filter(Boolean).map(Number);
    for (const [i, pid] of pids.split(',').filter(Boolean).entries()) {
      asked.add(Number(pid));
      for (let bit = 0; bit < 16; bit++)
        if (((masks[i] ?? 0) >> bit) % 2 === 1) asked.add((Number(pid) + bit + 1) & 0xffff);
    }
  }
  const answers = await dissected(
    capture,
    `udp.srcport == ${port}`,
    ['rtp.p_type', 'rtp.payload'],
    `udp.port==${port},rtp`,
  );
  const strays = answers.filter(([type, payload = '']) => {
    const original = Number.parseInt(payload.replaceAll(':', '').slice(0, 4), 16);
    return type !== '97' || !asked.has(original);
  });
  expect(asked.size > 0 && answers.length > 0, `${asked.size} asked for, ${answers.length} answers`);
  expect(strays.length === 0, `${strays.length} answers that nobody asked for: ${strays[0]?.[0]}`);
  return `${requests.length} requests for ${asked.size} packets, ${answers.length} retransmissions`;
}
