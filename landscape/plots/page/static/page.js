// The page: pictures are drawn as they come into view; on paper they are still and light.

const store = JSON.parse(document.getElementById("store").textContent);
filled(store.surfaces);
filled(store.figures);
const pending = new Map(); // elements that are not drawn yet -> how they are

// Put arrays, each of which is written once, where they belong.
function filled(value) {
  if (value === null || typeof value !== "object") return;
  if (typeof value.bdata === "number") value.bdata = store.arrays[value.bdata];
  else Object.values(value).forEach(filled);
}

function draw(element) {
  const make = pending.get(element);
  pending.delete(element);
  return make?.();
}

// Draw what is in view or near it; a mark tells when the first of it stands.
function lazily() {
  const watch = new IntersectionObserver((seen) => {
    const near = seen.filter((one) => one.isIntersecting).map((one) => one.target);
    near.forEach((element) => watch.unobserve(element));
    Promise.all(near.map(draw)).then(() => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  }, { rootMargin: "150px" });
  for (const element of document.querySelectorAll(".viewer")) pending.set(element, () => viewer(element, store.surfaces[element.dataset.viewer]));
  for (const plot of document.querySelectorAll("[data-figure]")) pending.set(plot, () => picture(plot, store.figures[plot.dataset.figure]));
  pending.forEach((_, element) => watch.observe(element));
}

function drawn() {
  if (!performance.getEntriesByName("first view").length) performance.mark("first view");
}

// Pictures of which one is seen at a time: a list chooses; the chosen one is drawn when it is seen.
function choosing() {
  for (const label of document.querySelectorAll(".alternatives")) {
    const pictures = [...label.parentElement.querySelectorAll(".alternative")];
    const list = label.querySelector("select");
    list.addEventListener("change", () => pictures.forEach((one, k) => { one.hidden = k !== list.selectedIndex; }));
    list.selectedIndex = 0;
    label.hidden = false;
  }
}

function copying() {
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const words = button.previousElementSibling;
      getSelection().selectAllChildren(words);
      const done = await (navigator.clipboard?.writeText(words.textContent).then(() => true, () => false) ?? false);
      say(done || document.execCommand("copy") ? "Copied" : "Selected: copy it with the keyboard");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

const PAPER = 690; // pixels between the margins of a sheet of A4
let kept; // the theme while the page is being printed

// Put a still picture in the place of each drawing in space, which paper does not take.
function still() {
  kept = document.documentElement.dataset.theme ?? "";
  document.documentElement.dataset.theme = "light";
  [...pending.keys()].filter((element) => !element.closest("[hidden]")).forEach(draw);
  repaint();
  pictures().forEach((plot) => Plotly.relayout(plot, { width: PAPER, autosize: false }));
  document.querySelectorAll("table.sorts").forEach(narrowed);
  for (const self of viewers) {
    for (const plot of self.plots) {
      const scene = plot._fullLayout?.scene?._scene;
      if (!self.relief || !scene) continue;
      const image = Object.assign(new Image(), { className: "still", src: scene.toImage("png"), alt: plot.getAttribute("aria-label") });
      plot.after(image);
      plot.classList.add("printed");
    }
  }
}

function pictures() {
  return document.querySelectorAll(".picture .js-plotly-plot");
}

function moving() {
  document.querySelectorAll("img.still, table.narrowed").forEach((stand) => stand.remove());
  pictures().forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
  document.querySelectorAll(".printed").forEach((plot) => plot.classList.remove("printed"));
  if (kept) document.documentElement.dataset.theme = kept;
  else delete document.documentElement.dataset.theme;
  repaint();
}

document.querySelectorAll("table.sorts").forEach(sortable);
document.querySelectorAll(".wide").forEach(wide);
choosing();
switchable();
copying();
lazily();
addEventListener("beforeprint", still);
addEventListener("afterprint", moving);
