import { type Command, InvalidArgumentError } from 'commander';
import { SluiceError } from '../base/errors.js';
import { duration, type Endpoint, interfaceName, listenAddress } from '../config/units.js';
import { parsed, whole } from './arguments.js';
import { type ServeOptions, serve } from './replay-serve.js';
import { list, type SendOptions, send } from './replay-to.js';

const DEFAULT_LISTEN = '127.0.0.1:9490';
const SEGMENT = duration({ min: 500, max: 60_000 });
const MAX_WINDOW = 100;
const MAX_SPEED = 1e6;

interface ReplayOptions extends ServeOptions, Omit<SendOptions, 'to'> {
  readonly serve?: true;
  readonly list?: true;
  readonly to?: string;
}

/** `sluice replay FILE...`: captures as an HTTP origin, or as captured to a device or an address. */
export function register(program: Command): void {
  program
    .command('replay')
    .summary('play captures as a live source')
    .description(
      'Plays captures (pcap, pcapng). With --serve, their MPEG-TS endlessly as a live HTTP origin: time stamps and continuity ' +
        'counters go on across the loop, and what is live follows from the wall clock, so that a restarted origin goes on where ' +
        'live is. With --to, the packets of one capture as they were captured, in their own time: all frames into an interface ' +
        '(needs root or CAP_NET_RAW), or the payload of one UDP flow to an address.',
    )
    .argument('<file...>', 'captures, as FILE or NAME=FILE; NAME is else the name of the file without its extension')
    .option('--serve', 'serve them by HTTP until SIGINT or SIGTERM')
    .option(
      '--listen <address:port>',
      'where to listen; port 0 picks a free one',
      parsed(listenAddress),
      endpoint(DEFAULT_LISTEN),
    )
    .option('--port <port>', 'the port alone, instead of that of --listen', whole(0, 65_535))
    .option('--segment <duration>', 'segments last at least so long', parsed(SEGMENT), 2000)
    .option('--window <segments>', 'segments in a playlist', whole(3, MAX_WINDOW), 6)
    .option('--port-file <file>', 'write the port to this file once it is open')
    .option('--to <place>', 'an interface, or ADDRESS[:PORT]; without a port, that of the flow')
    .option('--flow <flow>', 'the UDP flow: its number of --list, or its destination as ADDRESS:PORT')
    .option('--speed <factor>', '2 is twice as fast as captured; max as fast as it can be sent', speed, 1)
    .option('--loop <times>', 'how often; 0 until SIGINT', whole(0, Number.MAX_SAFE_INTEGER), 1)
    .option('--rewrite-mac', "make Ethernet addresses fit an interface: from its own, to the group's")
    .option('--mac <address>', 'with --rewrite-mac: the Ethernet address for unicast packets', mac)
    .option('--interface <name>', 'the interface for a multicast address', parsed(interfaceName))
    .option('--ttl <hops>', 'TTL or hop limit to an address', whole(0, 255), 1)
    .option('--list', 'list the UDP flows of a capture')
    .option('--json', 'the summary, or the list, as one JSON line on standard output')
    .addHelpText(
      'after',
      '\n--serve offers /master.m3u8, /NAME/index.m3u8, /NAME.m3u8, /NAME/N.ts (HLS), /NAME.ts (continuous) and /stats (JSON).\n' +
        'A damaged file is played up to the damage, which is told; the exit code is then 1.\n' +
        '\nExamples:\n' +
        '  sluice replay --serve news.pcap\n' +
        '  sluice replay --serve --listen 127.0.0.1:0 high=a.pcap low=b.pcapng\n' +
        '  sluice replay --to eth0 --rewrite-mac joins.pcapng\n' +
        '  sluice replay --to 239.1.1.1:5000 --interface eth0 --ttl 4 --loop 0 news.pcap\n' +
        '  sluice replay --list news.pcap',
    )
    .action(replay);
}

async function replay(files: readonly string[], options: ReplayOptions): Promise<void> {
  const { to } = options;
  const wishes = [options.serve, options.list, to].filter((wish) => wish !== undefined);
  if (wishes.length !== 1) throw new SluiceError('USAGE', 'replay: expected one of --serve, --to and --list');
  if (options.serve === true) return serve(files, options);
  const [file, ...more] = files;
  if (file === undefined || more.length > 0)
    throw new SluiceError('USAGE', `replay: expected one capture, got ${files.length}: only --serve plays several`);
  return to === undefined ? list(file, options.json === true) : send(file, { ...options, to });
}

function speed(text: string): number {
  if (text === 'max') return 0;
  const value = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= MAX_SPEED) return value;
  throw new InvalidArgumentError(`expected a factor above 0, at most ${MAX_SPEED}, or max.`);
}

function mac(text: string): string {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return text;
  throw new InvalidArgumentError('expected an Ethernet address, such as 02:00:00:00:00:01.');
}

function endpoint(text: string): Endpoint {
  return parsed(listenAddress)(text);
}
