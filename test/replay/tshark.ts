/** What tshark reads in a capture, and what our reader reads, in the same terms. */
import { spawnSync } from 'node:child_process';

/** One packet. */
export interface Dissected {
  /** Nanoseconds since 1970; null where the file has none. */
  readonly timeNs: bigint | null;
  readonly captured: number;
  readonly original: number;
  readonly vlans: readonly number[];
  /** Outermost IP addresses; empty where there are none. */
  readonly source: string;
  readonly destination: string;
  /** Of UDP that is no fragment and not cut. */
  readonly ports: string;
}

const FIELDS = [
  'frame.time_epoch',
  'frame.cap_len',
  'frame.len',
  'vlan.id',
  'ieee8021ad.id',
  'ip.src',
  'ipv6.src',
  'ip.dst',
  'ipv6.dst',
  'udp.srcport',
  'udp.dstport',
] as const;

export function has(program: string): boolean {
  return spawnSync('which', [program]).status === 0;
}

/** Runs a program that must succeed. */
export function must(program: string, args: readonly string[], cwd?: string): string {
  const run = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (run.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${run.stderr}`);
  return run.stdout;
}

/** The packets of a file as tshark dissects them; all occurrences of a field, separated by commas. */
export function dissect(file: string): Dissected[] {
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  // What a PIM register carries is not the packet's own.
  const text = must('tshark', [
    '-n',
    '--disable-protocol',
    'pim',
    '-r',
    file,
    '-T',
    'fields',
    '-E',
    'occurrence=a',
    '-E',
    'aggregator=,',
    ...fields,
  ]);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [time = '', captured, original, vlan = '', service = '', ...rest] = line.split('\t');
      const [source4 = '', source6 = '', destination4 = '', destination6 = '', from = '', to = ''] = rest;
      const first = (text4: string, text6: string): string => (text4 || text6).split(',', 1)[0] ?? '';
      return {
        timeNs: nanoseconds(time),
        captured: Number(captured),
        original: Number(original),
        vlans: [...service.split(','), ...vlan.split(',')].filter(Boolean).map(Number),
        source: first(source4, source6),
        destination: first(destination4, destination6),
        // tshark shows the ports of a cut datagram, too; we take such for nothing.
        ports: from === '' || captured !== original ? '' : `${from.split(',', 1)[0]}-${to.split(',', 1)[0]}`,
      };
    });
}

function nanoseconds(text: string): bigint | null {
  const match = /^(\d+)\.(\d{9})$/.exec(text);
  return match === null ? null : BigInt(`${match[1]}${match[2]}`);
}
