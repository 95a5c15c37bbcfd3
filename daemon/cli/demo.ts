import type { Command } from 'commander';
import { systemClock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import { createLogger, type Logger, type LogLevel } from '../base/log.js';
import type { Daemon } from '../main.js';
import { type DemoPlan, planDemo } from './demo-plan.js';
import { answers, givesSegments, givesTs, multicastFlows, until } from './demo-ready.js';
import { print } from './output.js';
import { VERSION } from './root.js';
import { logLevelOption } from './run.js';
import { Ending, superviseDaemon } from './supervise.js';

/** How long each part of the demo may take until it is served: the first segments must have been played. */
const SERVED_WITHIN_MS = 40_000;
const PACKET_WITHIN_MS = 2000;

/** `sluice demo`: a whole channel on this machine, out of captures. */
export function register(program: Command): void {
  program
    .command('demo')
    .summary('serve a channel from captures on this machine')
    .description(
      'Plays the captures of fixtures/pcap as a live origin and runs config/demo.yaml against it, all on the loopback ' +
        'interface. Prints one line "ready {json}" when everything is being served. Ends with SIGINT, SIGTERM or its parent.',
    )
    .addOption(logLevelOption())
    .action(async ({ logLevel }: { logLevel?: LogLevel }) => {
      const ending = new Ending().withParent();
      await runDemo(ending, logLevel);
    });
}

function progress(text: string): void {
  process.stderr.write(`demo: ${text}\n`);
}

async function runDemo(ending: Ending, logLevel: LogLevel | undefined): Promise<void> {
  progress('starting the origin');
  const plan = await planDemo();
  try {
    const log = createLogger({ level: logLevel ?? plan.settings.log.level });
    const { exitOnUncaught, startDaemon } = await import('../main.js');
    exitOnUncaught(log);
    progress(`the origin plays on ${plan.originUrl}; starting the daemon`);
    const daemon = await startDaemon(plan.settings, { log, version: VERSION, anyFreePort: true });
    await serve(plan, daemon, ending, log);
  } finally {
    await plan.close();
  }
}

async function serve(plan: DemoPlan, daemon: Daemon, ending: Ending, log: Logger): Promise<void> {
  try {
    await waitUntilServed(plan, daemon, ending.signal);
    if (!ending.signal.aborted) print(`ready ${JSON.stringify(readyFacts(plan, daemon))}`);
  } catch (error) {
    await daemon.close();
    throw error;
  }
  await superviseDaemon(daemon, ending, log);
}

function urlsOf(
  plan: DemoPlan,
  daemon: Daemon,
): { readonly status_page: string; readonly hls: string; readonly ts: string } {
  const stream = `${daemon.viewersUrl}/live/${plan.channel}`;
  return {
    status_page: `${daemon.adminUrl}/`,
    hls: `${stream}/index.m3u8`,
    ts: `${stream}/${plan.rendition}.ts`,
  };
}

function readyFacts(plan: DemoPlan, daemon: Daemon): Readonly<Record<string, unknown>> {
  return {
    pid: process.pid,
    admin: daemon.adminUrl,
    ...urlsOf(plan, daemon),
    multicast: `rtp://${plan.group.address}:${plan.group.port}`,
    interface: plan.group.interface,
    channels: daemon.channels().map((channel) => channel.id),
  };
}

async function waitUntilServed(plan: DemoPlan, daemon: Daemon, signal: AbortSignal): Promise<void> {
  const { status_page, hls, ts } = urlsOf(plan, daemon);
  const { address, port } = plan.group;
  const deadline = systemClock.now() + SERVED_WITHIN_MS;
  const steps: readonly (readonly [string, () => Promise<boolean>])[] = [
    ['the status page', () => answers(status_page)],
    ['the continuous stream', () => givesTs(ts)],
    ['the multicast group', () => multicastFlows(address, port, PACKET_WITHIN_MS)],
    ['the HLS playlist', () => answers(hls)],
    ...plan.renditions.map(
      (rendition) =>
        [`HLS of ${rendition}`, () => givesSegments(hls.replace('index.m3u8', `${rendition}/index.m3u8`))] as const,
    ),
  ];
  for (const [what, check] of steps) {
    const served = await until(check, deadline - systemClock.now(), signal);
    if (signal.aborted) return;
    if (!served) throw notServed(what, daemon);
    progress(`${what} is served`);
  }
}

function notServed(what: string, daemon: Daemon): SluiceError {
  const reasons = daemon
    .channels()
    .flatMap((channel) => channel.renditions)
    .map(({ stream, state, code, reason }) => `${stream} is ${state}${code === null ? '' : ` (${code}: ${reason})`}`);
  return new SluiceError(
    'SOURCE_STALLED',
    `${what} was not served within ${SERVED_WITHIN_MS / 1000} s: ${reasons.join('; ')}`,
  );
}
