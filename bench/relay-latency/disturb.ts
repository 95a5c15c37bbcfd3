// Loaded before the daemon (`node --import`) by the bench alone: on SIGUSR2 its JavaScript stands still for 200 ms, without
// using the processor or, where SLUICE_BENCH_DISTURB says `busy`, using all of it.
import { isMainThread } from 'node:worker_threads';

const STILL_MS = 200;
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

function standStill(): void {
  if (process.env['SLUICE_BENCH_DISTURB'] !== 'busy') {
    Atomics.wait(nobodyWakes, 0, 0, STILL_MS);
    return;
  }
  const end = performance.now() + STILL_MS;
  while (performance.now() < end);
}

if (isMainThread) process.on('SIGUSR2', standStill);
