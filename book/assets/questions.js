// The questions of a page: an answer is compared here with the entries of the question's <details>, kept in this
// browser and sent nowhere. A prediction covers the outputs that follow until it is right or revealed. What is covered
// can still be searched for and linked to (hidden="until-found"), which reveals it.

const STORE = "ncsn-book-answers";
const HIDDEN = "onbeforematch" in HTMLElement.prototype ? "until-found" : ""; // what an older browser knows

function kept() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {}; // a private window has no store, and what is damaged is no answer
  }
}

function keep(name, state) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...kept(), [name]: state }));
  } catch {
    // Without a store an answer lasts as long as the page.
  }
}

// A number as people write it: 1,500 or 2e-3, 40 % or -0.5 with a typographic minus; NaN for anything else.
export function readNumber(text) {
  let plain = text.replace(/\s/g, "").replace(/^[\u2212\u2013]/, "-");
  const percent = plain.endsWith("%");
  if (percent) plain = plain.slice(0, -1);
  if (/^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$/.test(plain)) plain = plain.replaceAll(",", "");
  return /\d/.test(plain) ? Number(plain) / (percent ? 100 : 1) : NaN;
}

// The entry of an answer, if it has one, and the words that come before what the entry says.
export function judge(answer, entries, hint) {
  if (answer === "") return { words: "Answer first, or press Reveal." };
  const numbers = entries[0].dataset.within !== undefined;
  const value = numbers ? readNumber(answer) : Number(answer);
  if (Number.isNaN(value)) return { words: `“${answer}” is no number: write it as 0.25, 1,500 or 2e-3.` };
  const distance = (e) => Math.abs(value - Number(e.dataset.value));
  const entry = entries.find((e) => distance(e) <= Number(e.dataset.within ?? 0) + 1e-12);
  if (entry) return { entry, words: "right" in entry.dataset ? "Right." : "Not this one." };
  const larger = value < Number(entries[0].dataset.value);
  return { words: `Not yet: the number is ${larger ? "larger" : "smaller"}. ${hint ?? ""}` };
}

function mount(form) {
  const { question: name, covers, hint } = form.dataset;
  const [fields, reply, answers] = ["fieldset", ".reply", ".answers"].map((what) => form.querySelector(what));
  const entries = [...answers.querySelectorAll("[data-value]")];
  const inputs = [...fields.querySelectorAll("input")];
  const reveal = form.querySelector(".reveal");
  const follows = (e) => form.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING;
  const covered = [...document.querySelectorAll(".cell_output")].filter(follows).slice(0, Number(covers));
  const covering = covered.map((output) => {
    const note = document.createElement("p");
    note.className = "cover";
    note.textContent = "The output is covered: answer the question above, or press Reveal there.";
    output.before(note);
    return note;
  });
  const current = () => (inputs[0].type === "text" ? inputs[0].value : (inputs.find((i) => i.checked)?.value ?? ""));
  let open = false;

  function show(opened) {
    open = opened;
    reveal.setAttribute("aria-expanded", open);
    reveal.textContent = !open ? "Reveal" : covered.length ? "Cover" : "Hide";
    answers.hidden = !open;
    covering.forEach((note) => (note.hidden = open));
    covered.forEach((output) => (open ? output.removeAttribute("hidden") : output.setAttribute("hidden", HIDDEN)));
  }

  function answer() {
    const { entry, words } = judge(current(), entries, hint);
    const right = entry && "right" in entry.dataset;
    const strong = document.createElement("strong");
    strong.textContent = words;
    reply.replaceChildren(strong, ...(entry ? [entry.querySelector(".said").cloneNode(true)] : []));
    reply.dataset.verdict = right ? "right" : "wrong";
    if (right) show(true);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
    keep(name, { answer: current(), open });
  });
  reveal.addEventListener("click", () => {
    show(!open);
    keep(name, { answer: current(), open });
  });
  covered.forEach((output) => output.addEventListener("beforematch", () => show(true)));

  form.querySelector(".buttons").hidden = false;
  fields.querySelector(".number")?.removeAttribute("hidden");
  const before = kept()[name];
  show(false);
  if (before?.answer) {
    if (inputs[0].type === "text") inputs[0].value = before.answer;
    else inputs.forEach((input) => (input.checked = input.value === before.answer));
    answer();
  }
  if (before) show(before.open);
  reply.setAttribute("aria-live", "polite"); // from now on: what was answered before is not read out
}

document.querySelectorAll("form.question").forEach(mount);
