// Brings the labs of a page to life where there is no kernel: each place that names a lab gets its module, the same
// that JupyterLab gets, and a model of its own.

/** A model as anywidget hands one out, without a Python that listens. */
export class PageModel {
  constructor(values) {
    this.values = values;
    this.listeners = new Map();
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (Object.is(this.values[name], value)) return;
    this.values[name] = value;
    for (const listener of [...(this.listeners.get(`change:${name}`) ?? [])]) listener();
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((other) => other !== listener));
  }

  save_changes() {}
}

/** Render the lab that a place names; its model becomes the place's `model`, for the console and the tests. */
export async function mount(place) {
  const { default: lab, DEFAULTS } = await import(`./${place.dataset.lab}_lab.js`);
  place.replaceChildren();
  place.model = new PageModel(structuredClone(DEFAULTS));
  lab.render({ model: place.model, el: place });
}

for (const place of document.querySelectorAll("[data-lab]")) mount(place);
