/** The process of the demo's origin: captures as arguments, tells its URL over the channel, ends when that is closed. */
import { describeError } from '../base/errors.js';
import { loadClips } from '../replay/load.js';
import { startOrigin } from '../replay/origin.js';
import type { OriginReport } from './demo-origin.js';

/** As the origin's own defaults. */
const SEGMENT_MS = 2000;
const WINDOW = 6;

function report(message: OriginReport): void {
  process.send?.(message);
}

// Ctrl-C in a terminal reaches us, too; the demo ends first, then closes the channel.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

try {
  const clips = loadClips(process.argv.slice(2), { segmentMs: SEGMENT_MS, window: WINDOW });
  const origin = await startOrigin({ clips, listen: { address: '127.0.0.1', port: 0 } });
  process.once('disconnect', () => void origin.close().finally(() => process.exit()));
  // The demo may have ended meanwhile.
  if (process.connected) report({ url: origin.url });
  else await origin.close();
} catch (error) {
  report({ error: describeError(error) });
  process.disconnect();
}
