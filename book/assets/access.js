// What the pages' theme leaves to do for readers without a mouse or eyes. The sidebar with the book's name is a landmark.
// A table that is wider than its page scrolls in a box of its own; where there is something to scroll, the keyboard
// reaches the box.

const REACHED = { tabindex: "0", role: "group", "aria-label": "A table, which scrolls sideways" };

function mark(box) {
  const scrolls = box.scrollWidth > box.clientWidth;
  for (const [name, value] of Object.entries(REACHED)) {
    if (scrolls) box.setAttribute(name, value);
    else box.removeAttribute(name);
  }
}

for (const box of document.querySelectorAll('.pst-scrollable-table-container, [style*="overflow-x: auto"]')) {
  const observer = new ResizeObserver(() => mark(box));
  for (const part of [box, ...box.children]) observer.observe(part);
}

const sidebar = document.querySelector(".bd-sidebar-primary");
sidebar?.setAttribute("role", "navigation");
sidebar?.setAttribute("aria-label", "The book");

// A widget's slider is named by the label beside it, and an animation's by what it moves.
const VIEWS = 'script[type="application/vnd.jupyter.widget-view+json"]';
for (const { parentElement: place } of document.querySelectorAll(VIEWS)) {
  new MutationObserver(() => {
    for (const handle of place.querySelectorAll(".noUi-handle:not([aria-label])")) {
      const label = handle.closest(".widget-slider")?.querySelector(".widget-label")?.textContent;
      handle.setAttribute("aria-label", label || "slider");
    }
  }).observe(place, { childList: true, subtree: true });
}
for (const slider of document.querySelectorAll(".anim-slider")) slider.setAttribute("aria-label", "frame");

// The arrow that opens a page's own pages in the contents is named by that page.
for (const arrow of document.querySelectorAll("summary:has(.toctree-toggle)")) {
  arrow.setAttribute("aria-label", `pages of ${arrow.closest("li").querySelector("a").textContent.trim()}`);
}

// Formulas that are said in words are hidden from who hears the page, and so are the names of columns in a stacked
// table: the keyboard must not stop at them.
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  for (const formula of document.querySelectorAll(".column [tabindex], .math[aria-hidden] [tabindex]")) formula.removeAttribute("tabindex");
});
