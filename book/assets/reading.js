// How much code a page shows: all of it, the essential, or none, as the reader chose last. Lines that only check are
// folded, in whichever way, until they are asked for.

const root = document.documentElement;
const choice = document.querySelector(".code-switch");
if (choice) {
  choice.hidden = false;
  choice.querySelector(`[value="${root.dataset.code}"]`).checked = true;
  choice.addEventListener("change", ({ target }) => {
    const top = choice.getBoundingClientRect().top;
    root.dataset.code = target.value;
    localStorage.setItem("ncsn-code", target.value);
    scrollBy(0, choice.getBoundingClientRect().top - top);
  });
}

for (const lines of document.querySelectorAll("pre .checks")) {
  const count = lines.textContent.trimEnd().split("\n").length;
  const words = `${count} ${count === 1 ? "line" : "lines"} of checks`;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "fold" });
  button.dataset.words = words; // shown by the style sheet, so that who copies the code does not copy them
  button.setAttribute("aria-label", words);
  const show = (shown) => {
    lines.hidden = !shown;
    button.setAttribute("aria-expanded", shown);
  };
  button.addEventListener("click", () => show(lines.hidden));
  lines.before(button);
  show(false);
}

// On paper the colours are the light ones, whatever the screen has.
const paper = matchMedia("print");
let onScreen = null;
function follow() {
  if (paper.matches && onScreen === null) {
    onScreen = root.dataset.theme;
    root.dataset.theme = "light";
  } else if (!paper.matches && onScreen !== null) {
    root.dataset.theme = onScreen;
    onScreen = null;
  }
}
paper.addEventListener("change", follow);
follow();
