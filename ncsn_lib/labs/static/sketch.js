// A pad to draw on: a small image, larger on the page, by pointer or by keyboard.

import { choice, element, onThemeChange } from "./controls.js";
import { colourOf, makePicture, paintWith } from "./pictures.js";

/** The tools: how wide the brush is, in pixels, and what it leaves of the value that was there. */
const TOOLS = {
  ink: { text: "draw", radius: 1.2, leave: (old, covered) => Math.max(Number.isNaN(old) ? 0 : old, covered) },
  blank: { text: "black", radius: 1.6, leave: () => 0 },
  free: { text: "rub out", radius: 2.4, leave: () => NaN },
};
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SPACING = 0.4; // pixels between two prints of the brush along a stroke

/**
 * Draw with a tool along a line, in place.
 *
 * @param {Float32Array} pixels (C, H, W) from 0 to 1, NaN where free
 * @param {number[]} shape [C, H, W]
 * @param {"ink"|"blank"|"free"} tool
 * @param {number[][]} points the line's corners [x, y] in pixels, whose centres are at halves
 */
export function stroke(pixels, [channels, height, width], tool, points) {
  const { radius, leave } = TOOLS[tool];
  for (const [x, y] of alongLine(points)) {
    for (let row = Math.max(0, Math.floor(y - radius - 1)); row <= Math.min(height - 1, y + radius + 1); row++) {
      for (let column = Math.max(0, Math.floor(x - radius - 1)); column <= Math.min(width - 1, x + radius + 1); column++) {
        const covered = Math.min(1, radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y));
        if (covered <= 0) continue;
        for (let c = 0; c < channels; c++) {
          const at = (c * height + row) * width + column;
          pixels[at] = leave(pixels[at], covered);
        }
      }
    }
  }
}

/** Points on a line, its corners among them. */
function* alongLine(points) {
  yield points[0];
  for (let i = 1; i < points.length; i++) {
    const [[x, y], [toX, toY]] = [points[i - 1], points[i]];
    const count = Math.ceil(Math.hypot(toX - x, toY - y) / SPACING);
    for (let k = 1; k <= count; k++) yield [x + ((toX - x) * k) / count, y + ((toY - y) * k) / count];
  }
}

/**
 * Make the pad.
 *
 * @param {Scope} scope
 * @param {object} spec `label`; `shape` [C, H, W]; `tools`, of "ink", "blank" and "free", the first one chosen; `read()`, the
 *   pixels, NaN where free; `write(pixels)`, called after each stroke; `names`, the values of the model that it shows
 * @returns {HTMLElement} the pad with its tools
 */
export function makeSketch(scope, { label, shape, tools, read, write, names }) {
  const [, height, width] = shape;
  let tool = tools[0];
  let last = null; // where the stroke is
  let cursor = [width / 2, height / 2]; // of the keyboard
  const canvas = makePicture(shape, `${label}. Arrow keys move the brush, with Shift they draw; the space bar draws a dot.`);
  const mark = element("span", { class: "cursor", "aria-hidden": "true" });
  const hint = element("span", { class: "draw-here", "aria-hidden": "true" }, "draw here");
  const stage = element("div", { class: "stage sketch" }, canvas, mark, hint);
  const draw = (points) => {
    const pixels = Float32Array.from(read());
    stroke(pixels, shape, tool, points);
    write(pixels);
  };
  const show = () => {
    const pixels = read();
    paintSketch(canvas, pixels);
    hint.hidden = pixels.some((value) => value > 0);
    mark.style.left = `${(100 * cursor[0]) / width}%`;
    mark.style.top = `${(100 * cursor[1]) / height}%`;
  };
  const place = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * width, ((clientY - box.top) / box.height) * height];
  };
  const listeners = {
    pointerdown: (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = place(event);
      draw([last]);
    },
    pointermove: (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const points = [last, ...event.getCoalescedEvents().map(place), place(event)];
      last = points[points.length - 1];
      draw(points);
    },
    keydown: (event) => {
      const [dx, dy] = KEYS[event.key] ?? [0, 0];
      if (!KEYS[event.key] && event.key !== " ") return;
      event.preventDefault();
      const before = cursor;
      cursor = [clamp(cursor[0] + dx, width), clamp(cursor[1] + dy, height)];
      if (event.key === " " || event.shiftKey) draw([before, cursor]);
      show();
    },
  };
  for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab would take the keys
  const options = tools.map((name) => [name, TOOLS[name].text]);
  const brush = choice(scope, { label: "brush", options, names: [], read: () => tool, write: (chosen) => (tool = chosen) });
  onThemeChange(scope, show);
  scope.on(names, show);
  requestAnimationFrame(show); // once it is on the page, and has its colours
  return element("div", {}, stage, brush);
}

const clamp = (at, size) => Math.min(size - 0.5, Math.max(0.5, at));

/** Grey where something is given, a pattern in the data's blue where nothing is. */
function paintSketch(canvas, pixels) {
  if (!canvas.isConnected) return;
  const colour = colourOf(canvas, "data");
  const size = canvas.width * canvas.height;
  const channels = pixels.length === 3 * size ? [0, size, 2 * size] : [0, 0, 0];
  paintWith(canvas, (i) => {
    if (!Number.isNaN(pixels[i])) return [...channels.map((offset) => 255 * pixels[offset + i]), 255];
    const odd = (i + Math.floor(i / canvas.width)) % 2;
    return [...colour, odd ? 58 : 34];
  });
}
