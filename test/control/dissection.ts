/** Control messages as tshark dissects them, in the terms of `control-dump.cc`. */
import { must } from '../replay/tshark.js';

/** Lists of values by the name of their field. */
export type Values = Readonly<Record<string, readonly string[]>>;

/** Fields that stand for themselves. */
const PLAIN = [
  'igmp.type',
  'igmp.version',
  'igmp.maddr',
  'igmp.s',
  'igmp.qrv',
  'igmp.num_src',
  'igmp.saddr',
  'igmp.num_grp_recs',
  'igmp.record_type',
  'icmpv6.type',
  'icmpv6.checksum.status',
  'icmpv6.mld.multicast_address',
  'icmpv6.mld.flag.s',
  'icmpv6.mld.flag.qrv',
  'icmpv6.mld.nb_sources',
  'icmpv6.mld.source_address',
  'icmpv6.mldr.nb_mcast_records',
  'icmpv6.mldr.mar.record_type',
  'icmpv6.mldr.mar.nb_sources',
  'icmpv6.mldr.mar.multicast_address',
  'icmpv6.mldr.mar.source_address',
  'pim.type',
  'pim.holdtime',
  'pim.t',
  'pim.propagation_delay',
  'pim.override_interval',
  'pim.dr_priority',
  'pim.generation_id',
  'pim.register_flag.border',
  'pim.register_flag.null_register',
  'pim.numgroups',
  'pim.numjoins',
  'pim.numprunes',
  'pim.source_addr.flags.w',
  'pim.source_addr.flags.r',
  'pim.fragment_tag',
  'pim.hash_mask_len',
  'pim.bsr_priority',
  'pim.rp_count',
  'pim.frp_count',
  'pim.priority',
  'pim.prefix_count',
  'pim.rpt',
  'pim.metric_pref',
  'pim.metric',
] as const;

/** Of ranges of groups. */
const RANGES = ['pim.mask_len', 'pim.group_addr.flags.b', 'pim.group_addr.flags.z'] as const;

/** Addresses: a field for each family. */
const ADDRESSES = [
  'pim.address_list',
  'pim.upstream_neighbor',
  'pim.group',
  'pim.source',
  'pim.join_ip',
  'pim.prune_ip',
  'pim.bsr',
  'pim.rp',
] as const;

const ofIpv6 = (name: string): string => name.replace(/(_ip)?$/, '_ip6');

/** What our values are made from. */
const OTHERS = [
  'frame.number',
  'ip.src',
  'ipv6.src',
  'ip.dst',
  'ipv6.dst',
  'ip.ttl',
  'ipv6.hlim',
  'ip.opt.ra',
  'ipv6.opt.router_alert',
  'igmp.max_resp',
  'igmp.qqic',
  'icmpv6.mld.maximum_response_delay',
  'icmpv6.mld.maximum_response_code',
  'icmpv6.mld.qqi',
] as const;

type Fields = Readonly<Record<string, readonly string[]>>;

function fieldsOf(file: string): Fields[] {
  const names = [...OTHERS, ...PLAIN, ...RANGES, ...ADDRESSES.flatMap((name) => [name, ofIpv6(name)])];
  const arguments_ = names.flatMap((name) => ['-e', name]);
  // MLD among the other messages of ICMPv6. pimd 2.3 sends queries of IGMPv3 with a wrong checksum, which we refuse.
  const filter = '(igmp && igmp.checksum.status != 0) || pim.version == 2 || icmpv6.type in {130, 131, 132, 143}';
  const options = ['-E', 'occurrence=a', '-E', 'aggregator=,'];
  const text = must('tshark', ['-n', '-r', file, '-Y', filter, '-T', 'fields', ...options, ...arguments_]);
  const row = (line: string): Fields =>
    Object.fromEntries(line.split('\t').map((cell, at) => [names[at] ?? '', cell.split(',').filter(Boolean)]));
  return text.split('\n').filter(Boolean).map(row);
}

/** Numbers in decimal, whether they were in hexadecimal, or words. */
function plain(value: string): string {
  if (value === 'True') return '1';
  if (value === 'False') return '0';
  return /^0x[0-9a-f]+$/.test(value) ? String(Number(value)) : value;
}

const both = (fields: Fields, four: string, six: string): string[] => [...(fields[four] ?? []), ...(fields[six] ?? [])];

/** Milliseconds within which hosts answer; only of queries. tshark has undone the floating form. */
function response(fields: Fields): string[] {
  const [type = ''] = both(fields, 'igmp.type', 'icmpv6.type');
  if (type !== '0x11' && type !== '130') return [];
  // Version 1 does not tell it.
  if (fields['igmp.version']?.[0] === '1') return ['10000'];
  const tenths = (fields['igmp.max_resp'] ?? []).map((text) => String(100 * Number(text)));
  return [...tenths, ...both(fields, 'icmpv6.mld.maximum_response_delay', 'icmpv6.mld.maximum_response_code')];
}

/** Seconds; of IGMP it shows the code (RFC 9776 section 4.1.7). */
function interval(fields: Fields): string[] {
  const seconds = (code: number): number => (code < 128 ? code : ((code % 16) + 16) * 2 ** (Math.floor(code / 16) - 5));
  return [
    ...(fields['igmp.qqic'] ?? []).map((text) => String(seconds(Number(text)))),
    ...(fields['icmpv6.mld.qqi'] ?? []),
  ];
}

function valuesOf(fields: Fields): Values {
  const [source = '', innerSource = ''] = both(fields, 'ip.src', 'ipv6.src');
  const [destination = '', innerDestination = ''] = both(fields, 'ip.dst', 'ipv6.dst');
  const values: Record<string, string[]> = {
    source: [source],
    destination: [destination],
    hops: both(fields, 'ip.ttl', 'ipv6.hlim').slice(0, 1),
    alert: both(fields, 'ip.opt.ra', 'ipv6.opt.router_alert'),
    'inner source': [innerSource],
    'inner destination': [innerDestination],
    response: response(fields),
    interval: interval(fields),
  };
  for (const name of [...PLAIN, ...RANGES]) values[name] = (fields[name] ?? []).map(plain);
  for (const name of ADDRESSES) values[name] = both(fields, name, ofIpv6(name));
  // FRR lists those of both families; we read those of the message's own.
  values['pim.address_list'] =
    values['pim.address_list']?.filter((one) => one.includes(':') === source.includes(':')) ?? [];
  // A null register of IPv6 has another header inside.
  values['pim.type'] = values['pim.type']?.slice(0, 1) ?? [];
  // Each stands in a heading, and under it.
  values['pim.group'] = values['pim.group']?.filter((_, at) => at % 2 === 1) ?? [];
  // Only ranges of groups have more than one mask and flags; with any other mask we would not have read the message.
  const [type = ''] = values['pim.type'] ?? [];
  if (!['4', '8'].includes(type)) for (const name of RANGES) values[name] = [];
  if (type === '3') values['pim.source'] = [];
  return Object.fromEntries(Object.entries(values).filter(([, list]) => list.some(Boolean)));
}

/** By the packet's number. */
export function dissectControl(file: string): Map<number, Values> {
  return new Map(fieldsOf(file).map((fields) => [Number(fields['frame.number']?.[0]), valuesOf(fields)]));
}
