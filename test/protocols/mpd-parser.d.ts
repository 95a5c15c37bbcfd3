/** What the tests use of mpd-parser, which ships no types. */
declare module 'mpd-parser' {
  interface MpdSegment {
    uri: string;
    resolvedUri: string;
    number: number;
    duration: number;
    presentationTime: number;
    map: { resolvedUri: string; byterange?: unknown };
    byterange?: { length: number; offset: number };
  }
  interface MpdRepresentation {
    attributes: { id: string; bandwidth: number; baseUrl: string; periodStart: number };
    segments?: MpdSegment[];
  }
  interface InheritOptions {
    manifestUri: string;
    NOW: number;
    clientOffset: number;
  }
  export function stringToMpdXml(text: string): object;
  export function inheritAttributes(
    mpd: object,
    options: InheritOptions,
  ): { locations: string[]; representationInfo: object[] };
  export function toPlaylists(representations: object[]): MpdRepresentation[];
  export function parseUTCTiming(text: string): { method: string; value?: string } | null;
}
