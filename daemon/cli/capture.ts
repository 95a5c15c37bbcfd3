import { type Command, InvalidArgumentError, Option } from 'commander';
import { SluiceError } from '../base/errors.js';
import { bytes, interfaceName } from '../config/units.js';
import {
  type AddressPrefix,
  CAPTURE_PROTOCOLS,
  type CaptureCounters,
  type CaptureFilter,
  type CaptureHandle,
  type PlaneApi,
} from '../plane/contract.js';
import { withAdmin } from './admin-client.js';
import {
  addressPrefix,
  type CaptureFormat,
  formatOf,
  parsed,
  recordingTo,
  repeated,
  seconds,
  whole,
} from './arguments.js';
import { captureControl } from './capture-control.js';
import { follow } from './progress.js';
import { Ending } from './supervise.js';

/** A capture needs no ring; the plane wants a budget all the same. */
const PLANE_MEMORY_BYTES = 1 << 20;
const MAX_SNAP = 262_144;
const SIZE = bytes({ min: 4096, max: 2 ** 40 });

type ProtocolName = (typeof CAPTURE_PROTOCOLS)[number];

interface Flags {
  readonly interface?: string;
  readonly group: readonly AddressPrefix[];
  readonly host: readonly AddressPrefix[];
  readonly port: readonly number[];
  readonly protocol: readonly ProtocolName[];
  readonly vlan: readonly number[];
  readonly count: number;
  readonly duration?: number;
  readonly maxSize: number;
  readonly rotate?: true;
  readonly keep: number;
  readonly snap: number;
  readonly format?: CaptureFormat;
  readonly promiscuous: boolean;
  readonly comment: string;
  readonly json?: true;
  readonly control?: true;
  readonly admin: string;
}

/** Options that mean something with --control. */
const OF_CONTROL: ReadonlySet<string> = new Set(['control', 'admin', 'interface', 'duration', 'count', 'json']);

/** `sluice capture FILE`: frames of a device into a file. */
export function register(program: Command): void {
  withAdmin(program.command('capture'))
    .summary('record the packets of an interface')
    .description(
      'Records packets with nanosecond time stamps, VLAN tags included, until SIGINT or a limit. The file can be read at any ' +
        'time: it always ends with a whole packet. Needs root or CAP_NET_RAW. Options that choose packets may be repeated: ' +
        'of one kind any must fit, of all kinds each; VLAN tags and IPv6 extension headers are seen through. ' +
        'With --control a running daemon records instead, which needs no privilege: IGMP, MLD and PIM of its multicast router, ' +
        'received and sent, each interface by its name, for an hour at most; only -i, --count, --duration and --json go with it.',
    )
    .argument('<file>', 'where to, or - for standard output')
    .option(
      '-i, --interface <name>',
      'the interface; without it all of them, as Linux cooked packets',
      parsed(interfaceName),
    )
    .option('--control', 'what the multicast router of the running daemon says and hears')
    .option('--group <address[/bits]>', 'packets to this group', repeated(parsed(addressPrefix)), [])
    .option('--host <address[/bits]>', 'packets from or to this address', repeated(parsed(addressPrefix)), [])
    .option('--port <port>', 'UDP and TCP from or to this port', repeated(whole(1, 65_535)), [])
    .option('--protocol <name>', CAPTURE_PROTOCOLS.join(', '), repeated(protocol), [])
    .option('--vlan <id>', 'frames with this VLAN id in any tag', repeated(whole(0, 4095)), [])
    .option('--count <packets>', 'end after so many', whole(1, Number.MAX_SAFE_INTEGER), 0)
    .option('--duration <time>', 'end after this time, such as 10s or 10 (seconds)', seconds)
    .option('--max-size <bytes>', 'end when the file would become larger, such as 100MB', parsed(SIZE), 0)
    .option('--rotate', 'at --max-size begin a next file: NAME-00001.EXT, NAME-00002.EXT, …')
    .option('--keep <files>', 'with --rotate: keep only the newest so many', whole(1, 1e6), 0)
    .option('--snap <bytes>', 'keep so much of each packet', whole(1, MAX_SNAP), MAX_SNAP)
    .addOption(
      new Option('--format <name>', "of the file; by default by its name's ending").choices(['pcapng', 'pcap']),
    )
    .option('--no-promiscuous', 'only what is for this host, or to groups that somebody here has joined')
    .option('--comment <text>', 'written into the header of a pcapng file', '')
    .option('--json', 'the summary as one JSON line, on standard output (standard error with -)')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  sluice capture -i eth0 joins.pcapng --protocol igmp --protocol pim\n' +
        '  sluice capture -i eth0 news.pcapng --group 239.1.1.1 --port 5000 --duration 30s\n' +
        '  sluice capture --control --duration 10s router.pcapng\n' +
        '  sluice capture -i eth0 ring.pcap --max-size 100MB --rotate --keep 10\n' +
        '  sluice capture -i eth0 - --vlan 100 | tshark -r -',
    )
    .action(capture);
}

function protocol(text: string): ProtocolName {
  const found = CAPTURE_PROTOCOLS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`expected one of ${CAPTURE_PROTOCOLS.join(', ')}.`);
}

function checkUse(file: string, flags: Flags): void {
  if (flags.rotate === true && flags.maxSize === 0)
    throw new SluiceError('USAGE', 'capture: --rotate: expected --max-size, which tells when');
  if (flags.keep > 0 && flags.rotate !== true)
    throw new SluiceError('USAGE', 'capture: --keep: expected --rotate, without it there is one file');
  if (file !== '-') return;
  if (process.stdout.isTTY)
    throw new SluiceError('USAGE', 'capture: expected a pipe for -, standard output is a terminal');
  if (flags.rotate === true) throw new SluiceError('USAGE', 'capture: --rotate: expected a file, got -');
}

function checkControl(file: string, flags: Flags, command: Command): void {
  const control = flags.control === true;
  const said = command.options.filter((one) => command.getOptionValueSource(one.attributeName()) === 'cli');
  const stranger = said.find((one) =>
    control ? !OF_CONTROL.has(one.attributeName()) : one.attributeName() === 'admin',
  );
  if (stranger !== undefined)
    throw new SluiceError('USAGE', `capture: ${stranger.long}: ${control ? 'does not go with' : 'expected'} --control`);
  if (control && formatOf(file) === 'pcap')
    throw new SluiceError('USAGE', `capture: expected a name that ends in .pcapng with --control, got ${file}`);
}

async function capture(file: string, flags: Flags, command: Command): Promise<void> {
  checkUse(file, flags);
  checkControl(file, flags, command);
  if (flags.control === true) return captureControl(file, flags);
  const ending = new Ending();
  const { createPlane } = await import('../plane/plane.js');
  const plane = createPlane({ memoryBytes: PLANE_MEMORY_BYTES });
  try {
    const handle = plane.addCapture({
      interfaceName: flags.interface ?? null,
      promiscuous: flags.promiscuous,
      filter: filterOf(flags),
      recording: {
        ...recordingTo(file),
        format: flags.format ?? formatOf(file),
        interfaceName: flags.interface ?? null,
        comment: flags.comment,
        snaplen: flags.snap,
        maxPackets: flags.count,
        maxBytes: flags.maxSize,
        rotate: flags.rotate === true,
        keep: flags.keep,
      },
    });
    const failure = await watch(plane, handle, file, flags, ending);
    const counters = plane.captureCounters(handle);
    plane.removeCapture(handle);
    conclude(file, flags, counters);
    if (failure !== undefined) throw new SluiceError('SYSTEM_CALL', `capture: ${file}: ${failure}`, { file });
  } finally {
    await plane.close();
  }
}

function filterOf(flags: Flags): CaptureFilter {
  return {
    groups: flags.group,
    hosts: flags.host,
    ports: flags.port,
    protocols: flags.protocol,
    vlans: flags.vlan,
  };
}

/** Until a limit, the wish to end, or a failure, which it gives. */
async function watch(
  plane: PlaneApi,
  handle: CaptureHandle,
  file: string,
  flags: Flags,
  ending: Ending,
): Promise<string | undefined> {
  const done = new Promise<string | undefined>((resolve) => {
    plane.onEvent((event) => {
      if (event.type === 'capture-end') resolve(event.code === null ? undefined : event.detail);
    });
    if (flags.duration !== undefined) setTimeout(() => resolve(undefined), flags.duration).unref();
  });
  process.stderr.write(
    `capturing on ${flags.interface ?? 'all interfaces'} to ${file === '-' ? 'standard output' : file}\n`,
  );
  return follow(done, ending, () => {
    const { packets, bytes: size, kernelDrops } = plane.captureCounters(handle);
    return `${packets} packets, ${size} bytes, ${kernelDrops} dropped`;
  });
}

function conclude(file: string, flags: Flags, counters: CaptureCounters): void {
  if (flags.json === true) {
    const stream = file === '-' ? process.stderr : process.stdout;
    stream.write(`${JSON.stringify({ type: 'summary', file, interface: flags.interface ?? null, ...counters })}\n`);
    return;
  }
  const { packets, bytes: size, received, kernelDrops, fileBytes, files } = counters;
  process.stderr.write(
    `${packets} packets (${size} bytes) of ${received} seen, ${kernelDrops} dropped by the kernel; ` +
      `${fileBytes} bytes written${files > 1 ? ` in ${files} files` : ''}\n`,
  );
}
