// Ready drawings, for who would rather not draw: strokes of the sketch pad's own brush.

import { stroke } from "./sketch.js";

const SIDE = 28; // pixels of the pad that the strokes are laid out on

/** Points on an ellipse around (x, y), between two angles in degrees: clockwise from the right. */
function arc([x, y], [width, height], from, to) {
  const count = 16;
  return Array.from({ length: count + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / count) * Math.PI) / 180;
    return [x + width * Math.cos(angle), y + height * Math.sin(angle)];
  });
}

/** Each is a list of lines, each of them a list of corners [x, y] in pixels. */
export const DRAWINGS = {
  3: [[...arc([13.2, 9.6], [4.8, 4.2], -155, 90), ...arc([13.2, 18.6], [5.6, 4.8], -90, 155)]],
  7: [[[8.5, 7], [19.5, 7], [16.5, 12], [14.2, 17], [13, 22.5]]],
  8: [arc([14, 9.4], [3.8, 3.8], 0, 360), arc([14, 18.2], [4.6, 5], 0, 360)],
  "A face": [arc([14, 14], [9.5, 9.5], 0, 360), [[10.5, 11], [10.5, 12]], [[17.5, 11], [17.5, 12]], arc([14, 14.5], [5, 4.6], 25, 155)],
};

/**
 * A drawing as an image.
 *
 * @param {string} name one of DRAWINGS
 * @param {number[]} shape [C, H, W] of the image, which the drawing fills
 * @returns {Float32Array} (C, H, W) from 0 to 1
 */
export function drawingOf(name, shape) {
  const [channels, height, width] = shape;
  const pixels = new Float32Array(channels * height * width);
  for (const line of DRAWINGS[name]) stroke(pixels, shape, "ink", line.map(([x, y]) => [(x * width) / SIDE, (y * height) / SIDE]));
  return pixels;
}
