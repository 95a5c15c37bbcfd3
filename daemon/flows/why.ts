/** Why a flow is as it is, from its input to its receivers. */
import type { FlowStatus, ReceiverStatus } from './status.js';

interface Step {
  readonly step: 'setup' | 'port' | 'input' | 'overload' | 'receivers' | 'reports';
  readonly ok: boolean;
  readonly says: string;
}

/** The steps in the order in which packets travel; the first that does not work is named as the cause. Pure. */
export function explainFlow(flow: FlowStatus, receivers: readonly ReceiverStatus[]): string[] {
  const steps = stepsOf(flow, receivers);
  const cause = steps.find((step) => !step.ok);
  return [
    `flow ${flow.id} is ${flow.state}: ${cause === undefined ? 'every step works' : `the cause is at the ${cause.step}`}`,
    ...steps.map(({ step, ok, says }) => `  ${step}: ${ok ? 'ok' : 'BROKEN'}: ${says}`),
  ];
}

function stepsOf(flow: FlowStatus, receivers: readonly ReceiverStatus[]): Step[] {
  if (flow.state === 'failed') return [setUp(flow)];
  return [
    setUp(flow),
    ...(flow.port === null ? [] : [atPort(flow, flow.port)]),
    atInput(flow),
    overload(flow),
    atReceivers(flow, receivers),
    ...reports(receivers),
  ];
}

function setUp({ state, code, reason, input, loop }: FlowStatus): Step {
  if (state === 'failed')
    return { step: 'setup', ok: false, says: `${input}: ${code}: ${reason}; it is tried again every 2 s` };
  return { step: 'setup', ok: true, says: loop === null ? input : `${input} on loop ${loop}` };
}

function atPort(
  { input, source, interface: name, counters, state }: FlowStatus,
  port: NonNullable<FlowStatus['port']>,
): Step {
  const { packets, unmatched, kernelDrops } = port;
  const evidence = `${packets} packets at the port, ${unmatched} of them asked for by no flow, ${kernelDrops} dropped by the kernel`;
  if (kernelDrops > 0)
    return {
      step: 'port',
      ok: false,
      says: `${evidence}: the receive buffer was full; raise receive_buffer, and net.core.rmem_max (sluice check --host)`,
    };
  if (packets === 0) {
    const where = `${source === null ? '' : `from ${source} `}${name === null ? '' : `by ${name} `}`.trim();
    return {
      step: 'port',
      ok: false,
      says: `nothing has arrived at ${input}${where === '' ? '' : ` ${where}`}: the port is open and a group joined; does the sender send there, and does the network bring it? (sluice capture, tcpdump)`,
    };
  }
  if (counters.packetsIn === 0 || (state === 'silent' && unmatched > 0))
    return { step: 'port', ok: false, says: `${evidence}: another sender or SSRC than this flow asks for` };
  return { step: 'port', ok: true, says: evidence };
}

function atInput({ state, ssrc, source, lastInputAgeMs, rates, counters }: FlowStatus): Step {
  const { packetsIn, malformed, rtpLost, rtpReordered, rtpDuplicates, jitterUs } = counters;
  const only = [source === null ? '' : `from ${source}`, ssrc === null ? '' : `of SSRC ${hex(ssrc)}`].filter(
    (word) => word !== '',
  );
  if (packetsIn === 0) return { step: 'input', ok: false, says: ['no packet yet', ...only].join(' ') };
  const quality = `${rtpLost} lost, ${rtpReordered} reordered, ${rtpDuplicates} twice, ${malformed} malformed, jitter ${(jitterUs / 1000).toFixed(1)} ms`;
  const age = lastInputAgeMs === null ? '' : `, the last ${(lastInputAgeMs / 1000).toFixed(1)} s ago`;
  const says = `${packetsIn} packets${age}, ${rates.packetsIn.toFixed(0)} a second, SSRC ${hex(counters.ssrc)}; ${quality}`;
  return { step: 'input', ok: state === 'flowing', says };
}

function overload({ counters: { shedLate, shedPriority }, priority }: FlowStatus): Step {
  if (shedLate + shedPriority === 0) return { step: 'overload', ok: true, says: 'nothing was shed' };
  const says = `${shedLate} packets were shed because they had waited too long, ${shedPriority} because flows of a higher priority than ${priority} went first: more is asked of the loop than it can send`;
  return { step: 'overload', ok: false, says };
}

function atReceivers(
  { receivers: all, receiversOpen, receiversFailed, counters, rates }: FlowStatus,
  list: readonly ReceiverStatus[],
): Step {
  const evidence = `${receiversOpen} of ${all} open, ${counters.packetsOut} packets sent, ${rates.packetsOut.toFixed(0)} a second, ${counters.sendErrors} refused by the kernel`;
  const broken = (why: string): Step => ({ step: 'receivers', ok: false, says: `${evidence}: ${why}` });
  if (counters.receivers === 0 && all === 0) return broken('there are none');
  const failed = list.find(({ code }) => code !== null);
  if (failed !== undefined)
    return broken(`${receiversFailed} could not be set up, ${failed.id} for ${failed.code}: ${failed.reason}`);
  if (counters.receiversOpen === 0) {
    const away = list.filter(({ source, flow }) => source !== flow).length;
    return broken(away > 0 ? `no gate is open here, ${away} listen to other flows` : 'every gate is closed');
  }
  if (counters.sendErrors > 0) return broken('is there a route to each, and room in the send queue?');
  return { step: 'receivers', ok: true, says: evidence };
}

/** Loss that a receiver reported last, above which it is named. */
const LOSS = 0.01;

function reports(receivers: readonly ReceiverStatus[]): Step[] {
  const told = receivers.flatMap(({ id, report }) => (report === null ? [] : [{ id, ...report }]));
  if (told.length === 0) return [];
  const losing = told.filter(({ fractionLost }) => fractionLost > LOSS);
  const worst = told.toSorted((a, b) => b.fractionLost - a.fractionLost)[0];
  const says = `${told.length} of ${receivers.length} report; ${losing.length} lose more than 1 %${
    worst === undefined
      ? ''
      : `, most of all ${worst.id}: ${(100 * worst.fractionLost).toFixed(1)} %, jitter ${worst.jitterMs.toFixed(1)} ms`
  }`;
  return [{ step: 'reports', ok: losing.length === 0, says }];
}

function hex(ssrc: number): string {
  return `0x${ssrc.toString(16).padStart(8, '0')}`;
}
