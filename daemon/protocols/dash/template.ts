/** What the identifiers of a template stand for (ISO/IEC 23009-1 section 5.3.9.4.4). */
export interface TemplateValues {
  readonly representationId: string;
  readonly bandwidth: number;
  readonly number?: number;
  readonly time?: bigint;
}

const IDENTIFIER = /\$(?:(RepresentationID)|(Number|Bandwidth|Time)(?:%0(\d{1,2})d)?)?\$/g;

/** Replaces `$Number%05d$` and its like, and `$$` by one dollar sign. What is not known stays as written. */
export function fillTemplate(template: string, values: TemplateValues): string {
  const numbers = { Number: values.number, Bandwidth: values.bandwidth, Time: values.time };
  return template.replace(IDENTIFIER, (written, id?: string, name?: keyof typeof numbers, width?: string) => {
    if (id !== undefined) return values.representationId;
    if (name === undefined) return '$';
    return numbers[name]?.toString().padStart(Number(width ?? 1), '0') ?? written;
  });
}
