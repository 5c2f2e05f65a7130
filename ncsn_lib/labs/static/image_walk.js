// Samplers of images by a network's score: ncsn_lib/samplers, once more for the page. Every step of every one of them
// is x + drift * score(x, sigma) + spread * noise; a plan is the list of these numbers. More plans are in flow.js, where
// Heun's steps also add the score of the step before, times `previous`. Noise is always handed in.

import { annealedPlan } from "./langevin.js";

/**
 * Consistent annealed sampling (Jolicoeur-Martineau et al. 2021): one call a level, the last one denoises.
 *
 * @param {number[]} sigmas (L,) decreasing levels
 * @param {number} keep the share of the next level's noise that stays from this level's, from 0 to 1; at the widest gap
 *   of the ladder, and as much in relation elsewhere
 * @returns {{level: number, sigma: number, drift: number, spread: number, begins: boolean}[]} the steps; `begins` where a
 *   level does
 */
export function consistentPlan(sigmas, keep) {
  const left = keep * Math.min(1, ...sigmas.slice(1).map((following, i) => following / sigmas[i])); // 1 - eta
  const last = sigmas.length - 1;
  return sigmas.map((sigma, level) => {
    if (level === last) return { level, sigma, drift: sigma ** 2, spread: 0, begins: true };
    const added = Math.max(0, sigmas[level + 1] ** 2 - (left * sigma) ** 2);
    return { level, sigma, drift: (1 - left) * sigma ** 2, spread: Math.sqrt(added), begins: true };
  });
}

/** Annealed Langevin dynamics (Song & Ermon 2019, Alg. 1), and a step that denoises, if wanted. */
export function langevinPlan(sigmas, eps, numSteps, denoise) {
  const plan = annealedPlan(sigmas, eps, numSteps);
  const steps = Array.from({ length: plan.length }, (_, i) => ({ ...plan.at(i), begins: i % numSteps === 0 }));
  const { level, sigma } = steps[steps.length - 1];
  return denoise ? [...steps, { level, sigma, drift: sigma ** 2, spread: 0, begins: false }] : steps;
}

/** Starting states: noise of the first level around the data's mean. */
export function startImages(length, mean, sigma, fillNoise) {
  return fillNoise(new Float32Array(length)).map((draw) => mean + sigma * draw);
}

/**
 * Images on their way down a plan. Where `given` has numbers the pixels are held (Song & Ermon 2019, the inpainting
 * algorithm): when a level begins they become the given ones with its noise, and after the last step the given ones.
 */
export class ImageWalk {
  /**
   * @param {object[]} plan from `consistentPlan`, `langevinPlan` or flow.js
   * @param {Float32Array} x (B * D,) starting states
   * @param {Float32Array|null} given (D,) what every image must have, NaN where a pixel is free; null where all are
   * @param {(array: Float32Array) => Float32Array} fillNoise fills in unit normal draws
   */
  constructor(plan, x, given, fillNoise) {
    Object.assign(this, { plan, x, given, fillNoise, taken: 0, held: null, expected: null, score: null });
  }

  get ended() {
    return this.taken === this.plan.length;
  }

  /** The step that comes next, or the last one. */
  get step() {
    return this.plan[Math.min(this.taken, this.plan.length - 1)];
  }

  /**
   * Take one step; `expected` is then what the network expected the clean images to be, x + sigma^2 * score.
   *
   * @param {(x: Float32Array, sigma: Float32Array) => Promise<Float32Array>} scoreFn
   * @param {number} num B
   */
  async advance(scoreFn, num) {
    const { sigma, drift, previous = 0, spread, begins } = this.step;
    if (begins && this.given) this.hold(sigma);
    const { x, score: before } = this;
    const score = await scoreFn(x, new Float32Array(num).fill(sigma));
    const noise = spread ? this.fillNoise(new Float32Array(x.length)) : null;
    this.expected = x.map((value, i) => value + sigma ** 2 * score[i]);
    this.x = x.map((value, i) => value + drift * score[i] + (noise ? spread * noise[i] : 0));
    if (previous) this.x = this.x.map((value, i) => value + previous * before[i]);
    this.score = score;
    this.taken += 1;
    if (this.given) this.putBack(this.ended ? this.atAll((i, d) => this.given[d]) : this.held);
  }

  /** Draw the noise of a level for the held pixels, and put them in place. */
  hold(sigma) {
    const noise = this.fillNoise(new Float32Array(this.x.length));
    this.held = this.atAll((i, d) => this.given[d] + sigma * noise[i]);
    this.putBack(this.held);
  }

  atAll(valueAt) {
    return this.x.map((_, i) => valueAt(i, i % this.given.length));
  }

  putBack(values) {
    this.x = this.x.map((value, i) => (Number.isNaN(this.given[i % this.given.length]) ? value : values[i]));
  }
}
