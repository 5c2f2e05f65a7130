// A small chart of one number a level, as SVG.

import { element, format } from "./controls.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [280, 170, 46, 10, 12, 24];

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
    picture.replaceChildren(...drawAxes(axis, values.length, first), ...drawMark(axis, mark, markName), ...drawValues(axis, values));
  };
  return { root, update };
}

const across = (i, num) => LEFT + ((WIDTH - LEFT - RIGHT) * (i + 0.5)) / num;
const down = (part) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;

function drawAxes(axis, num, first) {
  const [bottom, right] = [down(0), WIDTH - RIGHT];
  const lines = svg("path", { class: "axis", d: `M${LEFT} ${down(1)}V${bottom}H${right}` });
  const text = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, words);
  return [
    lines,
    text(LEFT - 6, down(1) + 4, "end", format(axis.high)),
    text(LEFT - 6, bottom + 4, "end", format(axis.low)),
    text(across(0, num), bottom + 18, "middle", String(first)),
    ...(num > 1 ? [text(across(num - 1, num), bottom + 18, "middle", String(first + num - 1))] : []),
    text((LEFT + right) / 2, bottom + 18, "middle", "level"),
  ];
}

function drawMark(axis, mark, name) {
  if (mark === null) return [];
  const y = down(axis.part(mark));
  const above = y > TOP + 20 ? -5 : 14;
  return [
    svg("path", { class: "mark", d: `M${LEFT} ${y}H${WIDTH - RIGHT}` }),
    svg("text", { x: WIDTH - RIGHT, y: y + above, "text-anchor": "end" }, name),
  ];
}

function drawValues(axis, values) {
  const places = values.map((value, i) => [across(i, values.length), down(axis.part(value))]);
  const seen = places.filter((place) => place.every(Number.isFinite));
  const line = svg("path", { class: "line", d: seen.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("") });
  const radius = values.length > 60 ? 1.2 : values.length > 25 ? 2 : 3.4;
  return [line, ...seen.map(([cx, cy]) => svg("circle", { class: "point", cx, cy, r: radius }))];
}
