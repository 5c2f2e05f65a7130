// Images on canvases, one canvas pixel to one of theirs; the style makes them large.

import { element } from "./controls.js";

/** A canvas for an image of a shape [C, H, W], with its label. */
export function makePicture([, height, width], label) {
  return element("canvas", { class: "picture", role: "img", width, height, "aria-label": label });
}

/**
 * Paint an image, from 0, black, to 1, white; what lies outside is clamped.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} pixels (C, H, W), C one or three
 */
export function paint(canvas, pixels) {
  const size = canvas.width * canvas.height;
  const colour = pixels.length === 3 * size ? [0, size, 2 * size] : [0, 0, 0];
  paintWith(canvas, (i) => [...colour.map((offset) => 255 * pixels[offset + i]), 255]);
}

/**
 * Paint numbers by their sign and size: `above` where they are positive, `below` where they are negative, stronger the
 * larger they are, and the ground where they are 0. Of three channels their mean is shown.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values (C, H, W)
 * @param {number} limit the size that has the full colour
 * @param {{above: number[], below: number[]}} colours as red, green, blue from 0 to 255
 */
export function paintSigned(canvas, values, limit, { above, below }) {
  const size = canvas.width * canvas.height;
  const channels = values.length / size;
  paintWith(canvas, (i) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += values[c * size + i];
    const mean = sum / channels;
    return [...(mean > 0 ? above : below), 255 * Math.min(1, Math.abs(mean) / limit)];
  });
}

/** Paint each pixel with the red, green, blue and opacity that `rgbaAt` gives for its index. */
export function paintWith(canvas, rgbaAt) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) image.data.set(rgbaAt(i), 4 * i);
  context.putImageData(image, 0, 0);
}

/** A colour of the style sheet, `--lab-NAME`, as red, green, blue. */
export function colourOf(place, name) {
  const text = getComputedStyle(place).getPropertyValue(`--lab-${name}`).trim();
  return text.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
}
