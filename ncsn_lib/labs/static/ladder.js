// The ladder as both labs have it: its values in the model, and the knobs that turn them.

import { choice, element, slider } from "./controls.js";
import { makeLadder } from "./schedules.js";

/** The ladder that a model asks for: made by its schedule, or as Python gave it. */
export function ladderOf(model) {
  const schedule = model.get("schedule");
  if (schedule === "given") return [...model.get("sigmas")];
  return makeLadder(schedule, model.get("sigma_max"), model.get("sigma_min"), model.get("num_levels"));
}

/** Change one end, and take the other along where the ladder would no longer go down. */
function moveEnd(scope, name, value) {
  const [other, factor] = name === "sigma_max" ? ["sigma_min", 0.5] : ["sigma_max", 2];
  const kept = scope.model.get(other);
  const downwards = name === "sigma_max" ? kept < value : value < kept;
  scope.write({ [name]: value, [other]: downwards ? kept : value * factor, ...madeHere(scope) });
}

/** A ladder that Python gave ends where a knob is turned. */
function madeHere(scope) {
  return scope.model.get("schedule") === "given" ? { schedule: "geometric" } : {};
}

/** The knobs of the ladder itself: both ends, the number of levels, the schedule. */
export function ladderKnobs(scope, { most = 30 } = {}) {
  const end = (name, label, min, max) =>
    slider(scope, { name, label, min, max, log: true, write: (value) => moveEnd(scope, name, value) });
  const count = (value) => scope.write({ num_levels: value, ...madeHere(scope) });
  return [
    end("sigma_max", ["first level σ", element("sub", {}, "1")], 0.2, 100),
    end("sigma_min", ["last level σ", element("sub", {}, "L")], 0.001, 10),
    slider(scope, { name: "num_levels", label: "levels L", min: 2, max: most, step: 1, write: count }),
    choice(scope, {
      name: "schedule",
      label: "schedule",
      told: "given",
      options: [
        ["geometric", "geometric"],
        ["linear", "linear"],
        ["given", "given by Python"],
      ],
    }),
  ];
}

/** The knobs of the walk down it: step size at the last level, steps a level. */
export function walkKnobs(scope, { most = 500 } = {}) {
  return [
    slider(scope, { name: "eps", label: "last step size ε", min: 1e-6, max: 10, log: true }),
    slider(scope, { name: "steps_per_level", label: "steps a level T", min: 1, max: most, step: 1 }),
  ];
}
