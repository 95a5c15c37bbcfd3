#!/usr/bin/env node
import { Command } from 'commander';
import { register as bench } from './bench.js';
import { register as capture } from './capture.js';
import { register as check } from './check.js';
import { register as demo } from './demo.js';
import { exitCodeOf, explain } from './exit.js';
import { tolerateClosedOutput } from './output.js';
import { register as receive } from './receive.js';
import { register as reload } from './reload.js';
import { register as replay } from './replay.js';
import { VERSION } from './root.js';
import { register as run } from './run.js';
import { register as show } from './show.js';
import { register as stop } from './stop.js';
import { register as why } from './why.js';

/** How long left-over timers and sockets may hold the process once the command is done. */
const LINGER_MS = 1000;

function createProgram(): Command {
  const program = new Command('sluice')
    .description('Live-media edge daemon: live media in once, handed out many times, by multicast and unicast.')
    .version(VERSION)
    .showHelpAfterError('(add --help for what is expected)')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 failed at run time, 2 wrong use or configuration.');
  for (const register of [run, check, demo, receive, capture, replay, show, why, reload, stop, bench])
    register(program);
  return program;
}

async function main(): Promise<void> {
  tolerateClosedOutput();
  try {
    await createProgram().parseAsync();
  } catch (error) {
    const text = explain(error);
    if (text !== '') process.stderr.write(`${text}\n`);
    process.exitCode = exitCodeOf(error);
  }
  // Not process.exit at once: output must drain, and profilers write theirs at the end.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

await main();
