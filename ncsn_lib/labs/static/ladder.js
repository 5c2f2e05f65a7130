// The ladder as both labs have it: its values in the model, and the knobs that turn them.

import { choice, element, slider } from "./controls.js";
import { makeLadder } from "./schedules.js";

/** The ladder that a model asks for: made by its schedule, or as Python gave it. */
export function ladderOf(model) {
  const schedule = model.get("schedule");
  if (schedule === "given") return [...model.get("sigmas")];
  return makeLadder(schedule, model.get("sigma_max"), model.get("sigma_min"), model.get("num_levels"));
}

/** What the knobs show: of a ladder that Python gave, its ends and its length. */
function knobsOf(model) {
  const schedule = model.get("schedule");
  const own = Object.fromEntries(["sigma_max", "sigma_min", "num_levels"].map((name) => [name, model.get(name)]));
  const sigmas = model.get("sigmas");
  if (schedule !== "given" || sigmas.length < 2) return { ...own, schedule };
  return { sigma_max: sigmas[0], sigma_min: sigmas.at(-1), num_levels: sigmas.length, schedule };
}

/** Change one end, and take the other along where the ladder would no longer go down. */
function moveEnd(scope, name, value) {
  const [other, factor] = name === "sigma_max" ? ["sigma_min", 0.5] : ["sigma_max", 2];
  const kept = knobsOf(scope.model)[other];
  const downwards = name === "sigma_max" ? kept < value : value < kept;
  turn(scope, { [name]: value, [other]: downwards ? kept : value * factor });
}

/** Turn knobs; a ladder that Python gave ends there, and the other knobs stay where it had them. */
function turn(scope, values) {
  const shown = knobsOf(scope.model);
  scope.write({ ...shown, schedule: shown.schedule === "given" ? "geometric" : shown.schedule, ...values });
}

/** The knobs of the ladder itself: both ends, the number of levels, the schedule. */
export function ladderKnobs(scope, { most = 30 } = {}) {
  const knob = (name, spec) =>
    slider(scope, { read: () => knobsOf(scope.model)[name], names: [name, "schedule", "sigmas"], ...spec });
  const end = (name, label, min, max) => knob(name, { label, min, max, log: true, write: (value) => moveEnd(scope, name, value) });
  return [
    end("sigma_max", ["first level σ", element("sub", {}, "1")], 0.2, 100),
    end("sigma_min", ["last level σ", element("sub", {}, "L")], 0.001, 10),
    knob("num_levels", { label: "levels L", min: 2, max: most, step: 1, write: (value) => turn(scope, { num_levels: value }) }),
    choice(scope, {
      name: "schedule",
      write: (value) => turn(scope, { schedule: value }),
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
