// A square piece of the plane on a canvas: a density, its score, chains, and handles on the modes.

import { element, onThemeChange } from "./controls.js";
import { logDensity, score } from "./mixtures.js";

const GRID = 96; // cells of the density along each axis
const ARROWS = 15; // along each axis

/** The points of a square grid of num * num cells, at the cells' centres, the first coordinate fastest, from the top. */
function gridPoints(half, num) {
  const at = (i) => half * ((2 * i + 1) / num - 1);
  return Float64Array.from({ length: 2 * num * num }, (_, n) => {
    const cell = n >> 1;
    return n % 2 ? -at(Math.floor(cell / num)) : at(cell % num);
  });
}

/** A canvas with what lies on it; `half` is half the width of what it shows. */
export class Plane {
  constructor(scope, label) {
    this.half = 9;
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.stage = element("div", { class: "stage" }, this.canvas);
    this.context = this.canvas.getContext("2d");
    this.background = document.createElement("canvas");
    this.shades = document.createElement("canvas");
    this.shades.width = this.shades.height = GRID;
    this.changed = () => {};
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.stage);
    scope.ends.push(() => observer.disconnect());
    onThemeChange(scope, () => this.resize());
  }

  /** Take the size that the page gives, and the colours of its theme. */
  resize() {
    const style = getComputedStyle(this.stage);
    this.colours = Object.fromEntries(
      ["data", "model", "truth", "accent"].map((name) => [name, style.getPropertyValue(`--lab-${name}`).trim()]),
    );
    const size = Math.round(this.stage.clientWidth * Math.min(devicePixelRatio, 2));
    for (const canvas of [this.canvas, this.background]) canvas.width = canvas.height = Math.max(size, 1);
    this.dot = makeDot(this.colours.model, Math.max(2, size / 190));
    this.painted = "";
    this.changed();
  }

  /** Where a coordinate lies on the canvas, in its pixels. */
  across(x) {
    return (0.5 + x / (2 * this.half)) * this.canvas.width;
  }

  down(y) {
    return (0.5 - y / (2 * this.half)) * this.canvas.width;
  }

  /** Draw everything; the density and the arrows only where they changed. */
  draw(points, mixture, shown) {
    const key = JSON.stringify([mixture, shown, this.half]);
    if (key !== this.painted) this.paintBackground(mixture, shown);
    this.painted = key;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.width);
    this.context.drawImage(this.background, 0, 0);
    if (shown.chains) this.drawChains(points);
  }

  paintBackground(mixture, shown) {
    const context = this.background.getContext("2d");
    context.clearRect(0, 0, this.background.width, this.background.width);
    if (shown.density) this.paintDensity(context, mixture);
    if (shown.score) this.paintScore(context, mixture);
  }

  /** The density relative to its largest value on the grid, from transparent to the data's blue. */
  paintDensity(context, mixture) {
    const values = logDensity(mixture, gridPoints(this.half, GRID));
    const largest = values.reduce((a, b) => Math.max(a, b));
    const [red, green, blue] = this.colours.data.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
    const shades = this.shades.getContext("2d");
    const image = shades.createImageData(GRID, GRID);
    values.forEach((value, i) => image.data.set([red, green, blue, 185 * Math.exp((value - largest) / 2)], 4 * i));
    shades.putImageData(image, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.shades, 0, 0, this.background.width, this.background.width);
  }

  /** The score as arrows of one length, since its own would span decades. */
  paintScore(context, mixture) {
    const points = gridPoints(this.half, ARROWS);
    const scores = score(mixture, points);
    const length = (0.32 * this.canvas.width) / ARROWS;
    context.strokeStyle = this.colours.truth;
    context.lineWidth = Math.max(1, this.canvas.width / 420);
    context.globalAlpha = 0.8;
    context.beginPath();
    for (let i = 0; i < points.length; i += 2) {
      const angle = Math.atan2(-scores[i + 1], scores[i]);
      traceArrow(context, this.across(points[i]), this.down(points[i + 1]), angle, length);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  drawChains(points) {
    const offset = this.dot.width / 2;
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = [this.across(points[i]) - offset, this.down(points[i + 1]) - offset];
      if (x > -offset && y > -offset && x < this.canvas.width && y < this.canvas.width) this.context.drawImage(this.dot, x, y);
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
 * @param {Plane} plane
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
