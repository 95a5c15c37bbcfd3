/** A code with its dimensions, as repair-model takes it. */
export interface Code {
  /** `parity:7x7+rows`. */
  readonly text: string;
  /** For people: `7 x 7, columns and rows`. */
  readonly says: string;
  /** From a block's first packet to its last parity, in packets: parity leaves one by one with the packets behind its block. */
  readonly span: number;
  /** As `multicast:` of a rendition has it. */
  readonly settings: Readonly<Record<string, object>>;
}

function parity(columns: number, rows: number, rowParity: boolean): Code {
  return {
    text: `parity:${columns}x${rows}${rowParity ? '+rows' : ''}`,
    says: `${columns} x ${rows}, ${rowParity ? 'columns and rows' : 'columns'}`,
    span: columns * rows + columns,
    settings: { fec: { columns, rows, row_fec: rowParity } },
  };
}

function block(source: number, repair: number): Code {
  return {
    text: `block:${source}+${repair}`,
    says: `${source} + ${repair} packets`,
    span: source + repair,
    settings: { reed_solomon: { source, repair } },
  };
}

export type Kind = 'ST 2022-1' | 'block code';

/** With at most 30 % of the media's bytes, headers included, and as the configuration allows; short ones first. */
export const CODES: Readonly<Record<Kind, readonly Code[]>> = {
  'ST 2022-1': [
    parity(6, 8, true),
    parity(7, 7, true),
    parity(10, 6, true),
    parity(16, 4, false),
    parity(15, 6, true),
    parity(20, 5, true),
    parity(25, 4, false),
  ],
  'block code': [block(28, 8), block(50, 14), block(100, 29), block(185, 54)],
};
