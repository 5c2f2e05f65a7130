// The widget manager, three megabytes of script: a page loads it when the first of its sliders is near the window.

const vendor = document.documentElement.dataset.content_root + "_static/vendor/";
const widgetViews = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');

function loadScript(path, attributes = {}) {
  return new Promise((loaded, failed) => {
    const script = Object.assign(document.createElement("script"), { src: vendor + path, onload: loaded, onerror: failed });
    for (const [name, value] of Object.entries(attributes)) script.setAttribute(name, value);
    document.head.append(script);
  });
}

async function loadManager() {
  // It still speaks to MathJax 2: translate its one call.
  const mathjax = window.MathJax;
  if (mathjax && !mathjax.Hub) {
    mathjax.Hub = { Queue: (call) => mathjax.typesetPromise && mathjax.typesetPromise([call[2]]) };
  }
  await loadScript("requirejs/require.js");
  const folder = vendor + "html-manager"; // where its parts, which are all in one file, look for their icons
  require.config({ paths: { "@jupyter-widgets": folder, "@jupyter-widgets/html-manager/dist": folder } });
  await loadScript("html-manager/embed-amd.js", { "data-jupyter-widgets-cdn": "about:blank#" });
}

const nearWidget = new IntersectionObserver((seen) => {
  if (!seen.some((entry) => entry.isIntersecting)) return;
  nearWidget.disconnect();
  loadManager();
}, { rootMargin: "600px" });
for (const view of widgetViews) nearWidget.observe(view.parentElement);
