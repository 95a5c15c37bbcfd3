import type { Rendition } from './rendition.js';
import type { ChannelStatus, RenditionStatus, RepairChoiceStatus, WhyAnswer, WhyStep } from './status.js';

/** Input that is older than this is silence. */
const SILENT_MS = 5_000;

/** Why a channel is as it is: per rendition, each step that the media takes, with the evidence. */
export function explainChannel(channel: ChannelStatus, renditions: readonly Rendition[]): WhyAnswer {
  return {
    channel: channel.id,
    state: channel.state,
    renditions: renditions.map((rendition) => {
      const status = rendition.status();
      const { accessPoints, segments } = rendition.counters();
      return { rendition: status.id, state: status.state, steps: explainRendition(status, accessPoints, segments) };
    }),
  };
}

/** The steps of one rendition in the order in which media travels. Pure. */
export function explainRendition(status: RenditionStatus, accessPoints: number, segments: number): WhyStep[] {
  const steps = [explainSource(status), explainInput(status), explainRing(status, accessPoints, segments)];
  const smoothing = explainSmoothing(status.smoothing);
  if (smoothing !== null) steps.push(smoothing);
  if (status.multicast !== null) steps.push(explainMulticast(status.multicast));
  const chosen = status.multicast?.repair?.chosen ?? null;
  if (chosen !== null) steps.push(explainRepair(chosen));
  steps.push(explainViewers(status));
  return steps;
}

/** The answer as sentences, what is broken first named as the cause. */
export function whySentences(answer: WhyAnswer): string[] {
  const sentences = [`channel ${answer.channel} is ${answer.state}`];
  for (const { rendition, state, steps } of answer.renditions) {
    const cause = steps.find((step) => !step.ok);
    sentences.push(
      `rendition ${rendition} is ${state}: ${cause === undefined ? 'every step works' : `the cause is at the ${cause.step}`}`,
    );
    for (const step of steps) sentences.push(`  ${step.step}: ${step.ok ? 'ok' : 'BROKEN'}: ${step.says}`);
  }
  return sentences;
}

function explainSource({ state, code, reason, source }: RenditionStatus): WhyStep {
  const { playlist, segment, stream } = source.requests;
  const asked = playlist + segment + stream;
  const evidence =
    asked === 0
      ? ''
      : ` (${source.connects} connections, ${playlist} playlist, ${segment} segment and ${stream} stream requests, ${source.retries} retries)`;
  if (state === 'flowing') return { step: 'source', ok: true, says: `media arrives from ${source.url}${evidence}` };
  const why = code === null ? 'nothing has come yet' : `${code}: ${reason}`;
  return { step: 'source', ok: false, says: `${state}, ${source.url}: ${why}${evidence}` };
}

function repairs(repair: RenditionStatus['repair']): string {
  if (repair === null) return '';
  const means = `${repair.byParity} by parity, ${repair.byBlock} by blocks, ${repair.byRetransmission} by retransmission, ${repair.byFetch} by HTTP`;
  return `; of ${repair.missing} missing packets ${means}, ${repair.lost} lost`;
}

function explainInput({ input, repair }: RenditionStatus): WhyStep {
  const errors = `${input.syncErrors} sync, ${input.continuityErrors} continuity, ${input.transportErrors} transport errors, ${input.discontinuities} discontinuities`;
  if (input.lastInputAgeMs === null) return { step: 'input', ok: false, says: 'no MPEG-TS has been taken yet' };
  // Segments come in bursts: silence between two of them is usual.
  const says = `${input.bytes} bytes of MPEG-TS, the last ${(input.lastInputAgeMs / 1000).toFixed(1)} s ago; ${errors}${repairs(repair)}`;
  return { step: 'input', ok: input.lastInputAgeMs < 2 * SILENT_MS, says };
}

function explainRing({ ring, ready }: RenditionStatus, accessPoints: number, segments: number): WhyStep {
  if (ring.sizeBytes === 0)
    return { step: 'ring', ok: false, says: 'there is no ring: the stream could not be set up' };
  const level = `${ring.bufferLevelMs.toFixed(0)} ms buffered, ${ring.underruns} underruns, ${ring.fullDrops} packets found no room`;
  if (accessPoints === 0) {
    return {
      step: 'ring',
      ok: false,
      says: `no random access point yet: a decoder cannot start without one (${level})`,
    };
  }
  if (!ready)
    return { step: 'ring', ok: false, says: `not ready: waiting for a random access point after a fault (${level})` };
  return {
    step: 'ring',
    ok: ring.fullDrops === 0,
    says: `${accessPoints} random access points, ${segments} segments cut; ${level}`,
  };
}

/** Tells of pacing while there is any. */
function explainSmoothing(smoothing: RenditionStatus['smoothing']): WhyStep | null {
  if (!smoothing.active) return null;
  const { variationPercent, thresholdPercent, peakRate, outputPeakRate, delayMs, maxDelayMs } = smoothing;
  const megabits = (rate: number): string => (rate / 1e6).toFixed(1);
  const says = `the rate varies by ${variationPercent} % (over ${thresholdPercent} %): peaks of ${megabits(peakRate)} leave as ${megabits(outputPeakRate)} Mbit/s, delayed by up to ${delayMs.toFixed(0)} of ${maxDelayMs} ms`;
  return { step: 'smoothing', ok: true, says };
}

function explainMulticast(multicast: NonNullable<RenditionStatus['multicast']>): WhyStep {
  const path = `${multicast.url} by ${multicast.interface ?? "the route's interface"}`;
  const sent = `${multicast.packets} packets sent, ${multicast.errors} errors, ${multicast.drops} drops`;
  if (multicast.fault !== null) return { step: 'multicast', ok: false, says: `${path}: ${multicast.fault} (${sent})` };
  const ok = multicast.packets > 0 && multicast.bitsPerSecond > 0;
  return { step: 'multicast', ok, says: `${path}: ${sent}${ok ? '' : '; nothing leaves now'}` };
}

/** What parity is sent, and what of. */
function explainRepair(chosen: RepairChoiceStatus): WhyStep {
  const share = (part: number): string => `${Number((part * 100).toPrecision(2))} %`;
  const { receivers, loss, tailLoss, meanRun, roundTripMs, expectedResidual, expectedOverhead } = chosen;
  const runs = meanRun === null ? '' : ` in runs of ${meanRun.toFixed(1)}`;
  const way = roundTripMs === null ? 'no round trip measured' : `round trip ${roundTripMs.toFixed(1)} ms`;
  const says =
    `${chosen.says}: ${receivers} receivers miss ${share(loss)}, nineteen of twenty at most ${share(tailLoss)}${runs}, ${way}; ` +
    `expected to stay lost ${share(expectedResidual)}, to add ${share(expectedOverhead)}${chosen.meets ? '' : '; nothing keeps the limits'}`;
  return { step: 'repair', ok: chosen.meets, says };
}

function explainViewers({ viewers, urls, ready }: RenditionStatus): WhyStep {
  const now = `${viewers.continuous} continuous and ${viewers.hls} HLS viewers, ${viewers.drops} times one was too slow and jumped`;
  return ready
    ? { step: 'viewers', ok: true, says: `${now}; ${urls.hls}` }
    : { step: 'viewers', ok: false, says: 'viewers get 503 until the stream is ready' };
}
