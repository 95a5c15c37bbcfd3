/** How close a search comes. */
const STEP = 1.05;
/** Its first steps. */
const FAR = 1.25;
/** A guess that is further off than this was none. */
const MOST_OFF = 20;

/**
 * The highest rate that is borne, to 5 %.
 *
 * @param borne tries a rate
 * @param guess where to look first
 * @param most rates above are not tried; given back as it is where even this one is borne
 * @returns 0 where nothing near the guess is borne
 */
export async function highestBorne(
  borne: (rate: number) => Promise<boolean>,
  guess: number,
  most: number,
): Promise<number> {
  const [low, high] = await bounds(borne, Math.min(guess, most), most);
  return low === 0 || low === high ? low : between(borne, low, high);
}

/** A rate that is borne and one that is not; both are `most` where that is borne, the first is 0 where nothing is. */
async function bounds(
  borne: (rate: number) => Promise<boolean>,
  guess: number,
  most: number,
): Promise<[number, number]> {
  if (await borne(guess)) {
    for (let low = guess; low < most; ) {
      const next = Math.min(low * FAR, most);
      if (!(await borne(next))) return [low, next];
      low = next;
    }
    return [most, most];
  }
  for (let high = guess; high > guess / MOST_OFF; high /= FAR) {
    if (await borne(high / FAR)) return [high / FAR, high];
  }
  return [0, guess];
}

async function between(borne: (rate: number) => Promise<boolean>, from: number, to: number): Promise<number> {
  let [low, high] = [from, to];
  while (high / low > STEP) {
    const middle = Math.sqrt(low * high);
    if (await borne(middle)) low = middle;
    else high = middle;
  }
  return low;
}
