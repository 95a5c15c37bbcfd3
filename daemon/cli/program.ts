import { Command } from 'commander';
import { register as bench } from './bench.js';
import { register as capture } from './capture.js';
import { register as check } from './check.js';
import { register as completion } from './completion.js';
import { register as demo } from './demo.js';
import { register as gate } from './gate.js';
import { register as purge } from './purge.js';
import { register as receive } from './receive.js';
import { register as reload } from './reload.js';
import { register as replay } from './replay.js';
import { VERSION } from './root.js';
import { register as run } from './run.js';
import { register as show } from './show.js';
import { register as sign } from './sign.js';
import { register as stop } from './stop.js';
import { register as why } from './why.js';

/** The whole command line: what is run, completed by shells, and described by the manual pages. */
export function createProgram(): Command {
  const program = new Command('sluice')
    .description('Live-media edge daemon: live media in once, handed out many times, by multicast and unicast.')
    .version(VERSION)
    .showHelpAfterError('(add --help for what is expected)')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 failed at run time, 2 wrong use or configuration.');
  for (const register of [
    run,
    check,
    demo,
    receive,
    capture,
    replay,
    show,
    why,
    gate,
    purge,
    reload,
    stop,
    sign,
    completion,
    bench,
  ])
    register(program);
  return program;
}
