/** Thrown inside a step that cannot be played here: skipped is not failed, and it is not passed either. */
export class Skip extends Error {
  override readonly name = 'Skip';
}

export interface Step {
  readonly name: string;
  readonly ok: boolean;
  /** What was measured, or why it failed. */
  readonly figure: string;
}

export interface SkippedStep {
  readonly name: string;
  readonly required: boolean;
  readonly reason: string;
}

export interface StepOptions {
  /** A required step that is skipped makes the whole lab not ok. True by default. */
  readonly required?: boolean;
}

/** An expectation of a step; the words say what was measured. */
export function expect(ok: boolean, figure: string): asserts ok {
  if (!ok) throw new Error(figure);
}

/** The steps of one scenario as they are played. */
export class Report {
  readonly steps: Step[] = [];
  readonly skipped: SkippedStep[] = [];

  /** @param onStep told each line for people as it comes */
  constructor(
    readonly lab: string,
    private readonly onStep: (line: string) => void = () => undefined,
  ) {}

  /**
   * Plays one step.
   *
   * @param play resolves with the figure; throws {@link Skip} or an error
   * @returns whether it passed: what needs this step's outcome asks
   */
  async step(name: string, play: () => Promise<string> | string, options: StepOptions = {}): Promise<boolean> {
    try {
      this.#add({ name, ok: true, figure: await play() });
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof Skip) {
        this.skip(name, reason, options);
      } else {
        this.#add({ name, ok: false, figure: reason });
      }
      return false;
    }
  }

  /** Notes a step that cannot be played. */
  skip(name: string, reason: string, { required = true }: StepOptions = {}): void {
    this.skipped.push({ name, required, reason });
    this.onStep(`skip  ${name}: ${reason}${required ? ' (required)' : ''}`);
  }

  #add(step: Step): void {
    this.steps.push(step);
    this.onStep(`${step.ok ? 'ok  ' : 'FAIL'}  ${step.name}: ${step.figure}`);
  }

  /** Every step passed, there was one, and nothing required was skipped. */
  get ok(): boolean {
    return this.steps.length > 0 && this.steps.every((step) => step.ok) && !this.skipped.some((step) => step.required);
  }

  /** The line for machines. */
  json(): string {
    return JSON.stringify({ lab: this.lab, ok: this.ok, steps: this.steps, skipped: this.skipped });
  }
}
