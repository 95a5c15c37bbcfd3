import { Argument, type Command } from 'commander';
import { z } from 'zod';
import { id } from '../config/units.js';
import { prebuffer, receiverName } from '../flows/orders.js';
import { askDaemon, withAdmin } from './admin-client.js';
import { parsed } from './arguments.js';
import { print, printJson } from './output.js';

const answer = z.object({ changed: z.number() });

interface GateOptions {
  readonly admin: string;
  readonly source?: string;
  readonly prebuffer?: string;
  readonly json?: true;
}

/** Checks a text and hands it on as it is: the daemon reads it again. */
function checked(type: z.ZodType<unknown, string>): (text: string) => string {
  const parse = parsed(type);
  return (text) => {
    parse(text);
    return text;
  };
}

/** `sluice gate FLOW/RECEIVER open|closed`: moves one gate of the running daemon. */
export function register(program: Command): void {
  withAdmin(program.command('gate'))
    .summary("open or close a receiver's gate, or change what it listens to")
    .description(
      'Moves the gate of one receiver between two packets: SSRC, sequence numbers and timestamps go on. It lasts until the ' +
        'next change, or a restart. Several gates move in one step by POST /v1/gates.',
    )
    .argument('<receiver>', 'FLOW/RECEIVER, as in sluice show receivers', checked(receiverName))
    .addArgument(new Argument('<state>', 'whether packets pass').choices(['open', 'closed']))
    .option('--source <flow>', 'the flow that it listens to from now on; its own to go back', checked(id))
    .option('--prebuffer <duration>', "begin with so much of the source's past, such as 500ms", checked(prebuffer))
    .option('--json', 'one JSON line: {"changed"}')
    .addHelpText(
      'after',
      '\nExamples:\n  sluice gate studio-a/box-1 closed\n  sluice gate talk/car-7 open --source car-3 --prebuffer 500ms',
    )
    .action(async (receiver: string, gate: string, options: GateOptions) => {
      const { source, prebuffer: past } = options;
      const told = await askDaemon(options.admin, '/v1/gates', answer, {
        changes: [{ receiver, gate, source, prebuffer: past }],
      });
      if (options.json === true) printJson(told);
      else print(`${receiver} is ${gate}${source === undefined ? '' : `, and listens to ${source}`}`);
    });
}
