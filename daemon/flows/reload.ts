import { isDeepStrictEqual } from 'node:util';
import { SluiceError } from '../base/errors.js';
import type { Step } from '../base/reloadable.js';
import { findConflicts } from './conflicts.js';
import type { Flow } from './flow.js';
import type { FlowConfig, FlowReceiverConfig } from './flow-schema.js';
import type { Receiver } from './receiver.js';

/** What is done to the receivers of a flow that stays. */
export interface ReceiverChange {
  /** As they run. */
  readonly gone: readonly Receiver[];
  /** Reserved; those that take the place of another of the same id included. */
  readonly come: readonly Receiver[];
  /** Nothing but the gate is another. */
  readonly moved: readonly FlowReceiverConfig[];
}

export interface FlowPlanner {
  /** All of them, those of the API included. */
  readonly running: readonly Flow[];
  /** Makes a flow of the file that has not begun. */
  create(config: FlowConfig): Flow;
  /** Makes a reserved flow run, in the place of the old one of its id. */
  begin(flow: Flow): void;
  end(flow: Flow): void;
  change(flow: Flow, change: ReceiverChange): void;
}

/**
 * The steps from the running flows to those of the file; what the API made stays. Flows that end leave before any comes: one may
 * take the packets of another.
 */
export function planFlows(planner: FlowPlanner, next: readonly FlowConfig[]): Step[] {
  const conflict = findConflicts(withThoseOfApi(planner.running, next))[0];
  if (conflict !== undefined) {
    const { code, message } = conflict;
    return [{ says: `flows: refused: ${message}`, prepare: () => Promise.reject(new SluiceError(code, message)) }];
  }
  const ours = planner.running.filter(({ origin }) => origin === 'file');
  const ended = ours.filter(({ id }) => !next.some((one) => one.id === id));
  const leave = ended.map((flow): Step => ({ says: `flow ${flow.id}: ends`, commit: () => planner.end(flow) }));
  const come = next.flatMap((config): Step[] => {
    const old = ours.find(({ id }) => id === config.id);
    if (old === undefined) return [begins(planner, config, 'begins')];
    if (!isDeepStrictEqual(core(old.config), core(config))) return [begins(planner, config, 'begins anew')];
    return changes(planner, old, config);
  });
  return [...leave, ...come];
}

/** What would run: the flows of the file with what the API added to them, and those that it made. */
function withThoseOfApi(running: readonly Flow[], next: readonly FlowConfig[]): FlowConfig[] {
  const merged = next.map((config) => {
    const old = running.find(({ id, origin }) => id === config.id && origin === 'file');
    const added = [...(old?.receivers.values() ?? [])].filter(({ origin }) => origin === 'api');
    return added.length === 0
      ? config
      : { ...config, receivers: [...config.receivers, ...added.map((one) => one.config)] };
  });
  return [...merged, ...running.filter(({ origin }) => origin === 'api').map(({ current }) => current)];
}

function core(config: FlowConfig): object {
  return { ...config, receivers: [] };
}

function begins(planner: FlowPlanner, config: FlowConfig, how: string): Step {
  const flow = planner.create(config);
  return {
    says: `flow ${config.id}: ${how}`,
    prepare: () => flow.reserve(),
    undo: () => flow.stop(),
    commit: () => planner.begin(flow),
  };
}

function changes(planner: FlowPlanner, flow: Flow, config: FlowConfig): Step[] {
  const ours = [...flow.receivers.values()].filter(({ origin }) => origin === 'file');
  const next = new Map(config.receivers.map((one) => [one.id, one]));
  const ended = ours.filter((one) => !next.has(one.config.id));
  const pairs = config.receivers.map((one) => ({ one, old: flow.receivers.get(one.id) }));
  const begun = pairs.filter(({ old }) => old === undefined).map(({ one }) => one);
  const other = pairs.flatMap(({ one, old }) =>
    old === undefined || sameButGate(old.config, one) ? [] : [{ one, old }],
  );
  const moved = pairs.flatMap(({ one, old }) =>
    old !== undefined && sameButGate(old.config, one) && old.config.gate !== one.gate ? [one] : [],
  );
  if (ended.length + begun.length + other.length + moved.length === 0) return [];
  let come: readonly Receiver[] = [];
  const named = [
    list(
      'end',
      ended.map((one) => one.config.id),
    ),
    list(
      'change',
      other.map(({ one }) => one.id),
    ),
    list(
      'move their gates',
      moved.map(({ id }) => id),
    ),
    list(
      'begin',
      begun.map(({ id }) => id),
    ),
  ];
  const step: Step = {
    says: `flow ${flow.id}: receivers ${named.filter((text) => text !== '').join('; ')}; nothing else of it is touched`,
    prepare: () => {
      come = flow.reserveReceivers([...other.map(({ one }) => one), ...begun], 'file');
    },
    undo: () => flow.drop(come),
    commit: () => planner.change(flow, { gone: [...ended, ...other.map(({ old }) => old)], come, moved }),
  };
  return [step];
}

function sameButGate(one: FlowReceiverConfig, other: FlowReceiverConfig): boolean {
  return isDeepStrictEqual({ ...one, gate: '' }, { ...other, gate: '' });
}

const MOST_NAMES = 5;

function list(verb: string, ids: readonly string[]): string {
  if (ids.length === 0) return '';
  const more = ids.length > MOST_NAMES ? ` and ${ids.length - MOST_NAMES} more` : '';
  return `${verb}: ${ids.slice(0, MOST_NAMES).join(', ')}${more}`;
}
