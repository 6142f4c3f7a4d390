// Surfaces: a panel each for the networks at one width, or for the widths of one network; a slider goes over the others.
// All panels share one camera, one scale of colours and one of heights.

const MAPS = {
  loss: "#440154 #482878 #3e4989 #31688e #26828e #1f9e89 #35b779 #6ece58 #b5de2b #fde725".split(" "),
  accuracy: "#00224e #123570 #3b496c #575d6d #707173 #8a8678 #a59c74 #c3b369 #e1cc55 #fee838".split(" "),
};
const MOST = 8; // panels: a browser keeps about as many drawings in space at once
const DECADES = 30; // ratio of values from which a logarithmic scale is easier to read
const HOME = { eye: { x: 1.6, y: 1.6, z: 1.15 }, center: { x: 0, y: 0, z: -0.1 }, up: { x: 0, y: 0, z: 1 } };
const FINE = Math.max(1, devicePixelRatio); // plotly draws in space four times as many points otherwise
const STEP = Math.PI / 18; // of a key that turns
const viewers = [];
let camera = HOME;

function decoded(spec) {
  if (spec === null || spec.rows) return spec?.rows ?? null;
  const bytes = Uint8Array.from(atob(spec.bdata), (letter) => letter.charCodeAt(0));
  const flat = new Float32Array(bytes.buffer);
  const columns = spec.shape ? Number(spec.shape.split(",")[1]) : 0;
  spec.rows = columns ? Array.from({ length: flat.length / columns }, (_, k) => flat.slice(k * columns, (k + 1) * columns)) : flat;
  delete spec.bdata;
  return spec.rows;
}

function inSpace() {
  const context = document.createElement("canvas").getContext("webgl2") ?? document.createElement("canvas").getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}

function viewer(element, store) {
  const both = store.networks.length > 1 && store.widths.length > 1;
  const self = {
    element, store, choice: 0, place: 0, log: null, spans: {}, plots: [],
    over: store.widths.length > 1 ? "widths" : "networks",
    relief: inSpace(),
  };
  self.shown = null;
  if (!both && store.widths.length * store.networks.length <= MOST) self.over = "";
  controls(self, both);
  layOut(self);
  viewers.push(self);
  repaints.add(() => show(self));
}

// Which surfaces stand side by side: pairs of numbers of a network and a width.
function places(self) {
  const { networks, widths } = self.store;
  const all = (list, make) => list.map((_, k) => make(k));
  if (self.over === "widths") return all(networks, (k) => [k, self.place]);
  if (self.over === "networks") return all(widths, (k) => [self.place, k]);
  return networks.flatMap((_, k) => widths.map((_, w) => [k, w]));
}

function controls(self, both) {
  const { store } = self;
  const box = self.element.querySelector(".controls");
  const names = store.choices.map(([quantity, part]) => `${part} ${quantity}`);
  box.append(select("Show", names, 0, (index) => { self.choice = index; scaleBox.sync(); show(self); }));
  const kinds = select("As", ["relief", "map"], self.relief ? 0 : 1, (index) => { self.relief = index === 0; layOut(self); });
  kinds.lastChild.disabled = !self.relief;
  kinds.title = self.relief ? "" : "This browser draws nothing in space.";
  const scaleBox = checkbox("logarithmic", (on) => { self.log = on; show(self); });
  scaleBox.sync = () => {
    const { low, log } = span(self);
    Object.assign(scaleBox.firstChild, { checked: log, disabled: !(low > 0) });
  };
  scaleBox.sync();
  box.append(kinds, scaleBox);
  if (both) {
    box.append(select("Slider over", ["widths", "networks"], 0, (index) => {
      Object.assign(self, { over: index ? "networks" : "widths", place: 0, shown: null });
      layOut(self);
    }));
  }
  self.slot = document.createElement("div");
  self.slot.className = "slot";
  box.append(self.slot);
}

function checkbox(name, changed) {
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox" });
  box.addEventListener("change", () => changed(box.checked));
  label.append(box, ` ${name}`);
  return label;
}

// Lay panels out, with the slider that goes over what they do not show side by side.
function layOut(self) {
  const box = self.element.querySelector(".panels");
  self.plots.forEach((plot) => Plotly.purge(plot));
  const all = places(self);
  const shown = self.shown ?? all.slice(0, MOST).map((_, k) => k);
  self.shown = shown;
  self.slot.replaceChildren(...(self.over ? [slider(self)] : []), ...(all.length > MOST ? [chosen(self, all)] : []));
  self.plots = shown.map(() => Object.assign(document.createElement("div"), { className: "plot", tabIndex: 0 }));
  box.replaceChildren(...self.plots.map((plot) => {
    const figure = document.createElement("figure");
    figure.append(document.createElement("figcaption"), plot);
    plot.setAttribute("role", "img");
    plot.addEventListener("keydown", (event) => turnedByKey(event, self));
    return figure;
  }));
  box.dataset.count = String(shown.length);
  return show(self);
}

function slider(self) {
  const steps = self.store[self.over];
  const label = document.createElement("label");
  const range = Object.assign(document.createElement("input"), { type: "range", min: 0, max: steps.length - 1, step: 1, value: self.place });
  const told = document.createElement("output");
  const tell = () => { told.textContent = steps[self.place]; range.setAttribute("aria-valuetext", steps[self.place]); };
  range.addEventListener("input", () => { self.place = Number(range.value); tell(); show(self); });
  tell();
  label.className = "slider";
  label.append(self.over === "widths" ? "Bits " : "Network ", range, told);
  return label;
}

// Which panels are shown where there are too many of them.
function chosen(self, all) {
  const box = document.createElement("fieldset");
  box.append(Object.assign(document.createElement("legend"), { textContent: `Panels, ${MOST} at most` }));
  all.forEach((place, k) => {
    const entry = checkbox(self.over === "widths" ? self.store.networks[place[0]] : self.over ? self.store.widths[place[1]] : place.join(), (on) => {
      self.shown = on ? [...self.shown, k].sort((a, b) => a - b) : self.shown.filter((other) => other !== k);
      layOut(self);
    });
    Object.assign(entry.firstChild, { checked: self.shown.includes(k), disabled: self.shown.length >= MOST && !self.shown.includes(k) });
    box.append(entry);
  });
  return box;
}

// Lowest and highest value of what is shown, over all surfaces; whether its scale is logarithmic.
function span(self) {
  const key = self.choice;
  if (!self.spans[key]) {
    let [low, high] = [Infinity, -Infinity];
    for (const one of Object.values(self.store.surfaces))
      for (const row of decoded(one.values[key]))
        for (const value of row) if (Number.isFinite(value)) { if (value < low) low = value; if (value > high) high = value; }
    if (!(low <= high)) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    self.spans[key] = { low, high };
  }
  const { low, high } = self.spans[key];
  const usual = self.store.choices[key][0] === "loss" && high / low > DECADES;
  return { low, high, log: low > 0 && (self.log ?? usual) };
}

// Draw what the controls say.
function show(self) {
  const { store } = self;
  const all = places(self);
  const range = span(self);
  scale(self, range);
  return Promise.all(self.shown.map((k, at) => {
    const one = store.surfaces[all[k].join()];
    const plot = self.plots[at];
    const name = `${store.networks[all[k][0]]}, ${store.widths[all[k][1]]}`;
    const words = one ? told(self, one, name) : { brief: `${name}: not measured`, whole: `${name}: not measured.` };
    plot.previousSibling.textContent = words.brief;
    plot.setAttribute("aria-label", words.whole);
    return Plotly.react(plot, one ? traces(self, one, range) : [], layout(self, range, one), { ...CONFIG, plotGlPixelRatio: FINE }).then(() => {
      if (!plot.linked) linked(plot);
    });
  }));
}

function linked(plot) {
  plot.linked = true;
  const follow = (change) => {
    const given = change["scene.camera"] ?? (Object.keys(change).some((name) => name.startsWith("scene.camera")) ? plot._fullLayout.scene.camera : null);
    if (given) turn(given, plot);
  };
  plot.on("plotly_relayouting", follow);
  plot.on("plotly_relayout", follow);
}

function same(one, other) {
  return ["eye", "center", "up"].every((name) => ["x", "y", "z"].every((axis) => Math.abs(one[name][axis] - other[name][axis]) < 1e-6));
}

// Turn all reliefs of the page, but for the one that is being turned.
function turn(given, source = null) {
  const next = Object.fromEntries(["eye", "center", "up"].map((name) => [name, { ...HOME[name], ...given[name] }]));
  if (source && same(next, camera)) return;
  camera = next;
  for (const self of viewers.filter((one) => one.relief))
    for (const plot of self.plots.filter((one) => one !== source && one._fullLayout?.scene))
      Plotly.relayout(plot, { "scene.camera": structuredClone(camera) });
}

function turnedByKey(event, self) {
  const keys = {
    ArrowLeft: [-STEP, 0, 1], ArrowRight: [STEP, 0, 1], ArrowUp: [0, STEP, 1], ArrowDown: [0, -STEP, 1],
    "+": [0, 0, 0.9], "=": [0, 0, 0.9], "-": [0, 0, 1 / 0.9],
  };
  if (!self.relief || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys || event.key === "Home")) return;
  event.preventDefault();
  if (event.key === "Home") return turn(HOME);
  const [around, up, far] = keys[event.key];
  const { x, y, z } = camera.eye;
  const long = Math.hypot(x, y, z) * far;
  const height = Math.min(Math.max(Math.asin(z / Math.hypot(x, y, z)) + up, -1.5), 1.5);
  const angle = Math.atan2(y, x) + around;
  const eye = { x: long * Math.cos(height) * Math.cos(angle), y: long * Math.cos(height) * Math.sin(angle), z: long * Math.sin(height) };
  return turn({ ...camera, eye, up: HOME.up });
}

function plain(words) {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function traces(self, one, { low, high, log }) {
  const [quantity, part, unit] = self.store.choices[self.choice];
  const values = decoded(one.values[self.choice]);
  const errors = decoded(one.errors[self.choice]);
  const color = log ? values.map((row) => row.map(Math.log10)) : values;
  const ends = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const stops = MAPS[quantity].map((stop, k, all) => [k / (all.length - 1), stop]);
  const x = decoded(one.a);
  const y = decoded(one.b);
  const digits = quantity === "accuracy" ? ".2f" : ".4g";
  const hover = (value, error) =>
    `a %{x:.3f}<br>b %{y:.3f}<br>${part} ${quantity} %{${value}:${digits}}${errors ? ` ± %{${error}:.2g}` : ""} ${unit}<extra>${plain(one.name)}</extra>`;
  if (!self.relief) {
    const both = values.map((row, i) => Array.from(row, (value, j) => [value, errors?.[i][j] ?? NaN]));
    const map = { type: "heatmap", x, y, z: color, customdata: both, zmin: ends[0], zmax: ends[1], colorscale: stops,
      showscale: false, hoverongaps: false, hovertemplate: hover("customdata[0]", "customdata[1]") };
    return [map, ...one.marks.map((mark) => drawnMark(mark, false, self.choice))];
  }
  const relief = { type: "surface", x, y, z: values, surfacecolor: color, customdata: errors ?? undefined, cmin: ends[0], cmax: ends[1],
    colorscale: stops, showscale: false, connectgaps: false, hovertemplate: hover("z", "customdata"),
    lighting: { ambient: 0.75, diffuse: 0.5, specular: 0.05, roughness: 0.9 } };
  return [relief, ...one.marks.map((mark) => drawnMark(mark, true, self.choice))];
}

// Runs, checkpoints and curves on a surface.
function drawnMark(mark, relief, choice) {
  const color = INKS.has(mark.color) && !relief ? "white" : shade(mark.color);
  const line = { color, width: relief ? 5 : 2, dash: mark.dash ?? "solid" };
  return {
    type: relief ? "scatter3d" : "scatter", mode: mark.mode, x: mark.a, y: mark.b, ...(relief ? { z: mark.heights[choice] } : {}),
    name: plain(mark.name), text: mark.text.map(plain), line, marker: { color, size: relief ? 4 : 7 }, showlegend: false,
    hovertemplate: `${mark.text.length ? "%{text}" : plain(mark.name)}<extra></extra>`,
  };
}

function layout(self, { low, high, log }, one) {
  const [quantity, , unit] = self.store.choices[self.choice];
  const titles = self.store.axes.map((text) => ({ text }));
  const z = { title: { text: unit ? `${quantity} [${unit}]` : quantity }, type: log ? "log" : "linear", dtick: log ? 1 : null,
    range: log ? [Math.log10(low), Math.log10(high)] : [low, high] };
  const base = { template: template(), autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 } };
  if (!one) return { ...base, xaxis: { visible: false }, yaxis: { visible: false } };
  if (self.relief) {
    const small = { tickfont: { size: 11 } };
    const [xaxis, yaxis] = titles.map(({ text }) => ({ ...small, title: { text, font: { size: 12 } } }));
    const scene = { xaxis, yaxis, zaxis: { ...small, ...z, title: { ...z.title, font: { size: 12 } } }, camera: structuredClone(camera),
      aspectmode: "manual", aspectratio: { x: 1, y: 1, z: 0.7 }, dragmode: "turntable" };
    return { ...base, scene };
  }
  const x = decoded(one.a);
  const y = decoded(one.b);
  return { ...base, margin: { l: 55, r: 10, t: 10, b: 45 },
    xaxis: { title: titles[0], constrain: "domain", range: [x[0], x.at(-1)] },
    yaxis: { title: titles[1], scaleanchor: "x", scaleratio: (x.at(-1) - x[0]) / (y.at(-1) - y[0]), range: [y[0], y.at(-1)], constrain: "domain" } };
}

function brief(value) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–";
}

// One surface in words: shortly for its caption, in a sentence for those who do not see it.
function told(self, one, name) {
  const [quantity, part, unit] = self.store.choices[self.choice];
  const rows = decoded(one.values[self.choice]);
  const errors = decoded(one.errors[self.choice]);
  const [a, b] = [decoded(one.a), decoded(one.b)].map((steps) => (steps[0] <= 0 && steps.at(-1) >= 0
    ? steps.reduce((best, step, k) => (Math.abs(step) < Math.abs(steps[best]) ? k : best), 0) : -1));
  const finite = rows.flatMap((row) => Array.from(row)).filter(Number.isFinite);
  const ends = finite.length ? `from ${brief(Math.min(...finite))} to ${brief(Math.max(...finite))} ${unit}` : "nowhere finite";
  const sure = errors && a >= 0 && b >= 0 ? ` ± ${Number(errors[b][a].toPrecision(2))}` : "";
  const center = a >= 0 && b >= 0 ? `${part} ${quantity} ${brief(rows[b][a])}${sure} ${unit} at the center` : `${part} ${quantity}`;
  return { brief: `${name}: ${center}`, whole: `${name}: ${center}, ${ends} on ${rows[0].length} by ${rows.length} points.` };
}

// The scale of colours that all panels share.
function scale(self, { low, high, log }) {
  const [quantity, part, unit] = self.store.choices[self.choice];
  const box = self.element.querySelector(".scale");
  const bar = Object.assign(document.createElement("div"), { className: "bar" });
  bar.style.background = `linear-gradient(to right, ${MAPS[quantity].join(", ")})`;
  const ends = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const marks = ticks(low, high, log).map((value) => {
    const mark = Object.assign(document.createElement("span"), { textContent: String(Number(value.toPrecision(6))) });
    mark.style.left = `${(100 * ((log ? Math.log10(value) : value) - ends[0])) / (ends[1] - ends[0])}%`;
    return mark;
  });
  const title = Object.assign(document.createElement("div"), { textContent: `${part} ${quantity}${unit ? ` [${unit}]` : ""}` });
  const numbers = Object.assign(document.createElement("div"), { className: "ticks" });
  numbers.append(...marks);
  box.replaceChildren(title, bar, numbers);
}

// Round numbers between two ends: about five.
function ticks(low, high, log) {
  if (log) {
    const decades = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const rung of Math.log10(high / low) < 2 ? [1, 2, 5] : [1]) decades.push(rung * 10 ** power);
    return decades.filter((value) => value >= low && value <= high);
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((rung) => rung * power).find((value) => value >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}
