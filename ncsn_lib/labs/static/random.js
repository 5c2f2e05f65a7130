// Draws from a seed: the same seed gives the same run, in every browser.

/**
 * A generator of uniform numbers, xoshiro128** (Blackman and Vigna 2021), its state filled by splitmix32.
 *
 * @param {number} seed whole number
 * @returns {() => number} draws from [0, 1), with 32 random bits
 */
export function uniformGenerator(seed) {
  const mix = splitMix(seed);
  const s = Uint32Array.from({ length: 4 }, mix);
  return () => {
    const product = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 11);
    return product / 2 ** 32;
  };
}

/**
 * A source of unit normal noise, by the method of Box and Muller (1958).
 *
 * @param {() => number} uniform draws from [0, 1)
 * @returns {(array: Float64Array) => Float64Array} fills an array with draws, and returns it
 */
export function normalFiller(uniform) {
  return (array) => {
    for (let i = 0; i < array.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      array[i] = radius * Math.cos(angle);
      if (i + 1 < array.length) array[i + 1] = radius * Math.sin(angle);
    }
    return array;
  };
}

/** Chains (2 B numbers: x, y, x, y, ...) that start uniformly in the square [-half, half]^2. */
export function uniformSquare(num, half, uniform) {
  return Float64Array.from({ length: 2 * num }, () => half * (2 * uniform() - 1));
}

function rotate(bits, by) {
  return (bits << by) | (bits >>> (32 - by));
}

function splitMix(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}
