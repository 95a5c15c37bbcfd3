#!/usr/bin/env node
import { exitCodeOf, explain } from './exit.js';
import { tolerateClosedOutput } from './output.js';
import { createProgram } from './program.js';

/** How long left-over timers and sockets may hold the process once the command is done. */
const LINGER_MS = 1000;

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
