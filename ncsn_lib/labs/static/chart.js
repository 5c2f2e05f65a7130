// A small chart of one number a level, as SVG.

import { element, format } from "./controls.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [280, 180, 66, 10, 14, 30];
const LETTER = 8.8; // the width of one, about

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Where values lie between the lower and the upper edge of a chart.
 *
 * @param {number[]} values all that must fit in; those that are not finite do not count
 * @param {boolean} log whether the axis has equal factors in place of equal steps
 * @returns {{low: number, high: number, part: (value: number) => number}} ends of the axis; 0 at its low end, 1 at its high
 */
export function makeAxis(values, log) {
  const [to, back] = log ? [Math.log10, (p) => 10 ** p] : [Number, Number];
  const places = values.map(to).filter(Number.isFinite);
  let [low, high] = [Math.min(...places), Math.max(...places)];
  if (high - low < 1e-6) [low, high] = log ? [low - 0.5, high + 0.5] : [low - 0.5 * Math.abs(low) - 0.01, high + 0.5 * Math.abs(high) + 0.01];
  return { low: back(low), high: back(high), part: (value) => (to(value) - low) / (high - low) };
}

/**
 * Make a chart.
 *
 * @param {object} spec `title`; `log`; `ends`, values that the axis always shows; `mark`, a value with a line of its own,
 *   and `markName`, what it says
 * @returns {{root: Element, update: (values: number[], first: number) => void}} `update` draws values of the levels
 *   `first`, `first` + 1, ...
 */
export function makeChart({ title, log = false, ends = [], mark = null, markName = "" }) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const root = element("figure", { class: "chart" }, element("figcaption", { class: "title" }, title), picture);
  const update = (values, first) => {
    const axis = makeAxis([...values, ...ends, ...(mark === null ? [] : [mark])], log);
    picture.setAttribute("aria-label", `${title}: ${format(values[0])} at level ${first}, ${format(values.at(-1))} at the last`);
    const places = values.map((value, i) => [across(i, values.length), down(axis.part(value))]);
    const seen = places.filter((place) => place.every(Number.isFinite));
    picture.replaceChildren(...drawAxes(axis, values.length, first, log), ...drawMark(axis, mark, markName, seen), ...drawValues(seen));
  };
  return { root, update };
}

const across = (i, num) => LEFT + ((WIDTH - LEFT - RIGHT) * (i + 0.5)) / num;
const down = (part) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;

function drawAxes(axis, num, first, log) {
  const [bottom, right] = [down(0), WIDTH - RIGHT];
  const lines = svg("path", { class: "axis", d: `M${LEFT} ${down(1)}V${bottom}H${right}` });
  const text = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, words);
  return [
    lines,
    text(LEFT - 6, down(1) + 6, "end", format(axis.high)),
    text(LEFT - 6, bottom + 6, "end", format(axis.low)),
    text(across(0, num), bottom + 22, "middle", String(first)),
    ...(num > 1 ? [text(across(num - 1, num), bottom + 22, "middle", String(first + num - 1))] : []),
    text((LEFT + right) / 2, bottom + 22, "middle", "level"),
    ...(log ? [svg("text", { class: "scale", "text-anchor": "middle", transform: `translate(${LEFT - 8} ${down(0.5)}) rotate(-90)` }, "log scale")] : []),
  ];
}

function drawMark(axis, mark, name, places) {
  if (mark === null) return [];
  const y = down(axis.part(mark));
  return [svg("path", { class: "mark", d: `M${LEFT} ${y}H${WIDTH - RIGHT}` }), svg("text", freePlace(y, LETTER * name.length, places), name)];
}

/** Where a line's label is farthest from the curve: above or below the line, at its left or its right end. */
function freePlace(line, width, places) {
  const [left, right] = [LEFT + 6, WIDTH - RIGHT];
  const ends = [
    { x: right, "text-anchor": "end", from: right - width, to: right },
    { x: left, "text-anchor": "start", from: left, to: left + width },
  ];
  const spots = ends.flatMap(({ from, to, ...end }) =>
    [line - 6, line + 18]
      .filter((y) => y > TOP && y < HEIGHT - BOTTOM)
      .map((y) => ({ spot: { ...end, y }, free: distanceTo(places, from, to, y - 6) })),
  );
  return spots.reduce((best, other) => (other.free > best.free ? other : best)).spot;
}

/** How far a curve stays above or below a height, between two ends. */
function distanceTo(places, from, to, height) {
  let least = Infinity;
  places.slice(1).forEach(([x1, y1], i) => {
    const [x0, y0] = places[i];
    for (let x = Math.max(from, x0); x <= Math.min(to, x1); x += 1) {
      least = Math.min(least, Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) - height));
    }
  });
  return least;
}

function drawValues(seen) {
  const line = svg("path", { class: "line", d: seen.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("") });
  const radius = seen.length > 60 ? 1.2 : seen.length > 25 ? 2 : 3.4;
  return [line, ...seen.map(([cx, cy]) => svg("circle", { class: "point", cx, cy, r: radius }))];
}
