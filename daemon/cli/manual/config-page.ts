/** sluice.yaml(5), from the schema by which configurations are checked. */
import type { z } from 'zod';
import { jsonSchemaOf } from '../../config/problems.js';
import { settingsSchema } from '../../settings.js';
import type { ManualOptions } from './command-pages.js';
import { bold, example, filled, page, paragraph, tagged } from './roff.js';

type Schema = z.core.JSONSchema.BaseSchema;

const EXAMPLE = [
  'http:',
  '  listen: [0.0.0.0:8080]',
  'channels:',
  '  - id: news',
  '    renditions:',
  '      - id: main',
  '        url: http://origin.example/news.m3u8',
  '        multicast: { address: 239.1.1.1, port: 5000, interface: eth1 }',
];

export function configPage(options: ManualOptions): string {
  const schema = jsonSchemaOf(settingsSchema);
  const parts = Object.entries(schema.properties ?? {}).flatMap(([key, part]) =>
    isSchema(part) ? [`.SS ${key}`, ...paragraph(part.description ?? ''), ...settings(key, part)] : [],
  );
  return page({ name: 'sluice.yaml', section: 5, ...options }, [
    ['NAME', ['sluice.yaml \\- configuration of the Sluice daemon']],
    [
      'DESCRIPTION',
      [
        ...paragraph(
          'The daemon is configured by one YAML file. Unknown keys are refused. Durations are written as 300ms, 2s, 1m',
        ),
        ...paragraph(
          'or 1h, sizes as 512KiB, 32MiB or 1GiB, and addresses to listen on as 0.0.0.0:8080 or "[::]:8080".',
        ),
        '.PP',
        ...filled(
          `${bold('sluice check -c')} \\fIFILE\\fR tells everything that is wrong with a file, by line and column.`,
        ),
      ],
    ],
    ['SETTINGS', parts],
    ['EXAMPLES', example(EXAMPLE)],
    ['FILES', tagged('\\fI/etc/sluice/sluice.yaml\\fR', 'what the service reads')],
    ['SEE ALSO', filled(`${bold('sluice')}(1), ${bold('sluice-check')}(1)`)],
  ]);
}

/** The keys below a path, each before its own keys. */
function settings(path: string, schema: Schema): string[] {
  return branchesOf(schema).flatMap((branch) => {
    const item = isSchema(branch.items) ? settings(`${path}[]`, branch.items) : [];
    const keys = Object.entries(branch.properties ?? {}).flatMap(([key, inner]) => {
      if (!isSchema(inner)) return [];
      const required = branch.required?.includes(key) === true;
      return [...tagged(keyName(`${path}.${key}`), sentence(inner, required)), ...settings(`${path}.${key}`, inner)];
    });
    return [...item, ...keys];
  });
}

/** Longest name that finds room in a line behind its indentation. */
const LINE = 60;

/** What is longer than a line may be broken behind each point. */
function keyName(path: string): string {
  return path.length <= LINE ? bold(path) : bold(path).replaceAll('.', '.\\:');
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function branchesOf(schema: Schema): Schema[] {
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...inner.flatMap((one) => (isSchema(one) ? branchesOf(one) : []))];
}

function sentence(schema: Schema, required: boolean): string {
  const facts = [...boundsOf(schema), ...(required ? ['required'] : []), ...defaultOf(schema)];
  return [schema.description ?? '', facts.length === 0 ? '' : `(${facts.join('; ')})`].join(' ').trim();
}

function boundsOf(schema: Schema): string[] {
  const { enum: choices, minimum, maximum } = schema;
  if (choices !== undefined) return [`one of ${choices.join(', ')}`];
  return typeof minimum === 'number' && typeof maximum === 'number' ? [`${minimum} to ${maximum}`] : [];
}

function defaultOf({ default: value }: Schema): string[] {
  if (Array.isArray(value)) return [`default: ${value.join(', ')}`];
  const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return plain ? [`default: ${value}`] : [];
}
