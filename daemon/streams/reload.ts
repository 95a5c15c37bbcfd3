import { isDeepStrictEqual } from 'node:util';
import type { Step } from '../base/reloadable.js';
import type { PendingChange, Rendition } from './rendition.js';
import { compareRenditions } from './rendition-change.js';
import type { ChannelConfig, RenditionConfig } from './settings.js';

/** A channel as it runs. */
export interface Channel {
  readonly config: ChannelConfig;
  readonly id: string;
  readonly name: string;
  readonly renditions: readonly Rendition[];
}

export interface ChannelPlanner {
  readonly running: readonly Channel[];
  /** Makes a rendition that has not begun. */
  create(channel: ChannelConfig, config: RenditionConfig): Rendition;
  /** Makes these the channels of the daemon, in this order. */
  adopt(channels: readonly Channel[]): void;
}

/** A channel of these renditions. */
export function channelOf(config: ChannelConfig, renditions: readonly Rendition[]): Channel {
  return { config, id: config.id, name: config.name ?? config.id, renditions };
}

/** A rendition of the new configuration, and what leads to it. */
interface Next {
  readonly rendition: Rendition;
  /** Of a rendition that stays. */
  readonly change?: Step;
  /** Of one that begins, or begins anew. */
  readonly begin?: Step;
}

/** The steps from the running channels to those configured. Renditions are the same when channel and rendition have the same ids. */
export function planChannels(planner: ChannelPlanner, next: readonly ChannelConfig[]): Step[] {
  const running = new Map(planner.running.flatMap(({ renditions }) => renditions).map((one) => [one.name, one]));
  const planned = next.map((config) => {
    const renditions = config.renditions.map((one): Next => {
      const name = `${config.id}/${one.id}`;
      const old = running.get(name);
      running.delete(name);
      return old === undefined ? begins(planner.create(config, one)) : changes(planner, old, config, one);
    });
    return { config, renditions };
  });
  const channels = planned.map(({ config, renditions }) =>
    channelOf(
      config,
      renditions.map(({ rendition }) => rendition),
    ),
  );
  const all = planned.flatMap(({ renditions }) => renditions);
  const changed = all.flatMap(({ change }) => change ?? []);
  const begun = all.flatMap(({ begin }) => begin ?? []);
  const ended = [...running.values()].map(ends);
  if (changed.length + begun.length + ended.length === 0 && sameOrder(planner.running, channels)) return [];
  // In the middle: the front tells what has changed, and leads to what is new before what is old ends.
  const adopt: Step = { says: 'channels: lists and URLs as configured', commit: () => planner.adopt(channels) };
  return [...changed, adopt, ...begun, ...ended];
}

function sameOrder(running: readonly Channel[], next: readonly Channel[]): boolean {
  const names = (channels: readonly Channel[]): string[] =>
    channels.flatMap(({ renditions }) => renditions.map(({ name }) => name));
  return isDeepStrictEqual(names(running), names(next));
}

function begins(rendition: Rendition): Next {
  const step: Step = {
    says: `stream ${rendition.name}: begins`,
    prepare: () => rendition.reserve(),
    undo: () => rendition.stop(),
    commit: () => rendition.begin(),
  };
  return { rendition, begin: step };
}

function ends(rendition: Rendition): Step {
  return { says: `stream ${rendition.name}: ends, its viewers are disconnected`, commit: () => rendition.stop() };
}

function changes(planner: ChannelPlanner, old: Rendition, channel: ChannelConfig, config: RenditionConfig): Next {
  const difference = compareRenditions(old, { channel, config });
  const { stream, source, sender, label } = difference;
  if (!stream && !source && !sender && !label) return { rendition: old };
  // Where there is no stream, there is nothing to be kept either.
  if (stream || (old.stream === null && (source || sender))) return anew(old, planner.create(channel, config));
  const what = [source ? 'new source' : '', sender ? 'new multicast sender' : '', label ? 'new labels' : ''];
  let pending: PendingChange | undefined;
  const step: Step = {
    says: `stream ${old.name}: ${what.filter((word) => word !== '').join(', ')}; its viewers stay`,
    prepare: () => {
      pending = old.prepareChange({ channel, config }, difference);
    },
    undo: () => pending?.undo(),
    commit: () => pending?.commit(),
  };
  return { rendition: old, change: step };
}

/** The new one is reserved beside the old one, which ends right before it begins: an upstream never sees two for one. */
function anew(old: Rendition, rendition: Rendition): Next {
  const step: Step = {
    says: `stream ${rendition.name}: begins anew, its viewers are disconnected`,
    prepare: () => rendition.reserve(),
    undo: () => rendition.stop(),
    commit: async () => {
      await old.stop();
      rendition.begin();
    },
  };
  return { rendition, begin: step };
}
