/** The flows and their receivers as tables, as `sluice show flows` and `sluice show receivers` print them. */
import type { Registry, Row } from '../base/registry.js';
import type { FlowStatus, ReceiverStatus } from './status.js';

interface FlowSource {
  flows(): readonly FlowStatus[];
  /** @throws SluiceError NOT_FOUND */
  receivers(id: string): readonly ReceiverStatus[];
}

const FLOW_COLUMNS = [
  'flow',
  'state',
  'input',
  'open',
  'in_pps',
  'out_pps',
  'in_kbps',
  'out_kbps',
  'lost',
  'shed',
  'rtcp',
  'reason',
];
const RECEIVER_COLUMNS = [
  'receiver',
  'to',
  'gate',
  'source',
  'packets',
  'errors',
  'switches',
  'loss_pct',
  'jitter_ms',
  'rtt_ms',
  'reason',
];

/** Offers both; returns the function that withdraws them. */
export function offerFlowTables(registry: Registry, source: FlowSource): () => void {
  const withdraw = [
    registry.offer('flows', { columns: FLOW_COLUMNS, rows: () => source.flows().map(flowRow) }),
    registry.offer('receivers', {
      columns: RECEIVER_COLUMNS,
      of: 'flow',
      rows: (id) => {
        const ids = id === undefined ? source.flows().map((flow) => flow.id) : [id];
        return ids.flatMap((one) => source.receivers(one)).map(receiverRow);
      },
    }),
  ];
  return () => {
    for (const one of withdraw) one();
  };
}

function flowRow(flow: FlowStatus): Row {
  const { counters, rates } = flow;
  return {
    flow: flow.id,
    state: flow.state,
    input: flow.input,
    open: `${flow.receiversOpen}/${flow.receivers}`,
    in_pps: Math.round(rates.packetsIn),
    out_pps: Math.round(rates.packetsOut),
    in_kbps: Math.round(rates.bitsIn / 1000),
    out_kbps: Math.round(rates.bitsOut / 1000),
    lost: counters.rtpLost,
    shed: counters.shedLate + counters.shedPriority,
    rtcp: flow.rtcp === 'off' ? 'off' : `${counters.rtcpIn} in, ${counters.rtcpOut} out`,
    reason: flow.code === null ? null : `${flow.code}: ${flow.reason}`,
    origin: flow.origin,
    source: flow.source,
    interface: flow.interface,
    loop: flow.loop,
    history_ms: counters.historyMs,
    smoothing_delay_us: counters.smoothingDelayUs,
  };
}

function receiverRow(one: ReceiverStatus): Row {
  return {
    receiver: `${one.flow}/${one.id}`,
    to: one.to,
    gate: one.gate,
    source: one.source,
    packets: one.packets,
    errors: one.errors,
    switches: one.switches,
    loss_pct: one.report === null ? null : Number((100 * one.report.fractionLost).toFixed(1)),
    jitter_ms: one.report === null ? null : Number(one.report.jitterMs.toFixed(1)),
    rtt_ms: one.report?.roundTripMs ?? null,
    reason: one.code === null ? null : `${one.code}: ${one.reason}`,
    origin: one.origin,
    dscp: one.dscp,
    bytes: one.bytes,
    sequence: one.sequence,
  };
}
