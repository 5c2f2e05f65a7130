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

for (const box of document.querySelectorAll(".pst-scrollable-table-container")) {
  const observer = new ResizeObserver(() => mark(box));
  for (const part of [box, ...box.children]) observer.observe(part);
}
