import { Counter, Gauge, Registry as PromRegistry } from 'prom-client';

/** One value of a family: the labels in any order, and the number as it stands now. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A family of values that is read at the moment of the scrape, so that nothing is counted twice or kept stale. */
export interface Family {
  /** `sluice_…`, ending in `_total` for counters (Prometheus naming). */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** All values that exist now; label sets that are gone simply no longer appear. */
  read(): Iterable<Sample>;
}

/** The Prometheus side of one daemon: one registry, so that two daemons in one process (tests) do not meet. */
export class Metrics {
  readonly registry = new PromRegistry();

  /** Offers totals that only grow (as the plane counts them). */
  counter(family: Family): void {
    const metric: Counter<string> = new Counter({
      name: family.name,
      help: family.help,
      labelNames: [...(family.labels ?? [])],
      registers: [this.registry],
      collect: () => {
        metric.reset();
        for (const { labels, value } of family.read()) metric.inc({ ...labels }, Math.max(0, value));
      },
    });
  }

  /** Offers values that go up and down. */
  gauge(family: Family): void {
    const metric: Gauge<string> = new Gauge({
      name: family.name,
      help: family.help,
      labelNames: [...(family.labels ?? [])],
      registers: [this.registry],
      collect: () => {
        metric.reset();
        for (const { labels, value } of family.read()) metric.set({ ...labels }, value);
      },
    });
  }

  /** Takes a family away again (a part that stops). */
  remove(name: string): void {
    this.registry.removeSingleMetric(name);
  }

  /** Content-Type of {@link Metrics.text}. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** The Prometheus text exposition of everything offered. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** Forgets every family. Idempotent. */
  close(): void {
    this.registry.clear();
  }
}
