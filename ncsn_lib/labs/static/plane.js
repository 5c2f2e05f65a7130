// A piece of the plane on a canvas: a density, its score, chains, and handles on the modes.

import { element, onThemeChange } from "./controls.js";
import { logDensity, score } from "./mixtures.js";

const GRID = 96; // cells of the density from left to right

/** The points of a grid of square cells, at the cells' centres, the first coordinate fastest, from the top. */
function gridPoints(half, across, down) {
  return Float64Array.from({ length: 2 * across * down }, (_, n) => {
    const cell = n >> 1;
    const at = n % 2 ? down - 1 - 2 * Math.floor(cell / across) : 2 * (cell % across) + 1 - across;
    return (half * at) / across;
  });
}

/**
 * A canvas with what lies on it; `half` is half the width of what it shows, and the page says how high it is.
 *
 * `arrows` is their number from left to right, `dots` the number of dots that would fill the width.
 */
export class Plane {
  constructor(scope, label, { arrows = 15, dots = 95 } = {}) {
    Object.assign(this, { half: 9, arrows, dots });
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.stage = element("div", { class: "stage" }, this.canvas);
    this.context = this.canvas.getContext("2d");
    this.background = document.createElement("canvas");
    this.shades = document.createElement("canvas");
    this.changed = () => {};
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.stage);
    scope.ends.push(() => observer.disconnect());
    onThemeChange(scope, () => this.resize());
  }

  /** Take the size that the page gives, and the colours of its theme. */
  resize() {
    if (!this.stage.isConnected) return; // where it has neither size nor colours
    const style = getComputedStyle(this.stage);
    this.colours = Object.fromEntries(
      ["data", "model", "truth", "accent"].map((name) => [name, style.getPropertyValue(`--lab-${name}`).trim()]),
    );
    const [width, height] = [this.stage.clientWidth, this.stage.clientHeight].map((size) =>
      Math.max(Math.round(size * Math.min(devicePixelRatio, 2)), 1),
    );
    for (const canvas of [this.canvas, this.background]) Object.assign(canvas, { width, height });
    this.dot = makeDot(this.colours.model, Math.max(2, width / (2 * this.dots)));
    this.painted = "";
    this.changed();
  }

  /** Where a coordinate lies on the canvas, in its pixels. */
  across(x) {
    return (0.5 + x / (2 * this.half)) * this.canvas.width;
  }

  down(y) {
    return 0.5 * this.canvas.height - (y / (2 * this.half)) * this.canvas.width;
  }

  /** A grid of so many points from left to right, and as many from top to bottom as the canvas is high. */
  grid(across) {
    const down = Math.max(1, Math.round((across * this.canvas.height) / this.canvas.width));
    return { down, points: gridPoints(this.half, across, down) };
  }

  /** Draw everything; the density and the arrows only where they changed. */
  draw(points, mixture, shown, trace = []) {
    const key = JSON.stringify([mixture, shown, this.half]);
    if (key !== this.painted) this.paintBackground(mixture, shown);
    this.painted = key;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.drawImage(this.background, 0, 0);
    if (!shown.chains) return;
    this.drawChains(points);
    if (trace.length) this.drawPaths(trace);
  }

  paintBackground(mixture, shown) {
    const context = this.background.getContext("2d");
    context.clearRect(0, 0, this.background.width, this.background.height);
    if (shown.density) this.paintDensity(context, mixture);
    if (shown.score) this.paintScore(context, mixture);
  }

  /** The density relative to its largest value on the grid, from transparent to the data's blue. */
  paintDensity(context, mixture) {
    const { down, points } = this.grid(GRID);
    const values = logDensity(mixture, points);
    const largest = values.reduce((a, b) => Math.max(a, b));
    const [red, green, blue] = this.colours.data.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
    Object.assign(this.shades, { width: GRID, height: down });
    const shades = this.shades.getContext("2d");
    const image = shades.createImageData(GRID, down);
    values.forEach((value, i) => image.data.set([red, green, blue, 185 * Math.exp((value - largest) / 2)], 4 * i));
    shades.putImageData(image, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.shades, 0, 0, this.background.width, this.background.height);
  }

  /** The score as arrows of one length, since its own would span decades. */
  paintScore(context, mixture) {
    const { points } = this.grid(this.arrows);
    const scores = score(mixture, points);
    const length = (0.32 * this.canvas.width) / this.arrows;
    context.strokeStyle = this.colours.truth;
    context.lineWidth = Math.max(1, length / 9);
    context.globalAlpha = 0.8;
    context.beginPath();
    for (let i = 0; i < points.length; i += 2) {
      const angle = Math.atan2(-scores[i + 1], scores[i]);
      traceArrow(context, this.across(points[i]), this.down(points[i + 1]), angle, length);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  /** Where a few chains have been, each from a ring at its start; `trace` has their points after every step. */
  drawPaths(trace) {
    const { context } = this;
    const radius = this.dot.width;
    [context.strokeStyle, context.lineJoin] = [this.colours.accent, "round"];
    context.lineWidth = Math.max(1.5, this.canvas.width / 180);
    context.beginPath();
    for (let i = 0; i < trace[0].length; i += 2) {
      const at = trace.map((points) => [this.across(points[i]), this.down(points[i + 1])]);
      context.moveTo(at[0][0] + radius, at[0][1]);
      context.arc(...at[0], radius, 0, 2 * Math.PI);
      context.moveTo(...at[0]);
      for (const place of at) context.lineTo(...place);
    }
    context.stroke();
  }

  drawChains(points) {
    const offset = this.dot.width / 2;
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = [this.across(points[i]) - offset, this.down(points[i + 1]) - offset];
      if (x > -offset && y > -offset && x < this.canvas.width && y < this.canvas.height) this.context.drawImage(this.dot, x, y);
    }
  }
}

/** A picture of one chain, drawn once and copied. */
function makeDot(colour, radius) {
  const dot = document.createElement("canvas");
  dot.width = dot.height = Math.ceil(2 * radius + 2);
  const context = dot.getContext("2d");
  context.fillStyle = colour;
  context.globalAlpha = 0.72;
  context.arc(dot.width / 2, dot.width / 2, radius, 0, 2 * Math.PI);
  context.fill();
  return dot;
}

function traceArrow(context, x, y, angle, length) {
  const [along, up] = [Math.cos(angle) * length, Math.sin(angle) * length];
  context.moveTo(x - along, y - up);
  context.lineTo(x + along, y + up);
  for (const side of [2.6, -2.6]) {
    context.moveTo(x + along, y + up);
    context.lineTo(x + along + 0.7 * length * Math.cos(angle + side), y + up + 0.7 * length * Math.sin(angle + side));
  }
}

/**
 * Handles on the modes, to be dragged by pointer, or moved by the arrow keys (Shift for small steps).
 *
 * @param {Plane} plane a square one
 * @param {() => number[][]} read the means, (K, 2)
 * @param {(k: number, mean: number[]) => void} move where a mean should go
 * @param {boolean} focusable whether the keyboard reaches them; the second panel's are there for the pointer alone
 * @returns {() => void} puts them where the means are
 */
export function addHandles(plane, read, move, focusable) {
  const handles = [];
  const layer = element("div", { class: "handles", "aria-hidden": focusable ? false : "true" });
  plane.stage.append(layer);
  return () => {
    const means = read();
    while (handles.length > means.length) handles.pop().remove();
    while (handles.length < means.length) {
      handles.push(makeHandle(plane, handles.length, read, move, focusable));
      layer.append(handles[handles.length - 1]);
    }
    means.forEach((mean, k) => placeHandle(plane, handles[k], k, mean));
  };
}

function placeHandle(plane, handle, k, [x, y]) {
  handle.style.left = `${50 + (50 * x) / plane.half}%`;
  handle.style.top = `${50 - (50 * y) / plane.half}%`;
  const label = `Mode ${k + 1} at ${x.toFixed(1)}, ${y.toFixed(1)}; arrow keys move it`;
  if (handle.getAttribute("aria-label") !== label) handle.setAttribute("aria-label", label);
}

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function makeHandle(plane, k, read, move, focusable) {
  const byKey = (event) => {
    if (!KEYS[event.key]) return;
    event.preventDefault();
    const size = event.shiftKey ? 0.05 : 0.5;
    move(k, read()[k].map((at, axis) => at + size * KEYS[event.key][axis]));
  };
  const byPointer = (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = plane.stage.getBoundingClientRect();
    const at = (part) => plane.half * Math.min(0.97, Math.max(-0.97, 2 * part - 1));
    move(k, [at((event.clientX - box.left) / box.width), -at((event.clientY - box.top) / box.height)]);
  };
  const handle = element(
    "button",
    {
      type: "button",
      class: "handle",
      tabindex: focusable ? false : "-1",
      keydown: byKey,
      pointermove: byPointer,
      pointerdown: (event) => handle.setPointerCapture(event.pointerId),
    },
    String(k + 1),
  );
  return handle;
}
