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

/** One name, as each of those has it who offer it. */
type Offers = Set<Family>;

/** The Prometheus side of one daemon: one registry, so that two daemons in one process (tests) do not meet. */
export class Metrics {
  readonly registry = new PromRegistry();
  readonly #families = new Map<string, Offers>();

  /**
   * Offers totals that only grow (as the plane counts them). Parts that offer one name have one family together, with the help of
   * the first and the same labels. Returns the function that withdraws this offer.
   */
  counter(family: Family): () => void {
    return this.#offer(family, (configuration, offers) => {
      const metric: Counter<string> = new Counter({
        ...configuration,
        collect: () => {
          metric.reset();
          for (const { labels, value } of samplesOf(offers)) metric.inc({ ...labels }, Math.max(0, value));
        },
      });
    });
  }

  /** Offers values that go up and down; otherwise as {@link counter}. */
  gauge(family: Family): () => void {
    return this.#offer(family, (configuration, offers) => {
      const metric: Gauge<string> = new Gauge({
        ...configuration,
        collect: () => {
          metric.reset();
          for (const { labels, value } of samplesOf(offers)) metric.set({ ...labels }, value);
        },
      });
    });
  }

  #offer(family: Family, make: (configuration: Shape, offers: Offers) => void): () => void {
    const { name, help, labels = [] } = family;
    const offers: Offers = this.#families.get(name) ?? new Set();
    if (offers.size === 0) {
      make({ name, help, labelNames: [...labels], registers: [this.registry] }, offers);
      this.#families.set(name, offers);
    }
    offers.add(family);
    return () => {
      offers.delete(family);
      if (offers.size === 0) this.remove(name);
    };
  }

  /** Takes a family away again (a part that stops). */
  remove(name: string): void {
    this.#families.delete(name);
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
    this.#families.clear();
    this.registry.clear();
  }
}

interface Shape {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: PromRegistry[];
}

function samplesOf(offers: Offers): Sample[] {
  return [...offers].flatMap((family) => [...family.read()]);
}
