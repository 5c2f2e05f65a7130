// The letters N, C, S, N as points along their strokes: the means of a mixture that the opening draws. They stand
// between y = -1 and y = 1, centred on x = 0.

const SPACING = 0.27; // of the points along a stroke
const GAP = 0.75; // between letters

/** A straight piece of a stroke; `at` takes the share of it that is behind, 0 to 1. */
function line(from, to) {
  return { length: Math.hypot(to[0] - from[0], to[1] - from[1]), at: (t) => from.map((start, axis) => start + (to[axis] - start) * t) };
}

/** A piece of a circle between two angles in degrees, counter-clockwise from the right where `to` is above `from`. */
function arc([x, y], radius, from, to) {
  const angle = (t) => (Math.PI * (from + (to - from) * t)) / 180;
  const at = (t) => [x + radius * Math.cos(angle(t)), y + radius * Math.sin(angle(t))];
  return { length: (Math.PI * radius * Math.abs(to - from)) / 180, at };
}

const N = { width: 1.25, pieces: [line([0, -1], [0, 1]), line([0, 1], [1.25, -1]), line([1.25, -1], [1.25, 1])] };
const C = { width: 1.2, pieces: [arc([0.65, 0.35], 0.65, 25, 180), line([0, 0.35], [0, -0.35]), arc([0.65, -0.35], 0.65, 180, 335)] };
const S = { width: 1.05, pieces: [arc([0.55, 0.5], 0.5, 30, 270), arc([0.55, -0.5], 0.5, 90, -150)] };

/** Points along one stroke, at equal distances on each of its pieces, with both of its ends. */
function alongStroke(pieces) {
  const points = pieces.flatMap(({ length, at }) => {
    const num = Math.round(length / SPACING);
    return Array.from({ length: num }, (_, i) => at(i / num));
  });
  return [...points, pieces.at(-1).at(1)];
}

/** The points of all four letters, (K, 2). */
export function letterMeans() {
  const letters = [N, C, S, N];
  let left = -letters.reduce((sum, { width }) => sum + width, GAP * (letters.length - 1)) / 2;
  return letters.flatMap(({ width, pieces }) => {
    const placed = alongStroke(pieces).map(([x, y]) => [left + x, y]);
    left += width + GAP;
    return placed;
  });
}
