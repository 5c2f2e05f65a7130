// Noise on an image and off again: what the chapters on denoising score matching write, once more for the page.

/** The noisy image x + sigma * noise. */
export function perturb(x, sigma, noise) {
  return x.map((value, i) => value + sigma * noise[i]);
}

/** The clean image that a score expects behind a noisy one, x + sigma^2 * score (Tweedie's formula). */
export function denoise(x, sigma, score) {
  return x.map((value, i) => value + sigma ** 2 * score[i]);
}

/** How far two images are apart: the root of the mean square over pixels. */
export function distance(a, b) {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}
